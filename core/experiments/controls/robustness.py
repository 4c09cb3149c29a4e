"""The robustness sweep: how far a checkpoint's answer moves, patient by patient, when its images are disturbed.

The validation patients are disturbed, so that no test patient is spent: this says how far an answer moves, not how good it is.
Disturbances act on the prepared images, where the network looks; those of the scanner itself may be larger. Each is one pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate, shift, zoom  # type: ignore[attr-defined]

from core.config import AugmentationConfig, RunConfig
from core.dataset.intensity_changes import change_intensity
from core.dataset.predictions import build_predictions
from core.dataset.slice_table import SliceTable
from core.dataset.table import build_table
from core.errors import DataError, EvaluationError
from core.evaluation.aggregate import to_groups
from core.evaluation.calibration import to_probabilities
from core.evaluation.figure import Figure
from core.evaluation.figures import predict_classes
from core.evaluation.influence import mean_interval
from core.evaluation.intervals import share_figure
from core.experiments.controls.robustness_question import RobustnessParameters
from core.experiments.external.parameters import digest_file
from core.figure_text import value_text
from core.files import read_document, write_atomic
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.models.card import CheckpointCard
from core.models.checkpoint import load_model
from core.models.forward import choose_compute, place_model, score_images
from core.models.registry import find_architecture
from core.runs.cohort import open_cohort
from core.runs.evaluation import build_evaluation
from core.runs.folder import RunFolder, now
from core.settings import Settings

AT_ONCE = 256
Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """One way in which the same patient's images may differ."""

    name: str
    title: str
    disturb: Callable[[Images], Images]
    """Of uint8 images (n, channels, ..., rows, columns) or (n, rows, columns); returns as many of the same shape."""


def _plane_by_plane(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[[Images], Images]:
    """Apply a change of one plane (rows, columns) to each of many; what was 0 may become grey, as at a blurred edge."""

    def disturb(images: Images) -> Images:
        planes = images.reshape(-1, *images.shape[-2:]).astype(np.float32)
        changed = np.stack([change(plane) for plane in planes])
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8).reshape(images.shape)

    return disturb


def _intensity(**amounts: float) -> Callable[[Images], Images]:
    """The augmentation's change at its full amount, the same for all images of a pass."""
    config = AugmentationConfig(flip_probability=0, **amounts)  # type: ignore[arg-type]

    def disturb(images: Images) -> Images:
        draws = np.ones((len(images), 14))
        draws[:, 4:] = np.random.default_rng(0).uniform(-1, 1, 10)
        generators = [np.random.default_rng([0, index]) for index in range(len(images))]
        changed = change_intensity(torch.from_numpy(images.astype(np.float32)), config, draws, generators)
        return changed.round().to(torch.uint8).numpy()

    return disturb


