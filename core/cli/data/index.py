"""index: what a cohort holds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.cli.cohort import on_backend, read_cohort
from core.cli.output import Outcome, TerminalProgress, fault_lines, plain, table
from core.data.summary import count_blank_slices, describe_cohort
from core.settings import Settings


@on_backend
def index(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Describe a cohort from its headers, and from its pixels where blank slices are to be counted."""
    cohort = read_cohort(arguments, settings)
    document: dict[str, Any] = describe_cohort(cohort)
    if arguments.blanks:
        counts = count_blank_slices(cohort, jobs=arguments.jobs, progress=TerminalProgress("counting blank slices"))
        document["blank_slices"] = sum(count.blank for count in counts)
        document["blank_by_series"] = [asdict(count) for count in counts]
    return Outcome(document=document, lines=_describe_index(document))


def _describe_index(content: Mapping[str, Any]) -> list[str]:
    labels = ", ".join(
        f"{plain(name)} {content['labels'][str(number)]}" for number, name in enumerate(content["class_names"])
    )
    rows = [
        (
            name,
            count,
            content["missing"].get(name),
            _pairs(content["planes_by_sequence"][name]),
            _range(content["spacings"], name, "slices_mm"),
            _range(content["spacings"], name, "rows_mm"),
        )
        for name, count in content["sequences"].items()
    ]
    lines = [
        f"{content['root']}{' (synthetic)' if content['synthetic'] else ''}",
        f"{content['studies']} studies of {content['persons']} persons, {content['series']} series, {content['files']} files",
        f"labels: {labels}, unlabelled {content['unlabelled']}",
        *(
            f"excluded: {group['studies']} studies of {group['persons']} persons, {plain(group['reason'])}"
            for group in content["flow"]["excluded"]
        ),
        "",
        *table(rows, ("sequence", "series", "studies without", "planes", "slices mm", "rows mm")),
        "",
    ]
    if "blank_slices" in content:
        blank = [
            (entry["study_id"], entry["sequence"], entry["blank"], entry["slices"])
            for entry in content["blank_by_series"]
        ]
        lines += [
            "",
            f"{content['blank_slices']} blank slices:",
            *table(blank, ("study", "sequence", "blank", "slices")),
        ]
    return [*lines, *(plain(text) for text in content["notes"]), *fault_lines(content["unreadable"])]


def _range(spacings: list[dict[str, Any]], sequence: str, name: str) -> str | None:
    """Smallest to largest spacing of one sequence."""
    values = sorted(entry[name] for entry in spacings if entry["sequence"] == sequence)
    if not values:
        return None
    return f"{values[0]:g}" if values[0] == values[-1] else f"{values[0]:g} to {values[-1]:g}"


def _pairs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
