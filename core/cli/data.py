"""phantom, index and prepare: the data, before any model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.cli.options import add_backend, add_config, add_data, on_backend, positive, read_cohort, read_config
from core.cli.output import Outcome, TerminalProgress, plain, table
from core.cli.parser import Parser, set_command
from core.data.summary import count_blank_slices, describe_cohort
from core.dataset.table import build_table
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import Settings

FAULTS_SHOWN = 10


def define_phantom(parser: Parser) -> None:
    """Add what ``phantom`` takes."""
    set_command(parser, phantom)
    parser.add_argument("folder", metavar="DIR", help="where it goes; must be empty or not exist")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes; by default the CPUs there are")
    for name, info in PhantomConfig.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        text = " ".join((info.description or "").split()).replace("%", "%%")
        if info.annotation is bool:
            parser.add_argument(option, action="store_const", const=True, help=text)
        else:
            parser.add_argument(option, metavar="N", help=f"{text} (default: {info.default})")


def define_index(parser: Parser) -> None:
    """Add what ``index`` takes."""
    set_command(parser, on_backend(index))
    add_data(parser)
    add_backend(parser)
    parser.add_argument("--blanks", action="store_true", help="read the pixels too and count the blank slices")


def define_prepare(parser: Parser) -> None:
    """Add what ``prepare`` takes."""
    set_command(parser, on_backend(prepare))
    add_data(parser)
    add_backend(parser)
    add_config(parser, preset="honest")


def phantom(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Make the synthetic cohort."""
    given = {name: getattr(arguments, name) for name in PhantomConfig.model_fields}
    config = PhantomConfig.model_validate({name: value for name, value in given.items() if value is not None})
    report = make_phantom(Path(arguments.folder), config, progress=TerminalProgress("drawing"), jobs=arguments.jobs)
    document = {
        "folder": str(report.folder),
        **config.model_dump(),
        "auroc_of_z": report.auroc_of_z,
        "best_auroc": report.best_auroc,
        "synthetic": True,
    }
    lines = [
        f"{report.studies} synthetic studies are in {report.folder}.",
        f"A perfect model reaches a patient AUROC of {report.best_auroc:.3f} in expectation, {report.auroc_of_z:.3f} on these.",
    ]
    return Outcome(document=document, lines=lines)


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


def prepare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Prepare every series through the cache."""
    config = read_config(arguments)
    cohort = read_cohort(arguments, settings)
    images = build_table(cohort, config.prep, settings, jobs=arguments.jobs, progress=TerminalProgress("preparing"))
    faults = [{"path": fault.path, "reason": fault.reason} for fault in (*cohort.faults, *images.faults)]
    document = {
        "studies": len(cohort),
        "series": len(images.arrays),
        "pictures": len(images),
        "blank_slices": sum(images.blank_counts),
        "prep": config.prep.model_dump(mode="json"),
        "cache": str(settings.cache),
        "unreadable": faults,
    }
    lines = [
        f"{len(images)} pictures of {config.prep.size_px} x {config.prep.size_px} px from {len(images.arrays)} series "
        f"of {len(cohort)} studies are in {settings.cache}; {document['blank_slices']} blank slices were left out.",
        *fault_lines(faults),
    ]
    return Outcome(document=document, lines=lines)


def fault_lines(faults: list[dict[str, str]]) -> list[str]:
    """The first faults in full and how many more there are."""
    lines = [f"  ! {plain(fault['path'])}: {plain(fault['reason'])}" for fault in faults[:FAULTS_SHOWN]]
    if len(faults) > FAULTS_SHOWN:
        lines.append(f"  ! and {len(faults) - FAULTS_SHOWN} more; --json lists them all")
    return lines