def _coarser(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    small = zoom(plane, 0.5, order=1)
    back = zoom(small, (plane.shape[0] / small.shape[0], plane.shape[1] / small.shape[1]), order=1)
    return np.asarray(back, dtype=np.float32)


def _window(low: float, high: float) -> Callable[[Images], Images]:
    return _plane_by_plane(lambda plane: np.where(plane > 0, (plane - 255 * low) / (high - low), 0))


DISTURBANCES: tuple[Disturbance, ...] = (
    Disturbance(name="retest", title="the same images again", disturb=lambda images: images),
    Disturbance(name="noise", title="noise, 5% of the grey range", disturb=_intensity(noise_std=0.05)),
    Disturbance(name="bias", title="bias field, coefficients up to 0.3", disturb=_intensity(bias_field=0.3)),
    Disturbance(name="blur", title="blur, 1 px", disturb=_plane_by_plane(lambda plane: gaussian_filter(plane, 1.0))),
    Disturbance(name="spacing", title="spacing twice as coarse", disturb=_plane_by_plane(_coarser)),
    Disturbance(name="shift", title="registration: shift by 2 px",
                disturb=_plane_by_plane(lambda plane: shift(plane, (2.0, -2.0), order=1))),
    Disturbance(name="tilt", title="registration: rotation by 5 degrees",
                disturb=_plane_by_plane(lambda plane: rotate(plane, 5.0, reshape=False, order=1))),
    Disturbance(name="narrow", title="contrast window 20% narrower", disturb=_window(0.1, 0.9)),
    Disturbance(name="wide", title="contrast window 20% wider", disturb=_window(-0.1, 1.1)),
)  # fmt: skip


def measure_robustness(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Score the validation patients once as they are and once for each disturbance; every pass is kept as it comes.

    Returns
    -------
    dict
        ``sentence``; ``moves`` by disturbance: ``title``, ``probability`` (mean absolute change by patient), ``changed``
        (share of patients whose class changes), ``patients`` {id: change of the probability}; ``n``.

    Raises
    ------
    DataError
        The run's checkpoint is another one than was asked about.
    EvaluationError
        Its data have changed since.
    """
    parameters = RobustnessParameters(**question.parameters)
    run = RunFolder(type(experiment.folder)(parameters.run))
    if not run.checkpoint.is_file() or digest_file(run.checkpoint) != parameters.sha256:
        raise DataError(f"{run.checkpoint} is no longer the file that was asked about; ask anew under another --name.")
    torch.set_num_threads(settings.threads)
    model, card = load_model(run.checkpoint)
    cohort, split = open_cohort(question.source, settings=settings), run.split()
    if split.cohort_digest != cohort.digest:
        raise EvaluationError(f"{cohort.root} is no longer what {run.name} was split on; restore the data.")
    experiment.write_split(split)
    table = build_table(cohort, card.config.prep, settings)
    rows = split.indices(table, "val")
    compute = choose_compute(card.config)
    place_model(model, compute)

    def score(title: str, disturb: Callable[[Images], Images]) -> NDArray[np.float32]:
        pieces = []
        for start in range(0, len(rows), AT_ONCE):
            if experiment.stop_file.exists():
                raise KeyboardInterrupt
            images = disturb(np.asarray(table.images(rows[start : start + AT_ONCE])))
            pieces.append(score_images(model, images, find_architecture(card.config.architecture), compute))
        return np.concatenate(pieces)

    disturbances = [*DISTURBANCES, *_missing_sequences(table, card.config)]
    progress = display.progress("disturbances")
    plain = score("", lambda images: images)
    moves = {}
    for number, one in enumerate(disturbances):
        progress(number, len(disturbances), one.title)
        kept = experiment.folder / "passes" / f"{one.name}.json"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            moved = _compare(card, table, rows, plain, score(one.title, one.disturb))
            write_atomic(kept, json.dumps({"title": one.title, **moved}))
        moves[one.name] = read_document(kept)
    moves |= _halves(card, table, rows, plain)
    progress(len(disturbances), len(disturbances), "")
    worst = max((one for name, one in moves.items() if name != "retest"), key=lambda one: one["changed"]["value"] or 0)
    return {
        "sentence": f"Of {len(moves)} disturbances, {worst['title']} changes most: the class of {value_text(worst['changed'], percent=True)} "
        f"of the patients, their probability by {value_text(worst['probability'])} on average (n = {worst['changed']['n']} "
        "validation patients)",
        "moves": moves,
        "n": worst["changed"]["n"],
        "part": "val",
    }


def _missing_sequences(table: SliceTable, config: RunConfig) -> list[Disturbance]:
    """Leave out each sequence of examples that hold several; others are answered sequence by sequence already."""
    if not config.prep.combines:
        return []

    def without(place: int) -> Callable[[Images], Images]:
        def disturb(images: Images) -> Images:
            changed = images.copy()
            changed[:, place] = 0
            return changed

        return disturb

    return [
        Disturbance(name=f"without-{sequence}", title=f"{sequence} missing", disturb=without(place))
        for place, sequence in enumerate(config.prep.sequences)
    ]


def _answers(card: CheckpointCard, table: SliceTable, rows: NDArray[np.int64], logits: NDArray[np.float32]) -> Any:
    frame = build_predictions(table.rows.iloc[rows], logits)
    return build_evaluation(
        card, frame, part="val", data="", leaky=card.split_unit == "slice", synthetic=card.synthetic, created=now()
    )


def _compare(
    card: CheckpointCard, table: SliceTable, rows: NDArray[np.int64], plain: NDArray[np.float32],
    moved: NDArray[np.float32],
) -> dict[str, Any]:  # fmt: skip
    before, after = (_answers(card, table, rows, logits) for logits in (plain, moved))
    positive = card.positive_class
    change = after.patient_probabilities[:, positive] - before.patient_probabilities[:, positive]
    return _describe(
        card, before.patient_ids, before.patient_labels, change, before.patient_logits, after.patient_logits
    )


def _describe(
    card: CheckpointCard, patients: Any, labels: Any, change: NDArray[np.float64], before: Any, after: Any
) -> dict[str, Any]:
    """Mean absolute change of the probability, share of changed classes, and each patient's change."""
    options: dict[str, Any] = {
        "positive_class": card.positive_class, "threshold": card.threshold, "temperature": card.temperature,
    }  # fmt: skip
    classes = [predict_classes(logits, **options) for logits in (before, after)]
    moved = np.abs(change)
    try:
        value, low, high = mean_interval(moved, labels)
        probability = Figure(
            value=value, low=low, high=high, n=len(moved), method="mean over patients, skewness taken out"
        )
    except EvaluationError as error:
        reason = "no answer moved" if not moved.any() else str(error)
        probability = Figure(value=float(moved.mean()), low=None, high=None, n=len(moved), reason=reason)
    return {
        "probability": probability.to_dict(),
        "changed": share_figure(classes[0] != classes[1], "no patient").to_dict(),
        "patients": {str(patient): float(by) for patient, by in zip(patients, change, strict=True)},
    }


def _halves(
    card: CheckpointCard, table: SliceTable, rows: NDArray[np.int64], logits: NDArray[np.float32]
) -> dict[str, Any]:
    """Test-retest of the network: a patient's even slices against his odd ones, where every patient has both."""
    patients = table.rows["person"].iloc[rows].to_numpy(dtype=np.str_)
    labels = table.rows["label"].iloc[rows].to_numpy(dtype=np.int64)
    place = np.zeros(len(rows), dtype=np.int64)
    for patient in np.unique(patients):
        own = np.flatnonzero(patients == patient)
        place[own] = np.arange(len(own)) % 2
    halves = [np.flatnonzero(place == half) for half in (0, 1)]
    if len(np.unique(patients[halves[1]])) < len(np.unique(patients)):
        return {}
    options: dict[str, Any] = {"positive_class": card.positive_class, "k": card.config.top_k}
    first, second = (
        to_groups(logits[half].astype(np.float64), patients[half], card.config.aggregation, **options)
        for half in halves
    )
    names = np.asarray(first[0])
    classes = np.array([labels[patients == name][0] for name in names])
    chances = [to_probabilities(one[1], card.temperature)[:, card.positive_class] for one in (first, second)]
    found = _describe(card, names, classes, chances[1] - chances[0], first[1], second[1])
    return {"halves": {"title": "other slices of the same patient (odd for even)", **found}}
