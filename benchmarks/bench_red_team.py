"""Can the product be led to a claim that is not true? Scripted attempts, and honest workflows that must not be accused.

    python benchmarks/bench_red_team.py [--honest 100] [--keep FILE] [--tiny]

With ``--keep`` every outcome is a line of a file, and what stands there is not tried again.

Each attempt uses the product's own functions, on a small synthetic cohort with one trained run, or on stored answers. It passes
where the product refuses (a domain error), or says what is wrong where the answer stands; the words are looked for there. In
the honest workflows noise or a signal is sealed, trained with stored answers, evaluated once and written up, and the same answers
are given to the referee.

Rules, fixed before the run: every attempt is prevented or said. Deterministic checks accuse no honest workflow (of 100 the upper
limit of the share is then 3%); statistical ones at most 5% of them and two Monte Carlo errors.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pandas as pd
import pydicom
import torch
from scipy.special import expit
from torch import nn

from core.audit.checks import audit_split
from core.cli.reliability import thresholds
from core.config import RunConfig, SplitConfig, apply_settings
from core.data.cohort import scan_cohort
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.deidentify.cohort import deidentify_cohort
from core.errors import MGMTLabError
from core.evaluation.intervals import share_figure
from core.experiments.claim_sheet import ask_shortcuts, gather_claim
from core.experiments.comparison.comparison import compare_runs
from core.experiments.evidence import find_controls
from core.experiments.referee.judge import Questions, judge
from core.experiments.referee.table import read_predictions
from core.experiments.search.result import Noise
from core.figure_text import figure_text
from core.files import digest_file
from core.jobs.experiment import Experiment, Question
from core.models.card import CheckpointCard, read_card
from core.models.checkpoint import load_model, save_checkpoint
from core.models.registry import ARCHITECTURES, IMAGENET, Architecture
from core.mri import MRSequence
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.presets import find_preset
from core.runs.bundle import export_run
from core.runs.evaluation import (
    Evaluation,
    calibration_figures,
    correct_figures,
    count_test_evaluations,
    digest_answers,
    evaluate_validation,
    store_evaluation,
    with_figures,
)
from core.runs.folder import RunFolder
from core.runs.ledger import LEDGER, number_look, record_evaluation
from core.runs.persons import mark_test_persons
from core.runs.records import DataSource
from core.runs.seal import Criterion, hash_plan, make_seal, seal_of_run
from core.runs.unbundle import import_run
from core.settings import Settings, load_settings
from core.training.evaluate import evaluate_cohort, evaluate_run
from core.training.trainer import run_training

STUDIES = 24
SMALL = (
    "weights=none",
    "size_px=32",
    "slice_count=2",
    "sequences=FLAIR",
    "epochs=1",
    "val_fraction=0.25",
    "device=cpu",
)


def build_network(class_count: int) -> nn.Module:
    """A network that is stored and loaded in a moment; what is tried here does not hang on what it learns."""
    layers = (nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(32, class_count))


NETWORK = Architecture(
    name="red_team", title="Red team", network=build_network, input_form="slice", normalisation=IMAGENET,
    target_layer="1", head="4", pretrained=None,
)  # fmt: skip


class Lab:
    """A home with a trained run on a synthetic cohort; each attempt has a copy of its own."""

    def __init__(self, folder: Path, whole: Lab | None = None) -> None:
        self.folder = folder
        self.settings = load_settings({"MGMT_LAB_HOME": str(folder / "home"), "MGMT_LAB_THREADS": "1"})
        if whole is None:
            self.data = folder / "data"
            make_phantom(self.data, PhantomConfig(studies=STUDIES, slices=4, size=32, signal=0), jobs=1)
            config = apply_settings(find_preset("honest").config, [*SMALL, f"architecture={NETWORK.name}"])
            self.run = run_training(self.settings, config, DataSource(root=str(self.data)), name="mine")
        else:
            self.data = whole.data
            shutil.copytree(whole.settings.home, self.settings.home)
            self.run = RunFolder(self.settings.runs / whole.run.name)

    @cached_property
    def copy(self) -> Path:
        """The cohort's files once more, to be changed."""
        shutil.copytree(self.data, self.folder / "copy")
        return self.folder / "copy"

    @property
    def sheet(self) -> str:
        """Everything on the claim sheet."""
        sheet = gather_claim(self.run, self.settings)
        parts = (sheet.sentence, *sheet.banners, sheet.seal.words, *sheet.unchecked, *sheet.leakage, sheet.protocol)
        return " ".join(map(str, (*parts, [(control.title, control.result) for control in sheet.controls])))

    def look(self) -> Evaluation:
        """Evaluate the test patients."""
        return evaluate_run(self.run, "test", self.settings)

    def external(self, root: Path) -> str:
        """What is said of an evaluation on another cohort."""
        found = evaluate_run(self.run, "test", self.settings, scan_cohort(root))
        return json.dumps(found.overlap)

    def another(self, name: str, **split: Any) -> RunFolder:
        """A run of the same cohort with the same weights and another split."""
        run = RunFolder(self.settings.runs / name)
        shutil.copytree(self.run.path, run.path)
        config = self.run.config.model_copy(update={"split": self.run.config.split.model_copy(update=split)})
        (run.path / "config.json").write_text(config.model_dump_json())
        cohort = scan_cohort(self.data)
        drawn = make_split(build_table(cohort, config.prep, self.settings), config.split, cohort.digest)
        (run.path / "split.json").write_text(drawn.to_json())
        state, card = load_model(run.checkpoint)
        changes = {"config": config, "name": name, "split_digest": drawn.digest}
        save_checkpoint(run.checkpoint, state.state_dict(), card.model_copy(update=changes))
        return run

    def seal(self, at_least: float = 0.5) -> Path:
        """Seal the run's plan; its file."""
        made = make_seal(self.run.config, self.run.split(), Criterion(at_least=at_least), self.settings, run=self.run)
        return self.settings.seals / f"{made.name}.json"

    def sealed(self) -> str:
        """What is said of the seal after the evaluation."""
        return seal_of_run(self.run, self.settings, self.look().judged).words

    def answer(self, kind: str, config: RunConfig, root: Path) -> None:
        """Store an answered control."""
        question = Question(kind=kind, config=config, source=DataSource(root=str(root)), parameters={})
        experiment = Experiment.ask(self.settings, f"a-{kind}", question)
        experiment.write_split(self.run.split())
        experiment.write_result({"sentence": "p = 0.01"})


