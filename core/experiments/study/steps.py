"""The steps of a whole study, each a question that is answered elsewhere; the order spends no test patient before the last.

Test patients are drawn and sealed first. All that is tried before the one evaluation is tried on the cohort without them
(``DataSource.leave_out``), so that no control looks at them either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from pydantic import BaseModel

from core.audit.checks import audit_cohort
from core.data.clinical.covariates import add_scanners
from core.data.clinical.participants import describe_flow, list_flow
from core.data.study import Cohort
from core.dataset.split import Split, make_split
from core.dataset.table import build_table
from core.errors import ConfigError, MGMTLabError
from core.evaluation.aggregate import log_odds
from core.evaluation.calibration import CALIBRATION_TITLES
from core.evaluation.figure import Figure, estimand_of
from core.evaluation.power import smallest_auroc
from core.experiments.claim_sheet import ask_shortcuts
from core.experiments.controls import optimism, permutation, specification
from core.experiments.controls.leak_meter import measure_cohort
from core.experiments.controls.retrain import measure_optimism, measure_specification, permute_labels
from core.experiments.controls.robustness import measure_robustness
from core.experiments.controls.robustness_question import ask_robustness
from core.experiments.external.evaluate import evaluate_externally
from core.experiments.external.leave_out import leave_one_out
from core.experiments.external.parameters import LEAVE_OUT, LeaveOutParameters, ask_external
from core.experiments.folds import candidates
from core.experiments.folds.cross_validation import cross_validate
from core.experiments.referee.baselines import evaluate_baselines, list_sets
from core.experiments.referee.judge import Questions, judge
from core.experiments.referee.table import read_predictions
from core.experiments.study import positive
from core.experiments.study.parameters import (
    CURVE,
    CURVE_CELLS,
    POSITIVE,
    SIZES,
    Amount,
    PositiveParameters,
    StudyParameters,
)
from core.experiments.twin.pair import plan_pair, read_result
from core.experiments.twin.result import evaluate_pair
from core.figure_text import figure_text, number_text, p_text, value_text
from core.files import write_atomic
from core.jobs.experiment import Display, Experiment, Part, Question, RunOptions, make_question
from core.jobs.member import Member, train_members
from core.runs.cohort import open_cohort
from core.runs.evaluation import calibration_figures, read_evaluation
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.runs.seal import Criterion, list_seals, make_seal
from core.settings import Settings
from core.training.evaluate import evaluate_run

Conduct = Callable[[Experiment, Question, RunOptions, Settings, Display], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every step is told."""

    experiment: Experiment
    question: Question
    options: RunOptions
    settings: Settings
    display: Display

    @property
    def parameters(self) -> StudyParameters:
        """What is asked."""
        return StudyParameters(**self.question.parameters)

    @property
    def amount(self) -> Amount:
        """How much is repeated."""
        return SIZES[self.parameters.size]

    @property
    def run(self) -> RunFolder:
        """The one run whose claim is made."""
        return RunFolder(self.settings.runs / self.experiment.name)

    @property
    def split(self) -> Split:
        """Who is in which part; drawn by the step that seals."""
        split = self.experiment.split()
        if split is None:
            raise ConfigError(f"{self.experiment.folder} has no split; resume the study.")
        return split

    @property
    def rest(self) -> DataSource:
        """The cohort without its test patients."""
        return self.question.source.without(self.split.test)

    def open_rest(self) -> Cohort:
        """Scan the cohort without its test patients."""
        return open_cohort(self.rest, settings=self.settings)

    def count(self, count: int) -> Context:
        """The same with a number of repetitions."""
        return replace(self, options=self.options.model_copy(update={"count": count}))

    def ask(
        self, kind: str, parameters: BaseModel, conduct: Conduct, source: DataSource | None = None
    ) -> dict[str, Any]:
        """Answer a question as an experiment of its own, which claim sheets find, and which stops with the study."""
        question = make_question(kind, parameters, self.question.config, source or self.rest)
        return self.answer(kind.replace("_", "-"), question, conduct)

    def answer(self, suffix: str, question: Question, conduct: Conduct) -> dict[str, Any]:
        """As :meth:`ask`, of a whole question."""
        asked = Experiment.ask(self.settings, f"{self.experiment.name}-{suffix}", question)
        part = Part(asked.folder, self.experiment.stop_file)
        found = part.result()
        if found is None:
            with part.work(self.settings):
                part.write_options(self.options)
                found = conduct(part, question, self.options, self.settings, self.display)
                found = {**found, "estimand": estimand_of(question.kind)}
                part.write_result(found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step."""

    name: str
    title: str
    take: Callable[[Context], dict[str, Any]]
    """Returns ``sentence`` and whatever figures there are; ``areas`` are AUROCs by what they are of."""


def _audit(context: Context) -> dict[str, Any]:
    cohort = open_cohort(context.question.source, context.display.progress("scanning"), context.settings)
    report = audit_cohort(cohort, context.settings, progress=context.display.progress("reading pixels"))
    counts = report.counts()
    flow = list_flow(describe_flow(cohort))
    sentence = "; ".join(f"{name} {studies} studies of {persons} persons" for name, studies, persons in flow)
    kinds = sorted({finding.kind for finding in report.findings if finding.severity != "note"})
    return {
        "sentence": f"{sentence}. Audit: {counts['error']} errors and {counts['warning']} warnings"
        + (f" ({', '.join(kinds)})" if kinds else ""),
        "flow": [list(step) for step in flow],
        "counts": dict(counts),
        "synthetic": cohort.synthetic,
        "covariates": sorted({name for study in cohort for name in study.covariates}),
    }


def _seal(context: Context) -> dict[str, Any]:
    cohort = open_cohort(context.question.source, settings=context.settings)
    config = context.question.config
    split = context.experiment.split()
    if split is None:
        table = build_table(cohort, config.prep, context.settings, progress=context.display.progress("preparing"))
        split = make_split(table, config.split, cohort.digest)
        context.experiment.write_split(split)
    note = f"study {context.experiment.name}"
    known = [seal for _, seal, fault in list_seals(context.settings) if seal and not fault and seal.note == note]
    seal = known[-1] if known else make_seal(config, split, Criterion(), context.settings, note=note)
    count = len(split.test)
    told = f"; so many tell an AUROC of {smallest_auroc(count):.2f} from 0.5 with 80% power" if count >= 8 else ""
    return {
        "sentence": f"{count} test patients set aside and sealed: success is that {seal.criterion.words()} (SHA-256 "
        f"{seal.hash[:12]}){told}",
        "hash": seal.hash,
        "test": count,
        "looks_before": seal.looks_before,
    }


def _tabulate(cohort: Cohort, *, required: bool = True) -> pd.DataFrame:
    """A row a labelled person: ``id``, ``label`` and his covariates, of which there must be some where they are required."""
    persons = {study.person: study for study in add_scanners(cohort).labelled}
    rows = [
        {**study.covariates, "id": person, "label": int(study.label == cohort.positive_class)}
        for person, study in sorted(persons.items())
    ]
    frame = pd.DataFrame(rows)
    if required and len(frame.columns) <= 2:
        raise ConfigError("No covariate is known of these persons; a clinical table with age, sex or site gives them.")
    return frame


def _covariates(frame: pd.DataFrame) -> list[str]:
    return sorted(set(frame.columns) - {"id", "label", "score"})


def _baselines(context: Context) -> dict[str, Any]:
    frame = _tabulate(context.open_rest())
    found = evaluate_baselines(frame, list_sets(_covariates(frame)))
    return {
        "sentence": "Without the image: " + "; ".join(f"{one.name}: AUROC {figure_text(one.auroc)}" for one in found),
        "areas": {f"Without the image: {one.name}": one.auroc.to_dict() for one in found},
        "baselines": [one.to_dict() for one in found],
    }


def _sites(context: Context) -> dict[str, Any]:
    found = context.ask(LEAVE_OUT, LeaveOutParameters(by="site"), leave_one_out)
    return {"sentence": found["sentence"]}


def _calibration(context: Context) -> dict[str, Any]:
    test = read_evaluation(context.run, "test")
    assert test is not None, "it was evaluated a step before"
    if len(test.class_names) != 2:
        raise ConfigError(f"Calibration is measured of two classes; here are {len(test.class_names)}.")
    found = calibration_figures(test)
    told = "; ".join(f"{title.lower()} {value_text(found[name])}" for name, title in CALIBRATION_TITLES.items())
    return {
        "sentence": f"Of the probabilities that people receive, on {len(test.patient_ids)} test patients: {told}",
        "figures": {name: figure.to_dict() for name, figure in found.items()},
    }


def _subgroups(context: Context) -> dict[str, Any]:
    test = read_evaluation(context.run, "test")
    assert test is not None, "it was evaluated some steps before"
    if len(test.class_names) != 2:
        raise ConfigError(f"The referee judges two classes; here are {len(test.class_names)}.")
    rows = pd.DataFrame({"id": test.patient_ids, "probability": test.patient_probabilities[:, test.positive_class]})
    frame = _tabulate(open_cohort(context.question.source, settings=context.settings), required=False)
    table = context.experiment.folder / "test_predictions.csv"
    write_atomic(table, rows.merge(frame, on="id").to_csv(index=False))
    found = judge(read_predictions(table), Questions(baselines=False))
    told = [
        f"{one['covariate']} {one['level']}: AUROC {figure_text(one['auroc'])}, less the others' {value_text(one['interaction'], signed=True)}"
        for one in found["subgroups"]
    ] or ["no covariate has levels to compare"]
    flaws = [one["text"] for one in found["findings"] if one["severity"] != "note"]
    return {"sentence": " ".join([found["sentence"], "; ".join(told), *flaws]), "referee": found}


def _added(context: Context) -> dict[str, Any]:
    test = read_evaluation(context.run, "test")
    assert test is not None, "it was evaluated a step before"
    source = context.question.source
    scores = dict(zip(map(str, test.patient_ids), log_odds(test.patient_logits, test.positive_class), strict=True))
    frame = _tabulate(open_cohort(source, settings=context.settings))
    patients = frame[frame["id"].isin(scores)].assign(score=lambda rows: rows["id"].map(scores)).reset_index(drop=True)
    names = _covariates(frame)
    found = evaluate_baselines(patients, list_sets(names), training=_tabulate(context.open_rest()))
    told = [
        f"to {one.name}: AUROC {number_text(one.added_auroc, signed=True)}, log loss {number_text(one.added_log_loss, signed=True)}"
        + (f", {p_text(one.p)}" if one.p is not None else "")
        for one in found
    ]
    return {
        "sentence": f"On {len(patients)} test patients the image adds {'; '.join(told)}",
        "baselines": [one.to_dict() for one in found],
    }


def _leak(context: Context) -> dict[str, Any]:
    found = measure_cohort(context.open_rest(), context.settings, repeats=min(20, context.amount.draws)).to_dict()
    return {
        "sentence": "A nearest neighbour is right for "
        f"{value_text(found['by_slice']['true'], percent=True)} of the slices in a split by slice, with shuffled labels for "
        f"{value_text(found['by_slice']['shuffled'], percent=True)}, and by patient for "
        f"{value_text(found['by_patient']['true'], percent=True)} (accuracy, n = {found['slices']} slices)",
        **found,
    }


def _twin(context: Context) -> dict[str, Any]:
    shuffled = context.rest.model_copy(update={"shuffle_seed": 0})
    pair = plan_pair(context.settings, context.question.config, shuffled, name=f"{context.experiment.name}-twin")
    found = read_result(pair)
    if found is None:
        members = [
            Member(folder=run.path, config=run.config, source=run.source, stop_file=context.experiment.stop_file)
            for run in pair.runs.values()
        ]
        for _ in train_members(members, context.settings, on_epoch=context.display.on_epoch):
            pass
        found = evaluate_pair(pair, context.settings).to_dict()
    return {"sentence": found["sentence"], "difference": found["difference"]}


def _folds(context: Context) -> dict[str, Any]:
    parameters = candidates.CrossValidationParameters(folds=context.amount.folds)
    found = context.ask(candidates.KIND, parameters, cross_validate)
    return {"sentence": found["sentence"], "areas": {"Cross-validation by patient": found["patient"]["auroc"]}}


def _permutation(context: Context) -> dict[str, Any]:
    return context.count(context.amount.shuffles).ask(
        permutation.KIND, permutation.PermutationParameters(), permute_labels
    )


def _joint(context: Context) -> dict[str, Any]:
    shuffles = context.amount.joint
    if not shuffles:
        enough = SIZES["full"].joint
        raise ConfigError(
            f"The joint test of a specification curve trains {CURVE_CELLS} combinations of {' and '.join(CURVE)} with the true labels "
            f"and {enough} times with shuffled ones, {CURVE_CELLS * (enough + 1)} networks: too many for this size; --size full asks it, and "
            "so does specification --permutations."
        )
    parameters = specification.SpecificationParameters(vary=CURVE)
    found = context.count(shuffles).ask(specification.KIND, parameters, measure_specification)
    return {name: found[name] for name in ("sentence", "joint", "cells")}


def _controls(context: Context) -> dict[str, Any]:
    found = context.ask(optimism.KIND, optimism.OptimismParameters(seeds=context.amount.seeds), measure_optimism)
    return {"sentence": found["sentence"], "optimism": found["optimism"]}


def _shortcuts(context: Context) -> dict[str, Any]:
    # The run has no test patients in `rest`; what headers say of them is asked of the others.
    control = ask_shortcuts(context.rest, context.settings, permutations=context.amount.draws)
    return {"sentence": control.result, "failed": not control.done}


def _positive(context: Context) -> dict[str, Any]:
    asked = context.parameters
    parameters = PositiveParameters(
        target=asked.control_target, positive=asked.control_positive, cutoff=asked.control_cutoff,
        folds=context.amount.folds,
    )  # fmt: skip
    positive.choose_positive(parameters, context.question.source)
    found = context.ask(POSITIVE, parameters, positive.control_positively)
    return {**found, "areas": {f"Positive control: {found['target']}": found["control"]}}


def _final(context: Context) -> dict[str, Any]:
    member = Member(
        folder=context.run.path, config=context.question.config, source=context.question.source, split=context.split,
        stop_file=context.experiment.stop_file,
    )  # fmt: skip
    for _ in train_members([member], context.settings, on_epoch=context.display.on_epoch):
        pass
    found = read_evaluation(context.run, "test") or evaluate_run(context.run, "test", context.settings)
    area: Figure = found.patient["auroc"]
    return {
        "sentence": f"Evaluated {found.looked_at} {'time' if found.looked_at == 1 else 'times'}: AUROC by patient "
        f"{figure_text(area, 'test patients')}",
        "areas": {"Test patients, which chose nothing": area.to_dict()},
    }


def _robustness(context: Context) -> dict[str, Any]:
    found = context.answer("robustness", ask_robustness(context.run), measure_robustness)
    return {"sentence": found["sentence"]}


def _external(context: Context) -> dict[str, Any]:
    if not context.parameters.external:
        raise ConfigError("No other cohort was named (--external OTHER): whether it holds elsewhere is not known.")
    found = context.answer(
        "external", ask_external(context.run.checkpoint, context.parameters.external), evaluate_externally
    )
    return {
        "sentence": found["sentence"],
        "areas": {f"Other cohort: {one['name']}": one["auroc"] for one in found["cohorts"]},
    }


STEPS: tuple[Step, ...] = (
    Step(name="audit", title="Audit and flow of participants", take=_audit),
    Step(name="seal", title="Test patients set aside, plan sealed", take=_seal),
    Step(name="baselines", title="Without the image", take=_baselines),
    Step(name="leak", title="Leak meter", take=_leak),
    Step(name="shortcuts", title="Shortcuts", take=_shortcuts),
    Step(name="twin", title="Twin run with random labels", take=_twin),
    Step(name="folds", title="Cross-validation by patient", take=_folds),
    Step(name="permutation", title="Permutation test", take=_permutation),
    Step(name="joint", title="Joint test of a specification curve", take=_joint),
    Step(name="optimism", title="Optimism of the best epoch", take=_controls),
    Step(name="positive", title="Positive control", take=_positive),
    Step(name="sites", title="Leave one site out", take=_sites),
    Step(name="final", title="One evaluation of the test patients", take=_final),
    Step(name="calibration", title="Calibration", take=_calibration),
    Step(name="subgroups", title="The referee, and subgroups", take=_subgroups),
    Step(name="added", title="What the image adds", take=_added),
    Step(name="robustness", title="Robustness sweep", take=_robustness),
    Step(name="external", title="Other cohorts", take=_external),
)


def take_step(step: Step, context: Context) -> dict[str, Any]:
    """Return what a step found, or why it could not be asked of this cohort."""
    try:
        return step.take(context)
    except MGMTLabError as error:
        if step.name in ("seal", "final"):  # without them there is no study
            raise
        return {"sentence": f"could not be asked: {error}", "failed": True}
