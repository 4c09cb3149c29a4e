"""Does the audit find every fault that was planted, and nothing on a cohort without faults?

    python benchmarks/bench_audit.py [--studies 40] [--slices 24] [--size 96] [--seeds 0 1]

For each seed two synthetic cohorts are made, one clean and one with a fault of each kind in a known place, and both
are audited; so are two splits that leak on purpose. Printed are the recall (planted faults that were found, of how
many) and the false findings (warnings and errors on the clean cohort, of how many things checked). Notes on a clean
cohort are not false: it does have blank ends, several planes and shuffled file numbers, as real data have; the
benchmark checks each against the files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from measuring import machine, parse_arguments, print_table

from core.audit.checks import audit_cohort
from core.audit.findings import AuditReport
from core.config import PrepConfig, SplitConfig
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.dataset.split import PARTS, Split, make_split
from core.dataset.table import build_table
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.phantom.faults import Planted, read_planted
from core.settings import Settings, load_settings

NORMAL = {"blank-slices", "mixed-planes", "file-order"}
"""Notes that are true of every synthetic cohort."""


def main() -> int:
    """Make, audit, compare, print; 1 where a fault was missed or a false one found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, default in (("studies", 40), ("slices", 24), ("size", 96)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--folder", type=Path, help="keep the cohorts there; by default they are deleted again")
    arguments = parse_arguments(parser, studies=24, slices=8, size=32, seeds=[0])
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        settings = replace(load_settings(), home=folder / "home")
        rows, missed, false = [], [], []
        for seed in arguments.seeds:
            config = PhantomConfig(studies=arguments.studies, slices=arguments.slices, size=arguments.size, seed=seed)
            clean, report, seconds = _audit(folder / f"clean-{seed}", config, settings)
            wrong = [
                finding
                for finding in report.findings
                if finding.kind not in NORMAL or not _is_true(finding.kind, finding.where, clean)
            ]
            false += [(finding.kind, finding.where[:3]) for finding in wrong]
            checked = report.counted
            rows.append(
                (seed, "clean", f"{checked['series']} series, {checked['slices']} slices", "-", len(wrong), seconds)
            )
            faulty, report, seconds = _audit(
                folder / f"faults-{seed}", config.model_copy(update={"faults": True}), settings
            )
            planted = read_planted(faulty.root)
            lost = [fault for fault in planted if not _is_found(fault, report)]
            lost += list(_miss_leaks(faulty, planted, settings))
            missed += lost
            count = len(planted) + LEAKS
            checked = report.counted
            rows.append(
                (
                    seed,
                    "faults",
                    f"{checked['series']} series, {checked['slices']} slices",
                    f"{count - len(lost)} of {count}",
                    "-",
                    seconds,
                )
            )
    print(machine())
    print_table(
        "Audit of synthetic cohorts",
        ("seed", "cohort", "checked", "planted faults found", "false findings", "seconds"),
        rows,
    )
    total = len(arguments.seeds) * (len(planted) + LEAKS)
    print(
        f"\nrecall {1 - len(missed) / total:.3f} (n = {total} planted faults), false findings {len(false)} (n = {len(arguments.seeds)} clean cohorts)"
    )
    for kind, where in [*missed, *false]:
        print(f"  {'missed' if (kind, where) in missed else 'false'}: {kind} {', '.join(where)}")
    return 1 if missed or false else 0


def _audit(folder: Path, config: PhantomConfig, settings: Settings) -> tuple[Cohort, AuditReport, float]:
    make_phantom(folder, config)
    cohort = scan_cohort(folder)
    start = time.perf_counter()
    report = audit_cohort(cohort, settings)
    return cohort, report, round(time.perf_counter() - start, 1)


def _is_found(fault: Planted, report: AuditReport) -> bool:
    kind, where = fault
    return any(finding.kind == kind and set(where) <= set(finding.where) for finding in report.findings)


def _is_true(kind: str, where: tuple[str, ...], cohort: Cohort) -> bool:
    """Check a note against the files themselves."""
    import numpy as np
    from pydicom import dcmread

    if kind == "blank-slices":
        return all(np.count_nonzero(dcmread(cohort.root / file).pixel_array) <= 3 for file in where)
    if kind == "mixed-planes":
        return all(len({series.plane for series in cohort[study].series}) > 1 for study in where)
    return all(_is_shuffled(cohort, name) for name in where)


def _is_shuffled(cohort: Cohort, name: str) -> bool:
    study, _, sequence = name.partition("/")
    series = next(one for one in cohort[study].series if one.sequence == sequence)
    numbers = [int(path.stem.rpartition("-")[2]) for path in series.files]
    return numbers not in (sorted(numbers), sorted(numbers)[::-1])


LEAKS = 3
"""Faults that only a split can have: a patient, a series and a duplicate on both sides."""


def _miss_leaks(cohort: Cohort, planted: list[Planted], settings: Settings) -> Iterator[Planted]:
    """Split on purpose so that it leaks, and yield what the audit does not find of it."""
    prep = PrepConfig(size_px=32, slice_count=4)
    table = build_table(cohort, prep, settings)
    by_slice = make_split(table, SplitConfig(split_unit="slice"), cohort.digest)
    study = cohort.labelled[0]
    series = f"{study.study_id}/{study.series[0].sequence}"
    torn = Split(
        train=_keys(by_slice, series)[:1],
        val=_keys(by_slice, series)[1:],
        test=(),
        unit="slice",
        seed=0,
        cohort_digest=cohort.digest,
    )
    report = audit_cohort(cohort, settings, split=torn)
    for fault in (("patient-on-both-sides", (study.study_id,)), ("series-on-both-sides", (series,))):
        if not _is_found(fault, report):
            yield fault
    _, pair = next(fault for fault in planted if fault[0] == "same-patient")
    others = [one.study_id for one in cohort if one.study_id not in pair]
    apart = Split(
        train=(pair[0], *others[:-4]),
        val=tuple(others[-4:]),
        test=(pair[1],),
        unit="patient",
        seed=0,
        cohort_digest=cohort.digest,
    )
    report = audit_cohort(cohort, settings, split=apart)
    found = {
        file.split("/")[1]
        for finding in report.findings
        if finding.kind == "duplicate-on-both-sides"
        for file in finding.where
    }
    if not set(pair) <= found:
        yield "duplicate-on-both-sides", pair


def _keys(split: Split, series: str) -> tuple[str, ...]:
    """The keys (study|sequence|...) of one series' slices, in whatever part they are."""
    units = (key for part in PARTS for key in split.units(part))
    return tuple(sorted(key for key in units if "/".join(key.split("|")[:2]) == series))


if __name__ == "__main__":
    sys.exit(main())
