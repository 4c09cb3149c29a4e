"""Parse, run one command, print its outcome: exit 0, or 2 with one line for whatever a person can get wrong."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

from core.cli import (
    audit,
    controls,
    cross_validate,
    data,
    evaluate,
    explain,
    export,
    maps,
    models,
    power,
    predict,
    questions,
    reliability,
    reruns,
    runs,
    seal,
    search,
    train,
)
from core.cli.options import Parser, UsageError
from core.cli.output import INTERRUPTED, WRONG, Outcome, note, to_json
from core.errors import MGMTLabError

PIPE_CLOSED = 141
"""128 + SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Standard output holds the outcome and nothing else, also where a library prints.
    """
    from core.settings import load_settings

    try:
        arguments = build_parser().parse_args(argv)
        _refuse_torchrun(arguments)
        with redirect_stdout(sys.stderr), _without_warnings():
            outcome: Outcome = arguments.command(arguments, load_settings())
        if not outcome.silent:
            print(to_json(outcome.document) if arguments.json else "\n".join(outcome.lines), flush=True)
    except (MGMTLabError, UsageError) as error:
        note(f"error: {error}")
        return WRONG
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        note(f"error: {' '.join(str(error).split())}")
        return WRONG
    except KeyboardInterrupt:
        note("Interrupted.")
        return INTERRUPTED
    return outcome.exit_status


def _refuse_torchrun(arguments: argparse.Namespace) -> None:
    """Only training is shared out; any other command would be done by every process that torchrun starts."""
    from core.training.torchrun import asked_size

    trains = arguments.command is train.train or (
        arguments.command is runs.runs and getattr(arguments, "action", None) == "resume"
    )
    if not trains and asked_size() > 1:
        raise UsageError("Under torchrun there are only train and runs resume; start this command with python -m core.")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep what libraries warn of away from a person, who has a line of ours; ``python -W`` brings it back."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore", UserWarning)
        yield


def build_parser() -> Parser:
    """Assemble the commands; cheap, for everything heavy is imported inside them."""
    parser = Parser(
        prog="python -m core",
        description="MGMT Lab: from a brain-MR cohort to a prediction with its map. For research only.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        data,
        audit,
        train,
        runs,
        evaluate,
        predict,
        explain,
        maps,
        export,
        models,
        controls,
        reruns,
        seal,
        power,
        reliability,
        questions,
        search,
        cross_validate,
    ):
        module.add_commands(commands)
    return parser
