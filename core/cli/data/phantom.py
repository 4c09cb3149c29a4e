"""phantom: a synthetic cohort with a signal of known strength."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.options import positive
from core.cli.output import Outcome, TerminalProgress
from core.cli.parser import Parser, set_command
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.settings import Settings


def define_phantom(parser: Parser) -> None:
    """Add what ``phantom`` takes."""
    set_command(parser, phantom)
    parser.add_argument("folder", metavar="DIR", help="where it goes; must be empty or not exist")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes; by default the CPUs there are")
    for name, info in PhantomConfig.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        text = " ".join((info.description or "").split()).replace("%", "%%")
        if info.annotation is bool:
            parser.add_argument(option, action="store_const", const=True, help=text)
        else:
            parser.add_argument(option, metavar="N", help=f"{text} (default: {info.default})")


def phantom(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Make the synthetic cohort."""
    given = {name: getattr(arguments, name) for name in PhantomConfig.model_fields}
    config = PhantomConfig.model_validate({name: value for name, value in given.items() if value is not None})
    report = make_phantom(Path(arguments.folder), config, progress=TerminalProgress("drawing"), jobs=arguments.jobs)
    document = {
        "folder": str(report.folder),
        **config.model_dump(),
        "auroc_of_z": report.auroc_of_z,
        "best_auroc": report.best_auroc,
        "synthetic": True,
    }
    lines = [
        f"{report.studies} synthetic studies are in {report.folder}.",
        f"A perfect model reaches a patient AUROC of {report.best_auroc:.3f} in expectation, {report.auroc_of_z:.3f} on these.",
    ]
    return Outcome(document=document, lines=lines)
