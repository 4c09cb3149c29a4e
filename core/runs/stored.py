"""What a run has already shown: figures that cost no look and need neither model nor images."""

from __future__ import annotations

from core.models.checkpoint import read_card
from core.runs.evaluation import Evaluation, read_evaluation, with_figures
from core.runs.folder import RunFolder


def evaluate_validation(run: RunFolder) -> Evaluation:
    """Judge from what the best epoch said of the validation slices.

    Raises
    ------
    RunError
        The run has no predictions yet.
    CheckpointError
        Its checkpoint is damaged.
    """
    card = read_card(run.checkpoint)
    evaluation = Evaluation(
        part="val",
        data=run.source.root,
        looked_at=0,
        class_names=card.class_names,
        positive_class=card.positive_class,
        threshold=card.threshold,
        temperature=card.temperature,
        epoch=card.epoch,
        leaky=card.split_unit == "slice",
        synthetic=card.synthetic,
        created=card.created,
        patient={},
        slice={},
        frame=run.predictions(),
        aggregation=card.config.aggregation,
        top_k=card.config.top_k,
    )
    return with_figures(evaluation)


def read_best_known(run: RunFolder) -> Evaluation:
    """Return the stored judgement of the test patients, or, where nobody has looked at them, of the validation patients."""
    return read_evaluation(run, "test") or evaluate_validation(run)
