"""export: its forms and what they take."""

from __future__ import annotations

from core.cli.options.shared import add_config, add_data, add_run
from core.cli.parser import Parser, add_commands, set_command

FORMS = {
    "imagefolder": ("export", "Write a TRAIN/VAL/TEST tree of class folders, one PNG per slice."),
    "checkpoint": (
        "export",
        "Write a run's best weights as one file to pass on, in bfloat16, with its card and what evaluate has found.",
    ),
    "onnx": (
        "export",
        "Write a checkpoint with a graph beside it that onnxruntime runs without PyTorch: network, maps and card.",
    ),
    "web": (
        "export",
        "Write a checkpoint as a page of static files that reads scans, predicts and draws maps in the browser alone.",
    ),
    "run": (
        "export",
        "Write a run as one zip that runs import takes in elsewhere: settings, split, curves, predictions, weights.",
    ),
    "report": (
        "export",
        "Write a run's claim sheet, one HTML page to print or save: what may be claimed and what was not checked.",
    ),
}


def define_export(parser: Parser) -> None:
    """Add the forms of ``export``."""
    add_commands(parser, FORMS, title="forms", metavar="FORM", required=True)


def define_imagefolder(parser: Parser) -> None:
    """Add what ``imagefolder`` takes."""
    set_command(parser, "core.cli.export:export_imagefolder")
    add_data(parser)
    add_config(parser, preset="paper")
    parser.add_argument("--out", required=True, metavar="DIR", help="where it goes; must be empty or not exist")


def define_checkpoint(parser: Parser) -> None:
    """Add what ``checkpoint`` takes."""
    set_command(parser, "core.cli.export:export_checkpoint")
    add_run(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="a .safetensors file; its card goes beside it")
    parser.add_argument("--replace", action="store_true", help="overwrite the file if it exists")


def define_onnx(parser: Parser) -> None:
    """Add what ``onnx`` takes."""
    set_command(
        parser,
        "core.cli.scans.export_onnx:export",
        "Its answers are compared with PyTorch's first, and nothing is written where they differ.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a name, a run, a folder or a .safetensors file")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="where the bundle goes; the checkpoint's own folder adds the graph"
    )
    parser.add_argument("--replace", action="store_true", help="overwrite the files if they exist")


def define_web(parser: Parser) -> None:
    """Add what ``web`` takes."""
    set_command(
        parser,
        "core.cli.scans.export_web:export",
        "It takes the checkpoint's graph (export onnx) and the packages that make web installs.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a name, a run, a folder or a .safetensors file")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the page goes")
    parser.add_argument("--replace", action="store_true", help="overwrite what is there")


def define_run(parser: Parser) -> None:
    """Add what ``run`` takes."""
    set_command(
        parser, "core.cli.export:export_whole_run", "Home folders in paths become ~; resume.pt and the log stay here."
    )
    parser.add_argument("run", metavar="RUN", help="a run's name or folder; not one that is being trained")
    parser.add_argument("--out", required=True, metavar="FILE", help="a .zip file")
    parser.add_argument("--replace", action="store_true", help="overwrite the file if it exists")


def define_report(parser: Parser) -> None:
    """Add what ``report`` takes."""
    set_command(parser, "core.cli.export:export_report")
    add_run(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="where it goes, with its JSON beside (default: claim-RUN.html here)"
    )
    parser.add_argument(
        "--answers",
        metavar="FILE",
        help="what only the author can say, filled in in the sheet's JSON; kept with the run and merged whenever it is made anew",
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="read every image of the cohort: for duplicates across the split, and for shortcuts",
    )
