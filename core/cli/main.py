"""Parse, run one command, print its outcome: exit 0, or 2 with one line that names a wrong input."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

from core.cli.output import INTERRUPTED, WRONG, note, state_estimand, to_json
from core.cli.parser import Command, Parser, UsageError, add_commands, load
from core.errors import MGMTLabError
from core.files import describe_os_error
from core.settings import load_settings
from core.training.torchrun import asked_size

COMMANDS = {
    "phantom": ("phantom", "Make a synthetic cohort with a signal of known strength."),
    "index": ("data", "Say what a cohort holds: studies, series, labels, planes, spacings."),
    "prepare": ("data", "Fill the cache of prepared images; can be interrupted and resumed."),
    "audit": ("data", "Say what is wrong with a cohort, each finding with its files and its remedy."),
    "deidentify": (
        "data",
        "Write a copy of a cohort that does not tell whose its scans are: no names, moved dates, new UIDs.",
    ),
    "train": ("training", "Train a network; Ctrl-C stops it, runs resume resumes it."),
    "runs": (
        "runs",
        "List the training runs; show, stop or resume one; change their order; compare, tag, delete.",
    ),
    "evaluate": ("evaluation", "Evaluate a run's best checkpoint; every figure with its interval and n."),
    "predict": ("scans", "Predict from a scan: per study and slice, with warnings."),
    "explain": ("scans", "Write each slice beside its class activation map, as PNG."),
    "maps": (
        "scans",
        "Whether a checkpoint's maps are true: do they hit the tumour, and do they change with random weights?",
    ),
    "export": ("export", "Write a cohort or a run in another form."),
    "serve": ("serve", "Answer other programs: scripts over HTTP, a PACS over DICOMweb."),
    "models": (
        "training",
        "List the presets' networks: what goes in, parameters, multiply-adds, and the weights they can start from.",
    ),
    "leak-meter": (
        "controls",
        "How far a nearest neighbour gets by slice and by patient, with true and with shuffled labels.",
    ),
    "shortcuts": ("controls", "Whether headers, or what lies outside the brain, give the label away."),
    "twin": (
        "controls",
        "Train one configuration twice: with and without siblings of the evaluated slices in training.",
    ),
    "permute": ("controls", "Permutation test: is the result better than with labels shuffled by patient?"),
    "seal": ("seal", "Hash and date a plan before its test patients are evaluated."),
    "power": ("evaluation", "How many patients it takes to tell an AUROC from 0.5, or from another AUROC."),
    "referee": (
        "evaluation",
        "Judge a table of predictions from any framework: its figures, its flaws, and what it cannot show.",
    ),
    "baselines": ("evaluation", "What age and sex, site and scanner, and headers predict by themselves, in folds."),
    "calibration": ("evaluation", "Reliability of a run's probabilities, and conformal prediction sets."),
    "thresholds": ("evaluation", "Sensitivity, specificity, predictive values and net benefit by threshold."),
    "optimism": (
        "controls",
        "The best epoch on the patients that chose it, against the same checkpoint on others, over seeds.",
    ),
    "specification": (
        "controls",
        "The result under every combination of reasonable choices, in order, so that none is shown alone.",
    ),
    "positive-control": (
        "controls",
        "The same pipeline on another target of the same persons, which can be found: else finding nothing says nothing.",
    ),
    "robustness": (
        "controls",
        "How far a run's answers move, patient by patient, with noise, blur, spacing, registration and window.",
    ),
    "study": ("controls", "A whole study of a cohort in one command: one folder, one report, one claim sheet."),
    "search": ("training", "Search settings with Optuna, evaluated by patient."),
    "cross-validate": (
        "training",
        "Cross-validation by patient: each fold is evaluated once, by a model trained and selected without it.",
    ),
    "external": (
        "external",
        "A checkpoint on cohorts that it never saw: AUROC and calibration on each, their mean, and what a further one's may be.",
    ),
    "leave-one-cohort-out": (
        "external",
        "Train on all cohorts but one, or all sites but one, and evaluate on the one; each in turn.",
    ),
}
"""Where the options of each command stand, and its line of help; the order is that of the help."""

PIPE_CLOSED = 141
"""128 + SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Standard output holds the outcome and nothing else, also where a library prints.
    """
    try:
        arguments = build_parser().parse_args(argv)
        _refuse_torchrun(arguments)
        with redirect_stdout(sys.stderr), _without_warnings():
            command: Command = load(arguments.command)
            outcome = command(arguments, load_settings())
        outcome = state_estimand(outcome, arguments.command.rpartition(":")[2])
        if not outcome.silent:
            print(to_json(outcome.document) if arguments.json else "\n".join(outcome.lines), flush=True)
    except (MGMTLabError, UsageError) as error:
        note(f"error: {error}")
        return WRONG
    except BrokenPipeError:
        # The reader closed the pipe, as `| head` does; without this Python reports the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        note(f"error: {describe_os_error(error)}")
        return WRONG
    except KeyboardInterrupt:
        note("Interrupted.")
        return INTERRUPTED
    return outcome.exit_status


def _refuse_torchrun(arguments: argparse.Namespace) -> None:
    """Refuse any command but training: every process that torchrun starts would run it."""
    if asked_size() > 1 and not getattr(arguments, "distributed", False):
        raise UsageError("Under torchrun there are only train and runs resume; start this command with python -m core.")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide warnings of libraries, for which there are messages of our own; ``python -W`` shows them."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore", UserWarning)
        yield


def build_parser() -> Parser:
    """Assemble the commands without importing any; the one that is asked for is imported when it is parsed."""
    parser = Parser(
        prog="python -m core",
        description="MGMT Lab: from a brain-MR cohort to a prediction with its map. For research only.",
    )
    parser.set_defaults(json=False)
    add_commands(parser, COMMANDS, title="commands", metavar="COMMAND", required=True)
    return parser
