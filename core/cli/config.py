"""The configuration and the data that a command names, as a run keeps them.

Apart from :mod:`core.cli.cohort`, because loading the configuration takes longer than ``index`` of an unchanged cohort.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from core.config import RunConfig, apply_settings
from core.errors import DataError
from core.presets import find_preset
from core.runs.records import DataSource


def read_config(arguments: argparse.Namespace) -> RunConfig:
    """Return the preset with the --set values in it; raises ConfigError."""
    return apply_settings(find_preset(arguments.preset).config, arguments.settings)


def read_source(arguments: argparse.Namespace) -> DataSource:
    """Name DATA and how to read it, for a run or an experiment, which reads it again; a folder that is not there is none.

    Raises
    ------
    DataError
        There is no such folder.
    """
    if not Path(arguments.data).expanduser().is_dir():
        raise DataError(f"There is no folder {arguments.data}; name one that holds a cohort.")
    return DataSource(
        root=arguments.data,
        labels=arguments.labels,
        patient_pattern=arguments.patient_pattern,
        sequence=arguments.sequence,
        layout=arguments.layout,
        identity=arguments.identity,
        assign=tuple(arguments.assign or ()),
        target=arguments.target,
        positive=arguments.positive,
        cutoff=arguments.cutoff,
        session=arguments.session,
    )
