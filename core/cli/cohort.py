"""The cohort that DATA names, and where work on it is done."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, TerminalProgress
from core.cli.parser import Command, UsageError
from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.study import Cohort
from core.mri import MRSequence
from core.parallel import dask_cluster
from core.settings import Settings


def on_backend(command: Command) -> Command:
    """Make a command do its parallel work where --backend says."""

    def run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
        if arguments.backend == "processes":
            if arguments.scheduler:
                raise UsageError("--scheduler names a Dask cluster; add --backend dask, or leave it out.")
            return command(arguments, settings)
        if not arguments.scheduler:
            raise UsageError("--backend dask needs the cluster's address: --scheduler tcp://HOST:8786.")
        with dask_cluster(arguments.scheduler):
            return command(arguments, settings)

    return run


def read_cohort(arguments: argparse.Namespace, settings: Settings) -> Cohort:
    """Scan DATA as the options say, with progress on standard error; what did not change comes from the cache."""
    return scan_cohort(
        Path(arguments.data),
        labels=Path(arguments.labels) if arguments.labels else None,
        patient_pattern=arguments.patient_pattern,
        layout=arguments.layout,
        sequence=MRSequence(arguments.sequence) if arguments.sequence else None,
        jobs=arguments.jobs,
        progress=TerminalProgress("reading headers"),
        settings=settings,
        identity=Path(arguments.identity) if arguments.identity else None,
        sequence_overrides=dict(arguments.assign or ()),
        target=Target(column=arguments.target, positive=arguments.positive, cutoff=arguments.cutoff),
        session=arguments.session,
    )
