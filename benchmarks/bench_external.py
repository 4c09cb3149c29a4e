"""Several cohorts as one question, end to end on synthetic ones, and whether the intervals over cohorts hold.

A network is trained on one synthetic cohort and evaluated on three others: one like it, one with other voxels, and one with a
weaker signal; the second holds persons of the training cohort, the third persons of the first. Then the same is done by a
process that is killed with SIGKILL once its first cohort is done, and resumed. It passes where exactly the planted persons
were dropped, each for what it is, and where the resumed result is the same and the first cohort's file was not touched.

Beside it AUROCs are drawn: cohorts whose true AUROCs differ on the logit scale, 30 patients of each class. Counted is how often
the interval of the mean (Paule and Mandel, Hartung-Knapp) holds the true mean, and the prediction interval a further cohort's
true AUROC. It passes where the first is at least 93% and the second at least 92%, in every setting. Beside it stands the usual
prediction interval (Higgins, Thompson and Spiegelhalter), which takes the variance between cohorts for known.

    python benchmarks/bench_external.py [--draws 2000]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import PROJECT, machine, parse_arguments, print_table
from scipy.special import expit, logit, ndtri, stdtrit

from core.config import apply_settings
from core.evaluation.intervals import measure_auroc, wilson_interval
from core.evaluation.meta_analysis import PooledAuroc, pool_aurocs
from core.experiments.external.parameters import ask_external
from core.experiments.run import run_experiment
from core.figure_text import figure_text, interval_text
from core.jobs.experiment import Experiment, RunOptions
from core.phantom.cohort import LABEL_FILE, make_phantom
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from core.training.trainer import run_training

LEAST_MEAN, LEAST_PREDICTION = 0.93, 0.92
COHORTS = (3, 5, 10)
SPREADS = (0.0, 0.3, 0.6)
"""Standard deviation of the true logits between cohorts."""
MEAN = 1.2
OF_EACH_CLASS = 30
SHARED = 2
CHANGING = ("looked_at", "created")
"""What is counted anew in the other installation."""


def make_cohorts(folder: Path, studies: int, size: int, slices: int, signal_strength: float) -> dict[str, Path]:
    """The training cohort and three others, with persons who are in two of them."""
    kinds: dict[str, dict[str, Any]] = {
        "home": {"seed": 0},
        "like": {"seed": 1},
        "voxels": {"seed": 2, "size": size + 16, "slices": slices + 2},
        "weaker": {"seed": 3, "signal": signal_strength / 2},
    }
    roots = {}
    for name, changes in kinds.items():
        options: dict[str, Any] = {"studies": studies, "size": size, "slices": slices, "signal": signal_strength}
        roots[name] = folder / name
        make_phantom(roots[name], PhantomConfig(**(options | changes)), jobs=1)
    share(roots["home"], roots["voxels"])
    share(roots["like"], roots["weaker"])
    return roots


def share(source: Path, target: Path) -> None:
    """Copy the first persons of a cohort into another."""
    with (source / LABEL_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))[:SHARED]
    with (target / LABEL_FILE).open("a", newline="") as file:
        csv.DictWriter(file, list(rows[0]), lineterminator="\n").writerows(rows)
    for row in rows:
        shutil.copytree(source / "train" / row["BraTS21ID"], target / "train" / row["BraTS21ID"])


def kill_after_the_first(settings: Settings, checkpoint: Path, roots: list[Path], name: str) -> bytes:
    """Start the command, kill it once its first cohort is done, and return that cohort's file."""
    command = [sys.executable, "-m", "core", "external", str(checkpoint), *map(str, roots), "--name", name]
    environment = {**os.environ, "MGMT_LAB_HOME": str(settings.home)}
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    first = settings.experiments / name / "cohorts" / "01.json"
    while not first.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return first.read_bytes()


def forget(result: dict[str, Any]) -> str:
    """A result without what the ledger counts."""
    kept = json.loads(json.dumps(result))
    for one in kept["cohorts"]:
        for key in CHANGING:
            one.pop(key, None)
    return json.dumps(kept, sort_keys=True)


