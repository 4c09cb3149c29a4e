"""The controls that train again: optimism over seeds, the specification curve, and labels shuffled by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from core.config import RunConfig
from core.dataset.shuffle import exchange_of
from core.dataset.split import Split
from core.dataset.table import build_table
from core.errors import MGMTLabError, RunBusyError
from core.evaluation.figure import Figure
from core.evaluation.specification import Cell, SpecificationCurve, judge_jointly, order_cells
from core.experiments.controls.inner_split import split_inside
from core.experiments.controls.optimism import OptimismParameters, Pair, compare_pairs
from core.experiments.controls.permutation import RERUNS, PermutationTest
from core.experiments.controls.specification import SpecificationParameters, list_cells
from core.files import remove_file
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.jobs.member import Member, train_members
from core.progress import Progress
from core.runs.cohort import open_cohort
from core.runs.epoch_figures import best_validation_auroc
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder
from core.settings import Settings
from core.training.evaluate import evaluate_run

OBSERVED = "observed"
"""The member with the true labels."""
AMONG_ALL = "among all patients"


def measure_optimism(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Train over several seeds within the patients that training may use, and compare both figures of each checkpoint.

    The configuration's own test patients stand in no part and are not evaluated. Each repetition holds
    patients of its own out instead.

    Returns
    -------
    dict
        ``pairs``, ``optimism`` (validation less untouched, a figure over seeds) and ``sentence``.
    """
    config, seeds = question.config, OptimismParameters(**question.parameters).seeds
    cohort = open_cohort(question.source, settings=settings)
    table = build_table(cohort, config.prep, settings)
    progress = display.progress("trainings")
    pairs = []
    for seed in range(seeds):
        progress(seed, seeds, f"seed {seed}")
        split = split_inside(table, config.split, cohort.digest, seed)
        changes = {"split_unit": "patient", "split_seed": seed}
        reseeded = config.model_copy(
            update={"seed": config.seed + seed, "split": config.split.model_copy(update=changes)}
        )
        run = _train(experiment, f"seed-{seed:02d}", reseeded, question, split, settings, display)
        untouched = evaluate_run(run, "test", settings)
        validation = best_validation_auroc(run)
        pairs.append(
            Pair(
                seed=seed, run=run.name, epoch=untouched.epoch, validation=validation,
                untouched=untouched.patient["auroc"],
            )
        )  # fmt: skip
    progress(seeds, seeds, "")
    return compare_pairs(pairs)


