"""leak-meter and shortcuts: what can make a figure look good without the tumour, with nothing trained."""

from __future__ import annotations

import argparse
from dataclasses import replace

from core.cli.cohort import read_cohort
from core.cli.output import Outcome, TerminalProgress, plain
from core.config import PrepConfig, RunConfig, apply_settings
from core.data.study import Cohort
from core.experiments.controls.leak_meter import LeakMeter, measure_cohort, meter_prep
from core.experiments.controls.shortcuts import CONTROLS, Shortcuts, find_shortcuts
from core.figure_text import figure_text, p_text
from core.settings import Settings


def leak_meter(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Measure the leak of a split by slice."""
    settings = replace(settings, threads=arguments.jobs or settings.threads)
    cohort = read_cohort(arguments, settings)
    found = measure_cohort(
        cohort,
        settings,
        _read_prep(arguments, cohort),
        repeats=arguments.repeats,
        seed=arguments.seed,
        jobs=arguments.jobs,
        progress=TerminalProgress("preparing"),
    )
    return Outcome(document={"data": str(cohort.root), **found.to_dict()}, lines=_describe_leak(found))


def shortcuts(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Run the controls."""
    cohort = read_cohort(arguments, settings)
    found = find_shortcuts(
        cohort,
        settings,
        _read_prep(arguments, cohort),
        permutations=arguments.permutations,
        seed=arguments.seed,
        jobs=arguments.jobs,
        progress=TerminalProgress("controls"),
    )
    return Outcome(document={"data": str(cohort.root), **found.to_dict()}, lines=_describe_shortcuts(found))


def _read_prep(arguments: argparse.Namespace, cohort: Cohort) -> PrepConfig:
    """The meter's preparation with the --set values in it."""
    return apply_settings(RunConfig(prep=meter_prep(cohort)), arguments.settings).prep


def _describe_leak(found: LeakMeter) -> list[str]:
    rows = (
        ("slices dealt out singly, true labels", found.by_slice),
        ("slices dealt out singly, labels shuffled by patient", found.by_slice_shuffled),
        ("whole patients held out, true labels", found.by_patient),
        ("whole patients held out, labels shuffled by patient", found.by_patient_shuffled),
        ("neighbour is a slice of the same patient", found.same_patient),
    )
    return [
        f"Nearest neighbour on 24 x 24 thumbnails of {', '.join(found.sequences)}: {found.slices} slices of "
        f"{found.patients} patients{' (synthetic)' if found.synthetic else ''}, nothing trained.",
        *(f"  {title}: {figure_text(figure)}" for title, figure in rows),
        f"  always saying the commonest class: {found.majority:.3f} (n = {found.slices})",
        "Share of the evaluated patients with sibling slices in training, and the accuracy with shuffled labels:",
        *(f"  {point.share:4.0%}: {figure_text(point.shuffled)}" for point in found.dose),
        *(plain(note) for note in found.notes),
    ]


def _describe_shortcuts(found: Shortcuts) -> list[str]:
    lines = [
        f"{found.patients} patients, {found.slices} slices{' (synthetic)' if found.synthetic else ''}; labels shuffled {plain(found.within)}."
    ]
    for control in CONTROLS:
        result = found.results.get(control.name)
        if result is not None:
            lines += [
                f"{control.title} ({control.sees}):",
                f"  AUROC by patient {figure_text(result.auroc)}, permutation {p_text(result.p_value)} "
                f"(N = {len(result.null)}), {p_text(found.adjust(control.name), 'after Holm')}"
                + (f": {control.found}." if found.found(control.name) else "."),
            ]
    if found.found("headers"):
        lines.append(f"The headers' model leans on: {', '.join(plain(name) for name in found.features)}.")
    for one in found.panel[:3]:
        lines.append(
            f"  {plain(one.name)} by itself: AUROC {one.auroc:.3f} (n = {one.patients}), {p_text(one.p_value, 'over all headers')}"
        )
    return [*lines, *(plain(note) for note in found.notes)]
