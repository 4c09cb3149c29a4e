"""The answer for one study on one page: what a reader sees, as plain values that HTML and PDF are drawn from."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL import Image

from core.data.study import Study
from core.evaluation.figure import estimand_of
from core.explain.methods import METHODS
from core.explain.slices import SHOWN_PX, MappedSlice, map_slices
from core.explain.validation.saliency_record import default_map, map_worth, read_saliency_record
from core.figure_text import figure_text, number_text
from core.inference.batch import describe_set, digest_checkpoint
from core.inference.predict import Predictor
from core.inference.prediction import Prediction, SeriesPrediction
from core.models.card import CheckpointCard
from core.reports.page import render_page
from core.runs.folder import now

RESEARCH = "For research only. Not a medical device; nothing here is advice."
MOST_PICTURES = 4
OPACITY = 0.6
GUARD_WORDS = {
    "passed": "The guard compared the scan with the training scans, within limits that were set on held-out patients: nothing "
    "spoke against it.",
    "abstained": "The guard refused the scan: no answer is given.",
    "not checked": "Grey values, field of view and processing were compared with what is usual, and nothing spoke against it. "
    "This checkpoint has no measured limits, so whether the scan is like its training scans was not checked.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A slice beside the same slice under its map, or alone where there is no answer to map."""

    png: bytes
    caption: str

    @property
    def source(self) -> str:
        """As the source of an HTML image."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReport:
    """What stands on the page."""

    study_id: str
    checkpoint: str
    created: str
    synthetic: str
    """What a reader must know before anything else of what is synthetic; empty where nothing is."""
    shown: bool
    """Whether there is an answer; else ``reason`` stands in its place."""
    reason: str
    title: str
    """What the probability is of."""
    probability: float
    threshold: float | None
    verdict: str
    worth: tuple[str, ...]
    """What the checkpoint's own figures are, one sentence each."""
    pictures: tuple[Picture, ...]
    map_words: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    warnings: tuple[str, ...]


def describe_answer(
    predictor: Predictor, study: Study, prediction: Prediction, *, synthetic: bool = False, anyway: bool = False
) -> AnswerReport:
    """Return the page of one answer; its maps are drawn for the slices that support it most.

    Parameters
    ----------
    synthetic
        Whether the scan is known to be synthetic.
    anyway
        Show the number also where the checkpoint abstains.
    """
    card = predictor.card
    method, layer = default_map(card)
    shown = anyway or not prediction.abstained
    positive = card.class_names[card.positive_class]
    binary = len(card.class_names) == 2
    return AnswerReport(
        study_id=prediction.study_id,
        checkpoint=f"{card.name} ({digest_checkpoint(predictor.path)}), {card.config.architecture}",
        created=now(),
        synthetic=_about_synthetic(card, synthetic),
        shown=shown,
        reason=prediction.reason,
        title=f"Probability of {positive} MGMT promoter" if positive == "methylated" else f"Probability of {positive}",
        probability=prediction.probability,
        threshold=prediction.threshold if binary else None,
        verdict=_verdict(prediction, binary),
        worth=tuple(_describe_worth(card)),
        pictures=tuple(_draw_pictures(predictor, prediction, method, layer, shown)),
        map_words=f"Maps: what speaks for {prediction.prediction} ({METHODS[method].title}). {map_worth(card, method, layer)}"
        if shown
        else "The slices as the network would have seen them.",
        checked=tuple(_list_checked(study, prediction)),
        unchecked=tuple(_list_unchecked(card, prediction, method, layer)),
        warnings=prediction.warnings,
    )


def write_html(reports: Sequence[AnswerReport]) -> str:
    """Return the pages as one HTML document that needs nothing else; every text is escaped."""
    return render_page(
        "answer.html", estimand_of("predict"), reports=reports, research=RESEARCH, number_text=number_text
    )


