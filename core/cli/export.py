"""export: a cohort as an ImageFolder tree; a run as one zip, its weights as one file, its claim sheet."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.cli.cohort import read_cohort
from core.cli.config import read_config
from core.cli.output import Outcome, TerminalProgress, fault_lines, plain, table
from core.dataset.export import export_imagefolder as write_tree
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.experiments.checklists.checklist import STATES, keep_answers, parse_answers
from core.experiments.claim_sheet import ask_shortcuts, audit_leakage, gather_claim, tabulate_parts
from core.files import write_atomic
from core.reports.claim_page import write_claim_page
from core.runs.bundle import export_run
from core.runs.folder import find_run
from core.runs.publish import publish_checkpoint
from core.settings import Settings


def export_imagefolder(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write the ImageFolder tree that a run of this configuration would see."""
    config = read_config(arguments)
    cohort = read_cohort(arguments, settings)
    images = build_table(cohort, config.prep, settings, jobs=arguments.jobs, progress=TerminalProgress("preparing"))
    split = make_split(images, config.split, cohort.digest)
    summary = write_tree(images, split, Path(arguments.out), progress=TerminalProgress("writing"))
    faults = [{"path": fault.path, "reason": fault.reason} for fault in (*cohort.faults, *images.faults)]
    document = {
        "folder": str(summary.folder),
        "pictures": summary.images,
        "split_unit": split.unit,
        "leaky": summary.leaky,
        "patient_pattern": summary.patient_pattern,
        "unlabelled_studies": summary.unlabelled_studies,
        "unreadable": faults,
    }
    rows = [(phase, name, count) for phase, counts in summary.images.items() for name, count in counts.items()]
    lines = [
        f"Written to {summary.folder}, split by {split.unit}{' (LEAKY: a patient is in several phases)' if summary.leaky else ''}:",
        *table(rows, ("phase", "class", "images")),
        *(
            [f"{summary.unlabelled_studies} studies without a label were left out."]
            if summary.unlabelled_studies
            else []
        ),
        *([f"Read it back with --patient-pattern {summary.patient_pattern!r}."] if summary.patient_pattern else []),
        *fault_lines(faults),
    ]
    return Outcome(document=document, lines=lines)


def export_checkpoint(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write a run's best weights as one file."""
    path = Path(arguments.out)
    card = publish_checkpoint(find_run(arguments.run, settings), path, replace=arguments.replace)
    document = {"checkpoint": str(path), "card": card.model_dump(mode="json")}
    return Outcome(document=document, lines=[f"Written: {plain(path)} and {plain(path.with_suffix('.md').name)}."])


def export_whole_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write a run as one zip."""
    path = Path(arguments.out).expanduser()
    manifest = export_run(find_run(arguments.run, settings), path, settings, replace=arguments.replace)
    document = {"file": str(path), "bytes": path.stat().st_size, "manifest": manifest.model_dump(mode="json")}
    rows = [(name, entry.bytes, entry.sha256[:12]) for name, entry in manifest.files.items()]
    return Outcome(document=document, lines=[*table(rows, ("file", "bytes", "SHA-256")), f"Written: {plain(path)}"])


def export_report(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write a run's claim sheet."""
    run = find_run(arguments.run, settings)
    leakage = audit_leakage(run, settings, progress=TerminalProgress("reading pixels")) if arguments.audit else None
    shortcuts = ask_shortcuts(run.source, settings, progress=TerminalProgress("shortcuts")) if arguments.audit else None
    covariates = tabulate_parts(run, settings) if arguments.audit else ()
    if arguments.answers:
        source = Path(arguments.answers).expanduser()
        keep_answers(run, parse_answers(source.read_bytes(), str(source)))
    sheet = gather_claim(run, settings, leakage, shortcuts, covariates)
    path = Path(arguments.out or f"claim-{run.name}.html")
    beside = path.with_suffix(".json")
    write_atomic(path, write_claim_page(sheet))
    write_atomic(beside, json.dumps(sheet.to_dict(), indent=1))
    document = {
        "file": str(path),
        "beside": str(beside),
        "checklists": {
            one.name: {state: one.count(state) for state in STATES} | ({"score": one.score} if one.score else {})
            for one in sheet.checklists
        },
        "sentence": sheet.sentence,
        "looks": sheet.looks,
        "seal": sheet.seal.state,
        "controls": {control.kind: control.result if control.done else None for control in sheet.controls},
        "leakage": list(sheet.leakage),
        "unchecked": list(sheet.unchecked),
        "participants": [
            {"step": name, "studies": studies, "persons": persons} for name, studies, persons in sheet.participants
        ],
    }
    lines = [
        plain(sheet.sentence),
        f"Not checked: {len(sheet.unchecked)} things, listed on the page.",
        *(
            f"{one.title}: {one.count('shown here')} of {len(one.items)} items shown here, {one.count('contradicted here')} contradicted."
            for one in sheet.checklists
        ),
        f"Written: {plain(path)} and {plain(beside.name)}, whose answers can be filled in and given back with --answers.",
    ]
    return Outcome(document=document, lines=lines)
