"""train, cross-validate, search and models: what they take."""

from __future__ import annotations

from core.cli.options.shared import (
    add_backend,
    add_behind_queue,
    add_config,
    add_data,
    add_parallel,
    add_vary,
    positive,
)
from core.cli.parser import Parser, set_command


def define_train(parser: Parser) -> None:
    """Add what ``train`` takes."""
    set_command(parser, "core.cli.train:train", distributed=True)
    add_data(parser, may_lack=True)
    add_config(parser, preset="honest")
    parser.add_argument(
        "--from",
        dest="original",
        metavar="RUN",
        help="train a run again, on its data, with its split, threads and configuration, and what --set changes of it",
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="a note of your own, kept with the run")
    parser.add_argument(
        "--run", metavar="DIR", help="a new folder for the run, or a plain name for one among the runs in MGMT_LAB_HOME"
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="keep TensorBoard event files in the run's folder too (an extra package)",
    )
    parser.add_argument("--queue", action="store_true", help="put it in the queue and return; runs shows its progress")
    parser.more_help = "core.cli.config_help:describe_settings"


def define_cross_validate(parser: Parser) -> None:
    """Add what ``cross-validate`` takes."""
    set_command(
        parser,
        "core.cli.cross_validate:cross_validate",
        "With --vary it is nested: candidates are compared inside, and the winner alone is evaluated on the fold. Report "
        "that form when anything was tuned. Interrupted or killed, it is resumed by the same command. The networks of the "
        "folds answer together as an ensemble: python -m core predict NAME SCAN.",
    )
    add_data(parser)
    add_config(parser, preset="honest")
    parser.add_argument("--folds", type=positive, default=5, metavar="K", help="parts of the patients (default: 5)")
    parser.add_argument("--seeds", type=positive, default=1, metavar="S", help="repeats, each dealt anew (default: 1)")
    add_vary(parser, "--vary learning_rate 0.001 0.0001; every combination of several is a candidate")
    parser.add_argument(
        "--inner-folds",
        type=positive,
        default=1,
        metavar="K",
        help="compare candidates over so many inner folds (default: 1, one hold-out of val_fraction)",
    )
    add_parallel(parser, "trainings")
    parser.add_argument(
        "--name",
        default="cross-validation",
        help="folder below experiments/, and name of the ensemble (default: cross-validation)",
    )
    add_behind_queue(parser)
    add_backend(parser)


TRIALS = 20


MORE = (
    "Trials are runs like others and share one split; they are compared on the validation patients, and the test patients "
    "stand in none of them. Interrupted or killed, it is resumed by the same command; given twice at once, two work on it. "
    "What a trial draws depends on --seed and its number, with tpe also on the trials that had ended by then: several "
    "workers need not repeat each other's search. `search show NAME` and `search judge NAME` take a search that is there."
)


def define_search(parser: Parser) -> None:
    """Add what ``search`` takes."""
    set_command(parser, "core.cli.search:search", MORE)
    add_data(parser)
    parser.add_argument("known", nargs="?", metavar="NAME", help="after show or judge: the search")
    add_config(parser, preset="honest")
    parser.add_argument("--trials", type=positive, default=TRIALS, metavar="N", help=f"in all (default: {TRIALS})")
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="what to vary: learning_rate=1e-5..1e-2:log, weight_decay=0..0.1 or optimiser=sgd,adamw; may be given again; "
        "by default a few settings of the preset",
    )
    add_parallel(parser, "workers")
    parser.add_argument(
        "--storage",
        default="",
        metavar="URL",
        help="a database that several hosts share, for example postgresql://user@host/database with the password in "
        "MGMT_LAB_STORAGE_PASSWORD; by default a journal in the search's folder",
    )
    parser.add_argument("--name", default="search", help="of the search, and of its runs (default: search)")
    parser.add_argument(
        "--pruner",
        choices=("median", "none"),
        default="median",
        help="end a trial that is below the median of the finished ones at the same epoch (default), or none",
    )
    parser.add_argument(
        "--sampler", choices=("tpe", "random"), default="tpe", help="learn from trials that ended (default), or do not"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sampler (default: 0)")
    parser.add_argument("--judge", action="store_true", help="at the end, evaluate the best trial on the test patients")
    add_behind_queue(parser)


def define_models(parser: Parser) -> None:
    """Add what ``models`` takes."""
    set_command(
        parser,
        "core.cli.models:show_models",
        "Costs are counted from the networks themselves, for one example and two classes.",
    )