Attempt = Callable[[Lab], str]
ATTEMPTS: dict[str, tuple[str, Attempt]] = {}
"""By what is tried: the words that must be said, and the trial."""


def attempt(title: str, words: str) -> Callable[[Attempt], Attempt]:
    """Enter a trial into the list."""

    def enter(trial: Attempt) -> Attempt:
        ATTEMPTS[title] = (words, trial)
        return trial

    return enter


def referee(lab: Lab, table: pd.DataFrame, questions: Questions | None = None) -> str:
    """The referee's report on a table."""
    lab.folder.mkdir(exist_ok=True)
    path = lab.folder / "predictions.csv"
    table.to_csv(path, index=False)
    return json.dumps(judge(read_predictions(path), questions))


def scores(n: int = 120, signal: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A table of calibrated predictions."""
    generator = np.random.default_rng(seed)
    label = np.arange(n) % 2
    odds = generator.normal((2 * label - 1) * signal**2 / 2, max(signal, 0.1))
    return pd.DataFrame({"id": [f"P{number:04d}" for number in range(n)], "label": label, "probability": expit(odds)})


# Who is judged.


@attempt("training patients as another cohort, less one", "equal UIDs, 23 by equal pixels")
def _copy_less_one(lab: Lab) -> str:
    shutil.rmtree(next(iter(sorted((lab.copy / "train").iterdir()))))
    return lab.external(lab.copy)


@attempt("training patients under new ids and UIDs", "24 by equal pixels")
def _renamed(lab: Lab) -> str:
    deidentify_cohort(scan_cohort(lab.data), lab.folder / "renamed", lab.settings)
    return lab.external(lab.folder / "renamed")


@attempt("training patients mixed into another cohort", "equal pixels|DICOM UID|same UID|equal DICOM")
def _mixed(lab: Lab) -> str:
    other = lab.folder / "other"
    make_phantom(other, PhantomConfig(studies=8, slices=4, size=32, seed=5), jobs=1)
    name = sorted(path.name for path in (lab.data / "train").iterdir())[0]
    shutil.copytree(lab.data / "train" / name, other / "train" / "77777")
    with (other / "train_labels.csv").open("a") as file:
        file.write("77777,1\n")
    return lab.external(other)


@attempt("an exported checkpoint on its own cohort", "is the cohort that")
def _export(lab: Lab) -> str:
    found = evaluate_cohort(lab.run.checkpoint, scan_cohort(lab.data), lab.settings)
    return str(found.patient["auroc"])


@attempt("another val_fraction, to move the test patients", "the same test patients")
def _val_fraction(lab: Lab) -> str:
    moved = lab.another("moved", val_fraction=0.4)
    return "the same test patients" if moved.split().test == lab.run.split().test else "other test patients"


@attempt("another split seed after a look", "had been judged before by other runs")
def _split_seed(lab: Lab) -> str:
    lab.look()
    theirs = Lab.__new__(Lab)
    theirs.folder, theirs.settings, theirs.data = lab.folder, lab.settings, lab.data
    theirs.run = lab.another("again", split_seed=1)
    theirs.look()
    return theirs.sheet


@attempt("two ids of one patient on both sides", "on-both-sides")
def _duplicates(lab: Lab) -> str:
    split = lab.run.split()
    table = lab.copy / "train_labels.csv"
    labels = dict(line.split(",") for line in table.read_text().split()[1:])
    shutil.copytree(lab.copy / "train" / split.train[0], lab.copy / "train" / "77777")
    with table.open("a") as file:
        file.write(f"77777,{labels[split.train[0]]}\n")
    moved = replace(split, test=(*split.test, "77777"))
    return " ".join(found.kind for found in audit_split(scan_cohort(lab.copy), moved, lab.settings).findings)


@attempt("the worst test patients struck from split.json", "was changed after it was trained")
def _struck(lab: Lab) -> str:
    split = lab.run.split()
    (lab.run.path / "split.json").write_text(replace(split, test=split.test[:-1]).to_json())
    lab.look()
    return lab.sheet


@attempt("a split by slice", "says nothing of a new patient")
def _slices(lab: Lab) -> str:
    lab.run = lab.another("leaky", split_unit="slice")
    state, card = load_model(lab.run.checkpoint)
    save_checkpoint(lab.run.checkpoint, state.state_dict(), card.model_copy(update={"split_unit": "slice"}))
    lab.look()
    return lab.sheet


# What is looked at, and how often.


@attempt("the best of many models on the test patients", "corrected for look")
def _best_of_many(lab: Lab) -> str:
    split, marks = lab.run.split(), mark_test_persons(lab.run)
    persons = frozenset().union(*marks.values())
    for seed in range(19):
        record_evaluation(split.test_digest, f"seed-{seed}", lab.settings, persons=persons, model=f"model {seed}")
    lab.look()
    return lab.sheet


@attempt("another threshold in the checkpoint after a look", "Interval corrected for look 2")
def _threshold(lab: Lab) -> str:
    lab.look()
    state, card = load_model(lab.run.checkpoint)
    save_checkpoint(lab.run.checkpoint, state.state_dict(), card.model_copy(update={"threshold": 0.43}))
    lab.look()
    return lab.sheet


@attempt("a look in a home of its own, forgotten on the way back", "1 evaluations")
def _other_home(lab: Lab) -> str:
    lab.look()
    export_run(lab.run, lab.folder / "run.zip", lab.settings)
    fresh = load_settings({"MGMT_LAB_HOME": str(lab.folder / "fresh"), "MGMT_LAB_THREADS": "1"})
    return f"{count_test_evaluations(import_run(lab.folder / 'run.zip', fresh), fresh)} evaluations"


@attempt("a line of the ledger removed", "chain is broken")
def _line_removed(lab: Lab) -> str:
    for _ in range(3):
        lab.look()
    ledger = lab.settings.runs / LEDGER
    ledger.write_text("".join(line for number, line in enumerate(ledger.open()) if number != 1))
    return lab.sheet


@attempt("a line of the ledger edited", "chain is broken")
def _line_edited(lab: Lab) -> str:
    for _ in range(2):
        lab.look()
    ledger = lab.settings.runs / LEDGER
    ledger.write_text(ledger.read_text().replace('"run": "mine"', '"run": "another"', 1))
    return lab.sheet


@attempt("the whole ledger removed after a look", "does not hold the evaluation")
def _no_ledger(lab: Lab) -> str:
    lab.look()
    (lab.settings.runs / LEDGER).unlink()
    return lab.sheet


@attempt("a sealed plan, and another ledger", "made on another ledger")
def _other_ledger(lab: Lab) -> str:
    lab.look()
    run = lab.another("fresh", split_seed=3)
    make_seal(run.config, run.split(), Criterion(), lab.settings, run=run)
    ledger = lab.settings.runs / LEDGER
    ledger.write_text("".join(line for number, line in enumerate(ledger.open()) if number > 0))
    return seal_of_run(run, lab.settings).words


@attempt("the figures of a stored evaluation edited", "was changed")
def _figures_edited(lab: Lab) -> str:
    lab.look()
    path = lab.run.path / "evaluation-test.json"
    content = json.loads(path.read_text())
    content["patient"]["auroc"] |= {"value": 0.95, "low": 0.85, "high": 0.99}
    content["corrected"] = {}
    path.write_text(json.dumps(content))
    return lab.sheet


@attempt("the answers of a stored evaluation edited", "was changed")
def _answers_edited(lab: Lab) -> str:
    found = lab.look()
    frame = found.frame.assign(logit_1=np.where(found.frame["label"] == 1, 3.0, -3.0), logit_0=0.0)
    store_evaluation(lab.run, with_figures(replace(found, frame=frame), read_card(lab.run.checkpoint)), "")
    return lab.sheet


@attempt("further training after the look, the old figures kept", "of other weights")
def _trained_on(lab: Lab) -> str:
    lab.look()
    state, card = load_model(lab.run.checkpoint)
    save_checkpoint(lab.run.checkpoint, state.state_dict(), card.model_copy(update={"epoch": 7}))
    return lab.sheet


# What was fixed beforehand.


@attempt("a plan sealed after the look", "too late")
def _late(lab: Lab) -> str:
    lab.look()
    lab.seal()
    return lab.sheet


@attempt("the stricter of two sealed plans removed", "was removed")
def _stricter(lab: Lab) -> str:
    lab.seal(0.5)
    lab.seal(0.9).unlink()
    return lab.sealed()


@attempt("a sealed plan made easier", "altered after it was sealed")
def _easier(lab: Lab) -> str:
    path = lab.seal(0.9)
    path.write_text(path.read_text().replace("0.9", "0.1"))
    return lab.sealed()


@attempt("a sealed plan made easier and hashed anew, the register too", "another hash")
def _hashed_anew(lab: Lab) -> str:
    path = lab.seal(0.9)
    content = json.loads(path.read_text())
    old, content["criterion"]["at_least"] = content["hash"], 0.1
    content["hash"] = hash_plan(content)
    path.write_text(json.dumps(content))
    register = lab.settings.seals / "register.jsonl"
    register.write_text(register.read_text().replace(old, content["hash"]))
    return lab.sealed()


@attempt("another learning rate than sealed", "not followed")
def _not_followed(lab: Lab) -> str:
    lab.seal()
    other = apply_settings(lab.run.config, {"learning_rate": 0.123})
    (lab.run.path / "config.json").write_text(other.model_dump_json())
    return lab.sealed()


@attempt("marks burnt into the files of the cohort", "no longer hold what")
def _burnt(lab: Lab) -> str:
    source = lab.run.source.model_copy(update={"root": str(lab.copy)})
    (lab.run.path / "data.json").write_text(source.model_dump_json())
    for path in sorted(lab.copy.rglob("*.dcm")):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array.copy()
        pixels[:6, :6] = pixels.max()
        image.PixelData = pixels.tobytes()
        image.save_as(path)
    return str(lab.look().patient["auroc"])


@attempt("labels edited after the split", "is no longer what")
def _labels_edited(lab: Lab) -> str:
    source = lab.run.source.model_copy(update={"root": str(lab.copy)})
    (lab.run.path / "data.json").write_text(source.model_dump_json())
    table = lab.copy / "train_labels.csv"
    lines = table.read_text().split()
    table.write_text(
        "\n".join([lines[0], *(f"{line.split(',')[0]},{number % 2}" for number, line in enumerate(lines[1:]))])
    )
    return str(lab.look().patient["auroc"])


# What controls say.


@attempt("another configuration's permutation test", "not counted")
def _other_control(lab: Lab) -> str:
    lab.answer("permutation", apply_settings(lab.run.config, {"size_px": 64}), lab.data)
    return lab.sheet


@attempt("a permutation test of the same cohort renamed, less one", "not counted")
def _other_cohort(lab: Lab) -> str:
    shutil.rmtree(next(iter(sorted((lab.copy / "train").iterdir()))))
    lab.answer("permutation", lab.run.config, lab.copy)
    experiment = Experiment(lab.settings.experiments / "a-permutation")
    experiment.write_split(replace(lab.run.split(), cohort_digest=scan_cohort(lab.copy).digest))
    return " ".join(control.result for control in find_controls(lab.run, lab.settings))


@attempt("no control at all", "Random labels: whether the protocol finds something")
def _no_control(lab: Lab) -> str:
    lab.look()
    return lab.sheet


@attempt("labels shuffled, and not said", "labels were shuffled")
def _shuffled(lab: Lab) -> str:
    state, card = load_model(lab.run.checkpoint)
    save_checkpoint(lab.run.checkpoint, state.state_dict(), card.model_copy(update={"labels_shuffled": True}))
    return lab.sheet


@attempt("one fold of a cross-validation as the result", "one fold of a cross-validation")
def _one_fold(lab: Lab) -> str:
    evaluate_run(lab.run, "test", lab.settings, partition="cv seed 0")
    return lab.sheet


@attempt("the label in the headers", "The label is predicted by: headers")
def _headers(lab: Lab) -> str:
    make_phantom(lab.folder / "tied", PhantomConfig(studies=STUDIES, slices=4, size=32, shortcut=True), jobs=1)
    return ask_shortcuts(DataSource(root=str(lab.folder / "tied")), lab.settings).result


@attempt("the label in pixels outside the head", "The label is predicted by: ")
def _scale_bar(lab: Lab) -> str:
    make_phantom(lab.folder / "bar", PhantomConfig(studies=STUDIES, slices=4, size=64, scale_bar=True), jobs=1)
    return ask_shortcuts(DataSource(root=str(lab.folder / "bar")), lab.settings).result


# What a choice gains.


@attempt("the validation AUROC as the result", "Nothing may be claimed yet")
def _validation(lab: Lab) -> str:
    return lab.sheet


@attempt("an interval of patients that chose the epoch", "no interval: these patients chose")
def _validation_interval(lab: Lab) -> str:
    return json.dumps({name: one.to_dict() for name, one in evaluate_validation(lab.run).patient.items()})


@attempt("the slope of patients that chose the epoch", "no interval: these patients chose")
def _validation_slope(lab: Lab) -> str:
    return json.dumps({name: one.to_dict() for name, one in calibration_figures(evaluate_validation(lab.run)).items()})


@attempt("thresholds and net benefit of patients that chose them", "no interval: these patients chose")
def _validation_thresholds(lab: Lab) -> str:
    return json.dumps(thresholds(argparse.Namespace(run=lab.run.name), lab.settings).document)


@attempt("the better of two runs on validation patients", "chose each run's epoch")
def _better_of_two(lab: Lab) -> str:
    found = compare_runs([lab.run, lab.another("other")], lab.settings)
    return " ".join([*found.notes, *(one.words for one in found.differences)])


@attempt("two runs told apart on validation patients", "no interval: these patients chose")
def _told_apart(lab: Lab) -> str:
    found = compare_runs([lab.run, lab.another("other")], lab.settings).to_dict()
    return json.dumps(found["differences"])


@attempt("the best trial of a search", "by noise alone")
def _best_trial(lab: Lab) -> str:
    return Noise(compared=20, patients=24, centre=0.6, standard_error=0.11, independent=0.2, alike=0.09).sentence


@attempt("the best of 20 seeds, handed in as one", '"gain_by_chance": 0.')
def _tried(lab: Lab) -> str:
    return referee(lab, scores(), Questions(tried=20, baselines=False))


# What a table of predictions may hide.


@attempt("validation patients in the table as the test", "judged_on_val")
def _as_test(lab: Lab) -> str:
    return referee(lab, scores().assign(part="validation"))


@attempt("training patients in the table's test part", "id_in_two_parts")
def _in_two_parts(lab: Lab) -> str:
    table = scores().assign(part=lambda rows: np.where(np.arange(len(rows)) < 60, "train", "test"))
    return referee(lab, pd.concat([table, table.head(10).assign(part="test")]))


@attempt("the same under other spellings of the id", "near_equal_ids")
def _spelt(lab: Lab) -> str:
    table = scores().assign(part=lambda rows: np.where(np.arange(len(rows)) < 60, "train", "test"))
    return referee(
        lab, pd.concat([table, table.head(10).assign(part="test", id=lambda rows: "sub-" + rows["id"].str.lower())])
    )


@attempt("slices counted as patients", '"n": 120,')
def _rows_as_patients(lab: Lab) -> str:
    return referee(lab, pd.concat([scores()] * 8))


@attempt("the hard patients left out of the predictions", "missing_predictions")
def _hard(lab: Lab) -> str:
    wrong = lambda rows: (rows["probability"] > 0.5) != (rows["label"] == 1)  # noqa: E731
    return referee(
        lab, scores().assign(probability=lambda rows: rows["probability"].where(~wrong(rows) | (rows.index % 2 == 0)))
    )


@attempt("a site that tells the label", "site_shortcut")
def _site(lab: Lab) -> str:
    generator = np.random.default_rng(0)
    site = np.arange(300) % 2
    label = (generator.random(300) < np.where(site == 1, 0.8, 0.2)).astype(int)
    odds = generator.normal(2 * (site - 0.5), 0.7)
    return referee(
        lab,
        pd.DataFrame(
            {"id": range(300), "label": label, "probability": expit(odds), "site": np.array(["A", "B"])[site]}
        ),
    )


@attempt("another prevalence in the test part", "prevalence_shift")
def _prevalence(lab: Lab) -> str:
    table = scores(400, 1.0).assign(part=lambda rows: np.where(np.arange(len(rows)) < 200, "train", "test"))
    gone = (table["part"] == "test") & (table["label"] == 1) & (np.arange(400) % 8 != 1)
    return referee(lab, table[~gone])


@attempt("the best of many subgroups", "by chance")
def _subgroups(lab: Lab) -> str:
    generator = np.random.default_rng(1)
    return referee(
        lab, scores(200).assign(**{f"group {number}": generator.choice(["a", "b"], 200) for number in range(20)})
    )


@attempt("a covariate that is the label", "covariate_is_label")
def _covariate(lab: Lab) -> str:
    return referee(lab, scores().assign(stage=lambda rows: np.where(rows["label"] == 1, "late", "early")))


@attempt("a model that says the same of everybody", "constant_scores")
def _constant(lab: Lab) -> str:
    return referee(lab, scores().assign(probability=0.4))


@attempt("a ranking turned round", "below_chance")
def _turned(lab: Lab) -> str:
    return referee(lab, scores(200, 1.5).assign(probability=lambda rows: 1 - rows["probability"]))


@attempt("probabilities that are too sure", "miscalibrated")
def _too_sure(lab: Lab) -> str:
    return referee(lab, scores(400, 1.0).assign(probability=lambda rows: (rows["probability"] > 0.5) * 0.9 + 0.05))


@attempt("one fold of a table of folds", "one_fold")
def _fold_of_table(lab: Lab) -> str:
    return referee(lab, scores().assign(fold=3))


@attempt("patients with both labels", "contradictory_labels")
def _both_labels(lab: Lab) -> str:
    return referee(lab, pd.concat([scores(), scores().head(4).assign(label=lambda rows: 1 - rows["label"])]))


@attempt("an epoch chosen on the judged patients of a table", "was chosen on the patients that are judged")
def _cannot_be_seen(lab: Lab) -> str:
    return referee(lab, scores(signal=1.0))


# Honest workflows.


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """What an honest workflow was accused of."""

    certain: list[str]
    statistical: list[str]


def make_run(settings: Settings, name: str, number: int, signal: float) -> RunFolder:
    """A finished run with stored answers of its validation patients, of a cohort of its own; its weights are one number."""
    config = RunConfig(preset="honest", weights="none", split=SplitConfig(split_unit="patient"))
    run = RunFolder.create(settings, config, DataSource(root=f"/cohort-{number}"), name=name, state="finished")
    ids = [f"{number:03d}{patient:04d}" for patient in range(200)]
    digest = f"{number:012x}"
    split = Split(
        train=tuple(ids[:100]), val=tuple(ids[100:140]), test=tuple(ids[140:]), unit="patient", seed=0, cohort_digest=digest
    )  # fmt: skip
    (run.path / "split.json").write_text(split.to_json())
    (run.path / "environment.json").write_text(json.dumps({"versions": {"torch": "2"}, "cohort_digest": digest}))
    card = CheckpointCard(
        name=name, config=config, class_names=("unmethylated", "methylated"), positive_class=1,
        sequences=(MRSequence.FLAIR,), synthetic=False, cohort_digest=digest, split_unit="patient",
        split_digest=split.digest, patients={"val": 40}, weights_origin="random", reproduction=False, epoch=1,
    )  # fmt: skip
    save_checkpoint(run.checkpoint, {"weight": torch.full((1,), float(number))}, card)
    return run


def work_honestly(settings: Settings, folder: Path, number: int) -> dict[str, list[str]]:
    """Seal, look once, write the sheet, and hand the answers to the referee."""
    generator = np.random.default_rng([4, number])
    signal = (0.0, 1.2)[number % 2]
    run = make_run(settings, f"honest-{number}", number, signal)
    split = run.split()
    make_seal(run.config, split, Criterion(), settings, run=run)
    label = generator.permutation(np.arange(len(split.test)) % 2)
    odds = generator.normal((2 * label - 1) * signal**2 / 2, max(signal, 0.3))
    odds = odds if signal else odds * 0.2
    frame = pd.DataFrame(
        {"key": split.test, "study_id": split.test, "person": split.test, "sequence": "FLAIR", "slice_index": 0,
         "label": label, "logit_0": -odds / 2, "logit_1": odds / 2}
    )  # fmt: skip
    evaluation = Evaluation(
        part="test", data=run.source.root, looked_at=0, class_names=("unmethylated", "methylated"), positive_class=1,
        threshold=0.5, temperature=1.0, epoch=1, leaky=False, synthetic=False, created="2026-01-01T00:00:00", patient={},
        slice={}, frame=frame,
    )  # fmt: skip
    store_look(run, evaluation, settings)
    sheet = gather_claim(run, settings)
    certain = [] if sheet.seal.state == "followed" else [sheet.seal.words]
    certain += [text for text in sheet.banners if not text.startswith("For research only")]
    certain += [] if sheet.looks == 1 and "corrected for look 1 " in sheet.sentence else [sheet.sentence]
    certain += [one.text for one in sheet.evidence.values() if one.state.startswith("contra")]
    table = frame.assign(probability=expit(odds), part="test", sex=generator.choice(["F", "M"], len(frame)))
    path = folder / "honest.csv"
    table[["person", "label", "probability", "part", "sex"]].rename(columns={"person": "id"}).to_csv(path, index=False)
    found = judge(read_predictions(path), Questions(baselines=False))["findings"]
    certain += [one["kind"] for one in found if one["evidence"] == "file" and one["severity"] != "note"]
    return {"certain": certain, "statistical": [one["kind"] for one in found if one["evidence"] == "statistic"]}


def store_look(run: RunFolder, evaluation: Evaluation, settings: Settings) -> None:
    """Count and store an evaluation as the product does."""
    split, persons = run.split(), frozenset().union(*mark_test_persons(run).values())
    model = digest_file(run.checkpoint)
    looked = record_evaluation(
        split.test_digest, run.name, settings, persons=persons, model=model, answers=digest_answers(evaluation.frame)
    )
    look = number_look(split.test_digest, settings, split.cohort_digest, persons, model)
    whole = with_figures(replace(evaluation, looked_at=looked), read_card(run.checkpoint))
    store_evaluation(run, correct_figures(whole, look), "")


class Kept:
    """Outcomes by name, a line of JSON each in a file, so that a run that ended goes on."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self.outcomes = dict(json.loads(line) for line in lines)

    def ask(self, name: str, work: Callable[[], Any]) -> Any:
        """The outcome that stands in the file, or that of the work, which is added."""
        if name not in self.outcomes:
            self.outcomes[name] = work()
            if self.path is not None:
                with self.path.open("a") as file:
                    file.write(json.dumps([name, self.outcomes[name]]) + "\n")
        return self.outcomes[name]


def try_out(trial: Attempt, folder: Path, whole: Lab) -> tuple[str, str]:
    """How an attempt on a copy of the lab ended, and what was said."""
    lab = Lab(folder, whole)
    try:
        return "said", trial(lab)
    except MGMTLabError as error:
        return "prevented", str(error)
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Try everything, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--honest", type=int, default=100)
    parser.add_argument("--every", type=int, default=1, help="take every so many attempts only")
    parser.add_argument("--only", default="", help="attempts whose title holds this")
    parser.add_argument("--start", type=int, default=0, help="leave out so many attempts at the beginning")
    parser.add_argument("--keep", type=Path, help="file of outcomes; what stands there is not tried again")
    arguments = measuring.parse_arguments(parser, honest=0, every=11)
    print(measuring.machine())
    ARCHITECTURES[NETWORK.name] = NETWORK
    kept = Kept(arguments.keep)
    rows, open_ones = [], []
    with tempfile.TemporaryDirectory() as name:
        whole = Lab(Path(name) / "whole")
        for number, (title, (words, trial)) in enumerate(ATTEMPTS.items()):
            if arguments.only not in title or number % arguments.every or number < arguments.start:
                continue
            how, said = kept.ask(title, partial(try_out, trial, Path(name) / f"{number}", whole))
            found = re.search(words, said)
            rows.append((title, how if found else "NOT SEEN", words))
            print(f"{how if found else 'NOT SEEN'}: {title}", flush=True)
            if not found:
                open_ones.append(f"{title}: {how}: {said[:1500]}")
        measuring.print_table("attempts", ("what is tried", "outcome", "in these words"), rows)
        settings = load_settings({"MGMT_LAB_HOME": str(Path(name) / "honest"), "MGMT_LAB_THREADS": "1"})
        settings.runs.mkdir(parents=True)
        flows = [
            Workflow(**kept.ask(f"honest {number}", partial(work_honestly, settings, Path(name), number)))
            for number in range(arguments.honest)
        ]
    for text in open_ones:
        print("open:", text)
    certain = share_figure([bool(one.certain) for one in flows], "none")
    statistical = share_figure([bool(one.statistical) for one in flows], "none")
    limit = 0.05 + 2 * np.sqrt(0.05 * 0.95 / max(1, len(flows)))
    measuring.print_table("honest workflows", ("accused by", "share of workflows"), [
        ["deterministic checks", figure_text(certain)], ["statistical checks", figure_text(statistical)],
    ])  # fmt: skip
    print("accusations:", sorted({text for one in flows for text in (*one.certain, *one.statistical)}) or "none")
    passed = not open_ones and not certain.value and (statistical.value or 0) <= limit
    print(f"{len(rows)} attempts, {len(open_ones)} open; {'passed' if passed else 'FAILED'}")
    return int(bool(open_ones) or bool(certain.value) or (not passed and not arguments.tiny))


if __name__ == "__main__":
    sys.exit(main())
