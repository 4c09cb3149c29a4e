"""index, prepare, audit and deidentify: what they take."""

from __future__ import annotations

from core.cli.options.shared import add_backend, add_config, add_data, add_overlap, add_raw
from core.cli.parser import Parser, set_command


def define_index(parser: Parser) -> None:
    """Add what ``index`` takes."""
    set_command(parser, "core.cli.data.index:index")
    add_data(parser)
    add_backend(parser)
    parser.add_argument("--blanks", action="store_true", help="read the pixels too and count the blank slices")


def define_prepare(parser: Parser) -> None:
    """Add what ``prepare`` takes."""
    set_command(parser, "core.cli.data.prepare:prepare")
    add_data(parser)
    add_backend(parser)
    add_raw(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="with --from raw: where the processed cohort goes, a cohort as any other (default: a folder in the cache)",
    )
    add_config(parser, preset="honest")


def define_audit(parser: Parser) -> None:
    """Add what ``audit`` takes."""
    set_command(
        parser,
        "core.cli.data.audit:audit",
        "Reads every pixel once and remembers what it saw. Ids that are one patient stand in a table "
        "(study_id,same_person_as,source) that --identity names, or in identity.csv in MGMT_LAB_HOME.",
    )
    add_data(parser)
    parser.add_argument(
        "others",
        metavar="OTHER",
        nargs="*",
        default=[],
        help="more cohorts, read as they are found: each is audited, and persons who are in two of them are named",
    )
    add_overlap(parser)
    parser.add_argument(
        "--split",
        metavar="RUN|FILE|TREE",
        help="also find patients and images on both sides of this split: that of a run, a split.json, a CSV with the columns "
        "name (or study_id) and part, or a folder of TRAIN, VAL and TEST",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the findings there too, one row each")


def define_deidentify(parser: Parser) -> None:
    """Add what ``deidentify`` takes."""
    set_command(
        parser,
        "core.cli.data.deidentify:deidentify",
        "Follows the Basic Profile of DICOM PS3.15: names, ids, private attributes and free text go, UIDs are replaced "
        "alike everywhere, dates are moved by one span per person. The source is only read; an interrupted copy is resumed.",
    )
    add_data(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="the copy's folder: new or empty, outside DATA")
    parser.add_argument(
        "--mapping", metavar="CSV", help="write there who has which pseudonym; without it nobody can go back"
    )