def _about_synthetic(card: CheckpointCard, synthetic: bool) -> str:
    sentences = [
        "This scan is synthetic: no person's." if synthetic else "",
        "The checkpoint has seen synthetic brains only: on a real scan its answer means nothing."
        if card.synthetic
        else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _verdict(prediction: Prediction, binary: bool) -> str:
    """The class in words, the classes that the promised coverage allows, and what others say; none where the guard abstains."""
    if prediction.abstained:
        return "It means nothing for this scan: no class and no coverage follow from it."
    side = "at or above" if prediction.probability >= prediction.threshold else "below"
    words = f"{prediction.prediction}: {side} the threshold of {prediction.threshold:.3f}" if binary else (
        f"most probable: {prediction.prediction}"
    )  # fmt: skip
    if prediction.possible is not None:
        alone = len(prediction.possible) == 1
        found = f"{describe_set(prediction)} alone" if alone else f"cannot tell ({describe_set(prediction)})"
        words = f"{words}. Possible at {prediction.possible_level:.0%} coverage: {found}"
    said = [other.describe(prediction.prediction) for other in prediction.others]
    return " ".join([f"{'Disputed. ' if prediction.disputed else ''}{words}.", *said])


def _describe_worth(card: CheckpointCard) -> Iterator[str]:
    found = card.reported_auroc()
    yield (
        f"The checkpoint's own AUROC by patient: {figure_text(found[1], 'patients')} ({found[0]})."
        if found
        else "The checkpoint's own AUROC is not recorded: nobody knows what its answers are worth."
    )
    yield f"Probability, threshold and sets of classes: {card.describe_calibration()}."
    yield "That interval is of the figure over patients. A single patient's probability has none."


def _draw_pictures(
    predictor: Predictor, prediction: Prediction, method: str, layer: str, shown: bool
) -> Iterator[Picture]:
    """Draw the slice that supports the answer most of each sequence, at most :data:`MOST_PICTURES`."""
    card = predictor.card
    target = card.class_names.index(prediction.prediction)
    sign = 1 if target == card.positive_class else -1

    def choose(part: SeriesPrediction) -> list[int]:
        if not shown:  # nothing of the answer may show: the middle
            return [len(part.slices) // 2]
        return [max(range(len(part.slices)), key=lambda index: sign * part.slices[index].probability)]

    mapped = map_slices(predictor, prediction, method=method, layer=layer, target=target, choose=choose)
    by_sequence = groupby(
        sorted(mapped, key=lambda one: one.seen.sequence), key=lambda one: (one.seen.sequence, id(one.part))
    )
    best = [max(group, key=lambda one: one.raw_max if shown else 0) for _, group in by_sequence]
    best.sort(key=lambda one: -sign * one.answer.probability if shown else 0)
    for one in best[:MOST_PICTURES]:
        yield _draw_picture(one, shown)


def _draw_picture(one: MappedSlice, shown: bool) -> Picture:
    picture = one.draw(OPACITY)
    if not shown:
        picture = picture.crop((0, 0, picture.width // 2, picture.height))
    if picture.height > 2 * SHOWN_PX:
        picture = picture.resize((picture.width * SHOWN_PX // picture.height, SHOWN_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    place = f", {round(one.seen.position_mm)} mm" if math.isfinite(one.seen.position_mm) else ""
    number = f": {number_text(one.answer.probability)}" if shown else ""
    return Picture(
        png=stream.getvalue(), caption=f"{one.seen.sequence}, slice {one.seen.slice_index + 1}{place}{number}"
    )


def _list_checked(study: Study, prediction: Prediction) -> Iterator[str]:
    for part in prediction.series:
        described = part.to_dict()
        spacing = part.series.spacing_mm
        size = f", slices {spacing[0]:.1f} mm apart" if spacing else ""
        yield (
            f"{described['sequence']}, {described['plane']}{size}: {len(part.seen)} of {part.prepared.slice_total} slices used; "
            f"recognised by {part.series.sequence_reason or 'nothing'}."
        )
    used = {id(series) for part in prediction.series for series in part.together or (part.series,)}
    rest = [str(series.sequence) for series in study.series if id(series) not in used]
    if rest:
        yield f"Not used: {', '.join(rest)}."
    yield GUARD_WORDS[prediction.guard]


def _list_unchecked(card: CheckpointCard, prediction: Prediction, method: str, layer: str) -> Iterator[str]:
    yield "Whose scan it is, that it shows a glioma, and that it was taken before treatment."
    if "data" not in card.metrics:
        yield "How the checkpoint does on patients of another hospital: it was never evaluated on any."
    if read_saliency_record(card) is None:
        yield "Whether its maps are true."
    yield "Any finding but the one named above. A biopsy decides, not this page."
