"""What a run has already shown: figures that cost no look and need neither model nor pictures."""

from __future__ import annotations

from core.models.checkpoint import read_card
from core.training.judgement import Judgement, read_judgement, with_figures
from core.training.run import RunFolder

__all__ = ["judge_validation", "read_best_known"]


def judge_validation(run: RunFolder) -> Judgement:
    """Judge from what the best epoch said of the validation slices.

    Raises
    ------
    RunError
        The run has no predictions yet.
    CheckpointError
        Its checkpoint is damaged.
    """
    card = read_card(run.checkpoint)
    judgement = Judgement(
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
    return with_figures(judgement)


def read_best_known(run: RunFolder) -> Judgement:
    """Return the stored judgement of the test patients, or, where nobody has looked at them, of the validation patients."""
    return read_judgement(run, "test") or judge_validation(run)
