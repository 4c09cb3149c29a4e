"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress

from core.mri import MRSequence
from core.settings import LAST_PORT

LAYOUTS = ("rsna", "phases", "classes", "flat")


COHORTS = (
    *("rsna-miccai", "upenn-gbm", "ucsf-pdgm", "brats21", "brats-gli", "ds007045", "utsw-glioma", "mu-glioma-post"),
    *("lumiere", "tcga-gbm", "bids", "processed", "folder"),
)
"""Names of the adapters (:mod:`core.data.cohorts.registry`), which are also layouts."""


BACKENDS = ("processes", "dask")
RAW_STEPS = ("orient", "n4", "register", "brain", "grid")
"""Those of :mod:`core.data.raw.config`, which takes longer to import."""


DATA_OPTIONS = (
    *("labels", "target", "positive", "cutoff", "session"),
    *("patient_pattern", "layout", "sequence", "assign", "identity", "jobs"),
)
"""Names, as argparse keeps them, of the options that say how to read DATA."""
OVERLAP_OPTIONS = ("crosswalk", "pairs")
"""Those of :func:`add_overlap`."""


def add_data(
    parser: argparse.ArgumentParser, name: str = "data", *, may_lack: bool = False, several: bool = False
) -> None:
    """Add DATA and the options that say how to read it; `name` "--data", or `may_lack`, makes it optional.

    With `several` it is COHORT, once or more often.
    """
    parser.add_argument(
        name,
        metavar="COHORT" if several else "DATA",
        nargs="+" if several else "?" if may_lack else None,
        help="a cohort: the competition's folder (its root or its train/), a TRAIN/VAL/TEST tree, class folders, or a "
        "flat folder of images",
    )
    group = parser.add_argument_group("how to read DATA")
    group.add_argument("--labels", metavar="TABLE", help="label table (CSV, TSV, xlsx), where it is not with the data")
    group.add_argument("--target", metavar="COLUMN", help="column of it that is predicted; by default the MGMT status")
    group.add_argument("--positive", metavar="VALUE", help="which of that column's values is the positive class")
    group.add_argument(
        "--cutoff", type=float, metavar="NUMBER", help="for a column of numbers: those from here on are positive"
    )
    group.add_argument(
        "--session",
        metavar="NAME",
        help="which session of each person is used: a session's name, last or all; by default the pre-operative or first",
    )
    group.add_argument(
        "--patient-pattern",
        metavar="REGEX",
        help="how to read the patient from an image's name; by default the leading digits, or the numbered words before the sequence",
    )
    group.add_argument(
        "--layout",
        choices=(*LAYOUTS, *COHORTS),
        metavar="NAME",
        help="the layout of DATA, where it is detected wrongly: %(choices)s",
    )
    add_sequence(group)
    add_assign(group)
    group.add_argument(
        "--identity",
        metavar="CSV",
        help="ids that are one patient (study_id,same_person_as), beside the pairs that are known; a split keeps them together",
    )
    group.add_argument(
        "--jobs", type=positive, metavar="N", help="processes (training: threads); by default the CPUs there are"
    )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add --backend and --scheduler; the command must be wrapped by :func:`core.cli.cohort.on_backend`."""
    group = parser.add_argument_group("where the work is done")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="processes of this machine (the default), or the workers of a Dask cluster, which see the same folders",
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, for example tcp://10.0.0.1:8786")


def add_overlap(parser: argparse.ArgumentParser) -> None:
    """Add --crosswalk and --pairs, by which persons of two cohorts are told to be one."""
    group = parser.add_argument_group("persons who are in both")
    group.add_argument(
        "--crosswalk",
        metavar="TABLE",
        help="ids of the two that are one person, such as BraTS2021_MappingToTCIA.xlsx or UCSF-PDGM-metadata_v5.csv",
    )
    group.add_argument(
        "--pairs",
        metavar="CSV",
        help="pairs that look like one scan: written there, to be marked yes or no in the column same, and read again",
    )


def add_raw(parser: argparse.ArgumentParser) -> None:
    """Add --from and --steps; :func:`core.cli.raw.read_raw` reads them."""
    group = parser.add_argument_group("scans as they came from the scanner")
    group.add_argument(
        "--from",
        dest="origin",
        choices=("raw",),
        help="raw: the scans are neither registered nor skull-stripped; process them first, and refuse by name what fails a check",
    )
    group.add_argument(
        "--steps",
        nargs="+",
        choices=RAW_STEPS,
        metavar="STEP",
        help="only these steps of --from raw (default: all of %(choices)s)",
    )


def add_sequence(parser: argparse._ActionsContainer) -> None:
    """Add --sequence."""
    parser.add_argument(
        "--sequence",
        choices=[str(sequence) for sequence in MRSequence if sequence != MRSequence.UNKNOWN],
        help="the MR sequence of files that do not say it themselves",
    )


def add_assign(parser: argparse._ActionsContainer) -> None:
    """Add --assign."""
    parser.add_argument(
        "--assign",
        action="append",
        type=assignment,
        metavar="UID=SEQUENCE",
        help="the MR sequence of one series, against what was recognised (unknown sets it aside); may be given again",
    )


def assignment(text: str) -> tuple[str, MRSequence]:
    """Read a series UID and the sequence assigned to it, as in 1.2.840.1=FLAIR."""
    series_uid, _, name = text.rpartition("=")
    names = {str(sequence).lower(): sequence for sequence in MRSequence}
    if not series_uid or name.lower() not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is not UID=SEQUENCE, with one of: {', '.join(MRSequence)}")
    return series_uid, names[name.lower()]


def add_run(parser: argparse.ArgumentParser, *, may_lack: bool = False) -> None:
    """Add RUN; one that `may_lack` is looked for by :func:`core.cli.runs.listing.named_run`."""
    parser.add_argument("run", nargs="?" if may_lack else None, metavar="RUN", help="a run's name or folder")


def add_parallel(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --parallel, of trainings or workers."""
    parser.add_argument(
        "--parallel", type=positive, default=1, metavar="N", help=f"{what} at the same time (default: 1)"
    )


def add_behind_queue(parser: argparse.ArgumentParser) -> None:
    """Add --behind-queue."""
    parser.add_argument("--behind-queue", action="store_true", help="wait until no run trains or waits, then begin")


def between(low: float, high: float) -> Callable[[str], float]:
    """Return what reads a number from `low` to `high`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if low <= float(text) <= high:
                return float(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low:g} and {high:g}")

    return read


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def port(text: str) -> int:
    """Read a port's number, 1 to 65535."""
    if not text.isdigit() or not 1 <= int(text) <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number of 1 to {LAST_PORT}")
    return int(text)


def add_config(parser: argparse.ArgumentParser, preset: str) -> None:
    """Add --preset and --set."""
    parser.add_argument(
        "--preset", default=preset, metavar="NAME", help=f"the configuration to start from (default: {preset})"
    )
    add_settings(parser, "change one value of it; may be given again and again")


def add_settings(parser: argparse.ArgumentParser, said: str) -> None:
    """Add --set with its help."""
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help=said)


def add_vary(parser: argparse.ArgumentParser, example: str) -> None:
    """Add --vary; its help ends with an example."""
    parser.add_argument(
        "--vary",
        action="append",
        nargs="+",
        default=[],
        metavar="NAME VALUE",
        help=f"a setting and the values to try, for example: {example}",
    )