def end_to_end(options: argparse.Namespace, folder: Path) -> bool:
    """Train, evaluate on three cohorts, kill and resume; print the figures and return whether it passed."""
    size, slices, studies, epochs = (32, 4, 6, 1) if options.tiny else (96, 16, 40, 10)
    roots = make_cohorts(folder, studies, size, slices, 3.0)
    settings = load_settings({**os.environ, "MGMT_LAB_HOME": str(folder / "home-of-runs")})
    small = (
        "weights=none",
        f"size_px={size}",
        "slice_count=2",
        "sequences=FLAIR",
        "val_fraction=0.3",
        f"epochs={epochs}",
    )
    config = apply_settings(find_preset("honest").config, [*small])
    run = run_training(settings, config, DataSource(root=str(roots["home"])), name="home")
    places = [roots[name] for name in ("like", "voxels", "weaker")]
    question = ask_external(run.checkpoint, [DataSource(root=str(place)) for place in places])
    result = run_experiment(Experiment.ask(settings, "whole", question), settings, RunOptions())
    before = kill_after_the_first(settings, run.checkpoint, places, "killed")
    experiment = Experiment.ask(settings, "killed", question)
    resumed = run_experiment(experiment, settings, RunOptions())
    untouched = (experiment.folder / "cohorts" / "01.json").read_bytes() == before
    rows = []
    for one in result["cohorts"]:
        places_of = ", ".join(sorted({person["in"] for person in one["overlap"]["persons"]})) or "-"
        figures = [figure_text(one[name]) for name in ("auroc", "observed_expected", "slope")]
        rows.append((one["name"], f"{one['overlap']['count']} in {places_of}", *figures))
    print_table("one network on three further cohorts", ("cohort", "dropped", "AUROC", "O:E", "slope"), rows)
    print(result["sentence"])
    dropped = [{person["in"] for person in one["overlap"]["persons"]} for one in result["cohorts"]]
    counts = [one["overlap"]["count"] for one in result["cohorts"]]
    right = counts == [0, SHARED, SHARED] and dropped == [set(), {"the checkpoint's own patients"}, {"like"}]
    same = forget(resumed) == forget(result)
    print(
        f"planted persons dropped, and nobody else: {right}; killed and resumed the same: {same}; "
        f"the first cohort's file untouched: {untouched}\n"
    )
    return right and same and untouched


def coverage(cohorts: int, spread: float, draws: int, generator: np.random.Generator) -> tuple[int, int, int]:
    """How often the mean's interval holds the true mean, and ours and the usual prediction interval a further AUROC."""
    positive = np.repeat([False, True], OF_EACH_CLASS)
    held = predicted = usual = 0
    for _ in range(draws):
        truths = generator.normal(MEAN, spread, cohorts + 1)
        apart = np.sqrt(2) * ndtri(expit(truths))
        found = [
            measure_auroc(positive, generator.normal(size=len(positive)) + distance * positive)
            for distance in apart[:-1]
        ]
        pooled = pool_aurocs(found)
        assert pooled.mean.low is not None
        assert pooled.mean.high is not None
        assert pooled.prediction.low is not None
        assert pooled.prediction.high is not None
        held += pooled.mean.low <= expit(MEAN) <= pooled.mean.high
        predicted += pooled.prediction.low <= expit(truths[-1]) <= pooled.prediction.high
        usual += abs(truths[-1] - logit(pooled.mean.value)) <= usual_half_width(pooled, cohorts)
    return held, predicted, usual


def usual_half_width(pooled: PooledAuroc, cohorts: int) -> float:
    """Half the usual prediction interval on the logit scale, from the mean's interval and tau^2."""
    assert pooled.tau_squared is not None
    error = (logit(pooled.mean.high) - logit(pooled.mean.low)) / 2 / stdtrit(cohorts - 1, 0.975)
    return float(stdtrit(cohorts - 2, 0.975) * np.sqrt(pooled.tau_squared + error**2))


def simulate(draws: int) -> bool:
    """Print the coverage of every setting and return whether all passed."""
    generator = np.random.default_rng(7)
    rows, passed = [], True
    for cohorts in COHORTS:
        for spread in SPREADS:
            counts = coverage(cohorts, spread, draws, generator)
            cells = [f"{100 * one / draws:.1f}% ({interval_text(*wilson_interval(one, draws))})" for one in counts]
            passed &= counts[0] / draws >= LEAST_MEAN and counts[1] / draws >= LEAST_PREDICTION
            rows.append((cohorts, spread, *cells))
    print_table(
        "intervals over cohorts",
        ("cohorts", "spread", "mean held", "a further cohort held", "the usual interval"),
        rows,
    )
    print(
        f"n = {draws} samples a setting; mean at least {LEAST_MEAN:.0%}, prediction at least {LEAST_PREDICTION:.0%}\n"
    )
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--draws", type=int, default=2000)
    options = parse_arguments(parser, draws=40)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        worked = end_to_end(options, Path(folder))
    covered = simulate(options.draws)
    print("passed" if worked and (covered or options.tiny) else "FAILED")
    return 0 if worked and (covered or options.tiny) else 1


if __name__ == "__main__":
    sys.exit(main())
