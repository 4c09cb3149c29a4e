"""audit: what is wrong with a cohort."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from core.audit.checks import audit_cohorts
from core.audit.crosswalk import read_crosswalk
from core.audit.findings import KINDS, AuditReport, Finding
from core.audit.persons import read_pairs, write_pairs
from core.audit.split_source import Parts, read_split
from core.cli.cohort import read_cohort
from core.cli.options.shared import OVERLAP_OPTIONS
from core.cli.output import Outcome, TerminalProgress, note, plain
from core.cli.parser import UsageError
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.dataset.split import Split
from core.errors import RunError
from core.files import write_atomic
from core.runs.folder import find_run
from core.settings import Settings

SHOWN = 5
"""Findings of one kind, and places of one finding, that are shown in full."""


def audit(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Audit DATA, alone, with a split, or with other cohorts; findings are no failure."""
    split = _find_split(arguments.split, settings) if arguments.split else None
    useless = [name for name in OVERLAP_OPTIONS if getattr(arguments, name) is not None]
    if useless and not arguments.others:
        raise UsageError(f"--{useless[0]} is about persons of two cohorts, and only one is given; name the other too.")
    cohort = read_cohort(arguments, settings)
    others = [_read_other(Path(place), arguments.jobs, settings) for place in arguments.others]
    report, overlaps = audit_cohorts(
        [cohort, *others],
        settings,
        split=split,
        crosswalk=read_crosswalk(Path(arguments.crosswalk)) if arguments.crosswalk else None,
        pairs=read_pairs(Path(arguments.pairs)) if arguments.pairs else None,
        jobs=arguments.jobs,
        progress=TerminalProgress("reading pixels"),
    )
    probable = [match for overlap in overlaps for match in overlap.matches.probable]
    if arguments.pairs and probable:
        write_pairs(Path(arguments.pairs), probable)
        note(f"{len(probable)} pairs that look like one scan are in {arguments.pairs}, to be marked yes or no.")
    if arguments.csv:
        path = Path(arguments.csv).expanduser()
        write_atomic(path, report.to_csv())
        note(f"{len(report.findings)} findings are in {path}.")
    document = {**report.to_dict(), "root": str(cohort.root), "synthetic": cohort.synthetic}
    if others:
        document |= {
            "roots": [str(one.root) for one in (cohort, *others)],
            "overlap": [one.to_dict() for one in overlaps],
        }
    unchecked = [plain(text) for overlap in overlaps for text in overlap.matches.unchecked]
    return Outcome(document=document, lines=[*_describe(report), *unchecked])


def _read_other(root: Path, jobs: int | None, settings: Settings) -> Cohort:
    return scan_cohort(root, jobs=jobs, progress=TerminalProgress("reading headers"), settings=settings)


def _find_split(named: str, settings: Settings) -> Split | Parts:
    """Return the split of a run, else of the file or the folder of that name."""
    try:
        return find_run(named, settings).split()
    except RunError:
        place = Path(named).expanduser()
        if not place.exists():
            raise
        return read_split(place, settings)


def _describe(report: AuditReport) -> list[str]:
    lines = ["checked: " + ", ".join(f"{count:,} {what}" for what, count in report.counted.items())]
    if not report.findings:
        return [*lines, "nothing found"]
    lines.append("found: " + ", ".join(f"{count} {severity}s" for severity, count in report.counts().items()))
    for kind, group in groupby(report.findings, key=lambda finding: finding.kind):
        found = list(group)
        lines += ["", f"{found[0].severity.upper()}  {KINDS[kind].title} ({len(found)})", f"  -> {found[0].remedy}"]
        lines += _list_some(found)
    return lines


def _list_some(findings: list[Finding]) -> Iterable[str]:
    for finding in findings[:SHOWN]:
        yield f"  {plain(finding.message)}"
        places = ", ".join(plain(place) for place in finding.where[:SHOWN])
        yield f"    {places}" + (f" and {len(finding.where) - SHOWN} more" if len(finding.where) > SHOWN else "")
    if len(findings) > SHOWN:
        yield f"  and {len(findings) - SHOWN} more; --json and --csv list them all"
