"""seal: fix the plan and the criterion of success before the test patients are evaluated."""

from __future__ import annotations

import argparse
from typing import Any

from core.cli.cohort import read_cohort
from core.cli.config import read_config
from core.cli.output import Outcome, TerminalProgress, plain, table
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.errors import SealError
from core.runs.evaluation import read_evaluation
from core.runs.folder import find_run, with_absolute_paths
from core.runs.ledger import REWRITABLE, check_ledger
from core.runs.records import DataSource
from core.runs.seal import METRICS, Criterion, Seal, attach_anchor, list_seals, make_seal, read_anchor, seal_of_run
from core.settings import Settings


def seal_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Seal a run's configuration and split."""
    run = find_run(arguments.run, settings)
    seal = make_seal(run.config, run.split(), _criterion(arguments), settings, note=arguments.note, run=run)
    return _sealed(seal)


def seal_data(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Seal a configuration on a cohort; the split is the one that a training would draw."""
    config, _ = with_absolute_paths(read_config(arguments), DataSource(root=arguments.data))
    criterion = _criterion(arguments)
    cohort = read_cohort(arguments, settings)
    images = build_table(cohort, config.prep, settings, jobs=arguments.jobs, progress=TerminalProgress("preparing"))
    split = make_split(images, config.split, cohort.digest)
    content = images.content_digest
    return _sealed(make_seal(config, split, criterion, settings, note=arguments.note, content_digest=content))


def check(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Say which seals are whole, or whether one run followed one."""
    if arguments.run is not None:
        run = find_run(arguments.run, settings)
        evaluation = read_evaluation(run, "test")
        figures = evaluation.judged if evaluation else None
        report = seal_of_run(run, settings, figures)
        if arguments.git is not None:
            if report.seal is None:
                raise SealError(
                    f"No plan was sealed for the test patients of {run.name}: there is no hash to look for."
                )
            attach_anchor(report.seal, arguments.git, settings)
            report = seal_of_run(run, settings, figures)
        return Outcome(document=report.model_dump(mode="json"), lines=[plain(report.words)])
    found, chain = list_seals(settings), check_ledger(settings)
    if arguments.git is not None:
        for _, seal, fault in found:
            if seal is not None and not fault:
                attach_anchor(seal, arguments.git, settings)
    anchors = {seal.name: read_anchor(seal, settings) for _, seal, _ in found if seal is not None}
    document = [
        {
            "file": str(path),
            "fault": fault,
            "seal": None if seal is None else seal.model_dump(mode="json"),
            "anchor": anchor.model_dump() if seal and (anchor := anchors[seal.name]) else None,
        }
        for path, seal, fault in found
    ]
    rows = [
        (path.stem, "", "", "", fault)
        if seal is None
        else (seal.name, seal.created[:16], f"{seal.test_units}", seal.hash[:12], fault or "whole")
        for path, seal, fault in found
    ]
    none = ["No plan has been sealed yet; seal one with: python -m core seal run RUN"]
    lines = table(rows, ("seal", "created (UTC)", "held out", "hash", "state")) if rows else none
    lines += [
        f"{name}: hash verified in commit {anchor.commit[:12]} of {anchor.date[:10]} ({anchor.where})"
        for name, anchor in anchors.items()
        if anchor
    ]
    if chain.entries:
        whole = f"whole, {chain.entries} entries, head {chain.head}" if not chain.fault else plain(chain.fault)
        lines += [f"Ledger of evaluations: {whole}.", REWRITABLE]
    return Outcome(document={"seals": document, "ledger": chain.to_dict()}, lines=lines)


def _criterion(arguments: argparse.Namespace) -> Criterion:
    if arguments.metric not in METRICS:
        raise SealError(f"There is no figure {arguments.metric!r} to seal; choose one of: {', '.join(METRICS)}.")
    if not 0 <= arguments.at_least <= 1:
        raise SealError(f"--at-least is {arguments.at_least:g}; give a number between 0 and 1.")
    return Criterion(metric=arguments.metric, bound=arguments.bound, at_least=arguments.at_least)


def _sealed(seal: Seal) -> Outcome:
    evaluated = (
        "they have not been evaluated"
        if not seal.looks_before
        else f"evaluations of them so far: {seal.looks_before}, so it comes too late"
    )
    units = "slices" if seal.config.split.split_unit == "slice" else "patients"
    lines = [
        f"{seal.name} of {seal.created[:19]} UTC: success is that {seal.criterion.words()}, n = {seal.test_units} {units}; {evaluated}.",
        f"hash {seal.hash}",
        "Give this hash to somebody else now; without a witness the seal proves nothing. A commit can be one: put the hash into "
        "a message or a file, push it, and verify it with: seal check --git REPO@COMMIT",
    ]
    document: dict[str, Any] = seal.model_dump(mode="json")
    return Outcome(document=document, lines=lines)