def measure_specification(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Train every combination of choices on the same patients, and evaluate each on the same others.

    Patients are held out inside those that training may use; the configuration's own test patients stand in no part. A
    combination that cannot be trained is counted as failed, with its reason, and the others are trained. With a count all of
    it is repeated with as many shuffles of the labels, each on a split of its own: the joint test of the whole curve.

    Returns
    -------
    dict
        As :meth:`core.evaluation.specification.SpecificationCurve.to_dict` gives it, with ``reasons`` of what failed, and
        ``joint`` where there are shuffles (:func:`core.evaluation.specification.judge_jointly`).
    """
    configured = list_cells(question.config, SpecificationParameters(**question.parameters))
    shuffles = options.count or 0
    progress = display.progress("combinations")
    total = len(configured) * (1 + shuffles)
    found: list[SpecificationCurve] = []
    reasons: list[str] = []
    within, sentence = _choose_strata(experiment, question, settings) if shuffles else (None, "")
    for shuffle in range(shuffles + 1):
        change = {"shuffle_seed": shuffle, "shuffle_within": within} if shuffle else {}
        shuffled = question.model_copy(update={"source": question.source.model_copy(update=change)})
        prefix = f"shuffle-{shuffle:04d}-" if shuffle else ""
        report = partial(_report_after, progress, shuffle * len(configured), total)
        cells, failures = _measure_cells(experiment, prefix, configured, shuffled, settings, display, report)
        found.append(order_cells(cells))
        reasons += failures
    progress(total, total, "")
    result = {**found[0].to_dict(), "reasons": reasons}
    if shuffles:
        joint = judge_jointly(found[0], found[1:], sentence)
        result |= {"joint": joint, "sentence": f"{result['sentence']} {joint['sentence']}"}
    return result


def _report_after(progress: Progress, before: int, total: int, done: int, what: str) -> None:
    progress(before + done, total, what)


def _measure_cells(
    experiment: Experiment,
    prefix: str,
    configured: Sequence[tuple[dict[str, str], RunConfig]],
    question: Question,
    settings: Settings,
    display: Display,
    report: Callable[[int, str], None],
) -> tuple[list[Cell], list[str]]:
    """Train and evaluate every combination on the question's data, all on one split; the weights of shuffles are not kept."""
    cohort = open_cohort(question.source, settings=settings)
    table = build_table(cohort, question.config.prep, settings)
    seed = SpecificationParameters(**question.parameters).split_seed
    split = split_inside(table, question.config.split, cohort.digest, seed)
    cells: list[Cell] = []
    reasons: list[str] = []
    for number, (choices, config) in enumerate(configured):
        report(number, ", ".join(f"{name} {value}" for name, value in choices.items()))
        by_patient = config.model_copy(update={"split": config.split.model_copy(update={"split_unit": "patient"})})
        name = f"{prefix}cell-{number:03d}"
        try:
            run = _train(experiment, name, by_patient, question, split, settings, display)
            known = read_evaluation(run, "test") if prefix else None
            figure = (known or evaluate_run(run, "test", settings)).patient["auroc"]
            if prefix:
                remove_file(run.checkpoint)
        except RunBusyError:
            raise
        except MGMTLabError as error:
            reasons.append(f"{name}: {error}")
            figure = Figure(value=None, low=None, high=None, n=0, reason=str(error))
        cells.append(Cell(choices=choices, figure=figure, run=name))
    return cells, reasons


def permute_labels(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Train once with the true labels and again with shuffled ones, which adds to the shuffles that are there.

    Of the shuffled runs configuration, split and epochs are kept, not the weights.

    Returns
    -------
    dict
        As :meth:`core.experiments.controls.permutation.PermutationTest.to_dict` gives it.
    """
    count = options.count or RERUNS
    within, sentence = _choose_strata(experiment, question, settings)
    seeds: dict[str, int | None] = {OBSERVED: None, **{f"shuffle-{seed:04d}": seed for seed in range(1, count + 1)}}
    members = [
        Member(
            folder=experiment.runs / name,
            config=question.config,
            source=question.source.model_copy(
                update={} if seed is None else {"shuffle_seed": seed, "shuffle_within": within}
            ),
            stop_file=experiment.stop_file,
        )
        for name, seed in seeds.items()
    ]
    progress = display.progress("trainings")
    figures: dict[str, Figure] = {}
    for done, member in enumerate(train_members(members, settings, jobs=options.parallel), start=1):
        run = member.run
        if run.name != OBSERVED:
            remove_file(run.checkpoint)
            remove_file(run.path / "predictions.parquet")
        figures[run.name] = best_validation_auroc(run)
        progress(done, len(members), run.name)
    null = (figures[name].value for name in seeds if name != OBSERVED)
    return PermutationTest(
        name=experiment.name,
        observed=figures[OBSERVED],
        null=tuple(value for value in null if value is not None),
        within=sentence,
        leaky=question.config.split.split_unit == "slice",
    ).to_dict()


def _choose_strata(
    experiment: Experiment, question: Question, settings: Settings
) -> tuple[Literal["site"] | None, str]:
    """Within sites where they are known; a test that began otherwise goes on as it began."""
    exchange = exchange_of(open_cohort(question.source, settings=settings))
    if not exchange.restricted:
        return None, exchange.sentence
    begun = [run for run in experiment.members() if run.source.shuffle_seed is not None]
    if begun and begun[0].source.shuffle_within is None:
        return None, AMONG_ALL
    return "site", exchange.sentence


def _train(
    experiment: Experiment,
    name: str,
    config: RunConfig,
    question: Question,
    split: Split,
    settings: Settings,
    display: Display,
) -> RunFolder:
    """Train one member on a split, and return its run."""
    member = Member(
        folder=experiment.runs / name, config=config, source=question.source, split=split,
        stop_file=experiment.stop_file,
    )  # fmt: skip
    (trained,) = train_members([member], settings, on_epoch=display.on_epoch)
    return trained.run
