"""leak-meter, shortcuts, twin, permute, optimism, specification, positive-control, robustness and study: what they take."""

from __future__ import annotations

import argparse

from core.cli.options.shared import (
    add_behind_queue,
    add_config,
    add_data,
    add_parallel,
    add_run,
    add_settings,
    add_vary,
    between,
    positive,
)
from core.cli.parser import Parser, set_command

SMALLEST_SHARE, LARGEST_SHARE = 0.05, 0.9


def define_leak_meter(parser: Parser) -> None:
    """Add what ``leak-meter`` takes."""
    set_command(
        parser,
        "core.cli.controls:leak_meter",
        "Takes seconds and trains nothing: what it reaches by slice with shuffled labels is leak, and nothing else.",
    )
    add_data(parser)
    _add_prep(parser)
    parser.add_argument("--repeats", type=positive, default=20, metavar="N", help="splits and shuffles (default: 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of splits and shuffles (default: 0)")


def define_shortcuts(parser: Parser) -> None:
    """Add what ``shortcuts`` takes."""
    set_command(
        parser,
        "core.cli.controls:shortcuts",
        "A small linear model, nested cross-validation by patient, and a permutation test for each control.",
    )
    add_data(parser)
    _add_prep(parser)
    parser.add_argument(
        "--permutations", type=positive, default=199, metavar="N", help="label shuffles for each p (default: 199)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of folds and shuffles (default: 0)")


def _add_prep(parser: argparse.ArgumentParser) -> None:
    add_settings(
        parser,
        "change how slices are prepared (sequences, slice_count, slice_span, size_px, ...); by default the paper "
        "preset's at 96 px, of the sequence that most studies have",
    )


def define_twin(parser: Parser) -> None:
    """Add what ``twin`` takes."""
    set_command(
        parser,
        "core.cli.reruns:twin",
        "Both arms are trained on equally many slices and evaluated on the same ones; given again, it is resumed.",
    )
    add_data(parser)
    add_config(parser, preset="paper")
    parser.add_argument("--name", help="of the pair of runs; by default one is made up")
    parser.add_argument(
        "--shuffle-labels",
        nargs="?",
        const=0,
        type=int,
        metavar="SEED",
        help="shuffle the labels among the patients first: the random-label control",
    )
    parser.add_argument(
        "--judged-share",
        type=between(SMALLEST_SHARE, LARGEST_SHARE),
        default=0.25,
        metavar="SHARE",
        help="of each evaluated patient's slices; the rest are its siblings (default: 0.25)",
    )
    parser.add_argument("--queue", action="store_true", help="put both runs into the queue and return")


def define_permute(parser: Parser) -> None:
    """Add what ``permute`` takes."""
    set_command(
        parser,
        "core.cli.reruns:permute",
        "Trains again for each shuffle, selection included; given again, it is resumed. --fast reads frozen features instead.",
    )
    add_data(parser)
    add_config(parser, preset="honest")
    parser.add_argument(
        "-n", "--permutations", type=positive, metavar="N", help="shuffles (default: 19; with --fast 999)"
    )
    parser.add_argument("--name", help="of the test, whose runs are kept under it (default: permutation)")
    add_parallel(parser, "trainings")
    add_behind_queue(parser)
    parser.add_argument(
        "--fast",
        action="store_true",
        help="a linear head on the backbone's frozen features: another and weaker model than a trained network, but a "
        "thousand shuffles take seconds",
    )


RESUMED = "Interrupted, it is resumed by the same command. The run's own test patients stand in no part of it."


def define_optimism(parser: Parser) -> None:
    """Add what ``optimism`` takes."""
    set_command(parser, "core.cli.questions:optimism", RESUMED)
    _add_shared(parser, "optimism")
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="trainings (default: 5)")


def define_specification(parser: Parser) -> None:
    """Add what ``specification`` takes."""
    set_command(parser, "core.cli.questions:specification", RESUMED)
    _add_shared(parser, "specification")
    add_vary(parser, "--vary seed 0 1 2 --vary sequences T1wCE FLAIR,T1w")
    parser.add_argument("--csv", metavar="FILE", help="write every cell as a table")
    parser.add_argument(
        "-n",
        "--permutations",
        type=positive,
        metavar="N",
        help="joint test: train all combinations again with labels shuffled N times, 19 for p = 0.05",
    )


def define_positive_control(parser: Parser) -> None:
    """Add what ``positive-control`` takes."""
    set_command(parser, "core.cli.questions:positive_control", "Interrupted, it is resumed by the same command.")
    _add_shared(parser, "positive-control")
    _add_control_target(parser)
    parser.add_argument("--folds", type=positive, default=5, metavar="K", help="parts of the patients (default: 5)")


def define_robustness(parser: Parser) -> None:
    """Add what ``robustness`` takes."""
    set_command(
        parser,
        "core.cli.questions:robustness",
        "The validation patients are disturbed, so that no test patient is spent; each disturbance is one pass.",
    )
    add_run(parser)
    parser.add_argument("--name", metavar="NAME", help="folder below experiments/ (default: robustness-RUN)")


def define_study(parser: Parser) -> None:
    """Add what ``study`` takes."""
    set_command(
        parser,
        "core.cli.questions:study",
        "Sets test patients aside and seals the plan, tries everything on the others, evaluates once, and writes one report "
        "and the claim sheet. Interrupted or killed, it is resumed by the same command.",
    )
    _add_shared(parser, "study")
    parser.add_argument(
        "--external",
        nargs="+",
        default=[],
        metavar="OTHER",
        help="other cohorts: folders, or .json files as external takes",
    )
    parser.add_argument(
        "--size",
        choices=("tiny", "small", "full"),
        default="small",
        help="how much is repeated, and small images for tiny and small, which --set can change (default: small)",
    )
    _add_control_target(parser)


def _add_control_target(parser: Parser) -> None:
    parser.add_argument(
        "--control-target",
        metavar="COLUMN",
        help="of the positive control, such as IDH; by default a synthetic cohort's second trait",
    )
    parser.add_argument("--control-positive", metavar="VALUE", help="its positive value, such as mutant")
    parser.add_argument("--control-cutoff", type=float, metavar="NUMBER", help="from which number on it is positive")


def _add_shared(parser: Parser, name: str) -> None:
    add_data(parser)
    add_config(parser, preset="honest")
    parser.add_argument("--name", default=name, help=f"folder of the answer below experiments/ (default: {name})")
    add_behind_queue(parser)
