"""The sample's answer and first map, before anybody asks for them."""

from __future__ import annotations

from contextlib import suppress

from core.errors import MGMTLabError
from core.explain.validation.saliency_record import default_map
from core.models.catalogue import list_checkpoints
from ui.predict.prediction import load_maps, load_prediction, study_stacks
from ui.predict.scans import sample_cohort
from ui.widgets.loaders import load_card
from ui.widgets.state import current_settings


def warm_sample() -> None:
    """Compute the sample's answer and its first map before anybody asks, with the checkpoint that is offered first."""
    offered = list_checkpoints(current_settings())
    with suppress(MGMTLabError):
        cohort = sample_cohort()
        study = cohort.studies[0]
        if not offered:
            return
        card = load_card(offered[0])
        prediction = load_prediction(offered[0], cohort, study)
        stacks, _ = study_stacks(study, prediction)
        method, layer = default_map(card)
        target = card.class_names.index(prediction.prediction)
        load_maps(offered[0], cohort, study, prediction, stacks, method=method, target=target, layer=layer)
