"""What stands under a map: how often it hit the tumour, or that nobody knows."""

from __future__ import annotations

from core.explain.validation.saliency_record import default_map, map_worth
from core.models.card import CheckpointCard, read_card
from core.settings import PROJECT_ROOT

FIGURE = {"value": 0.94, "low": 0.89, "high": 0.969, "n": 200}
TEST = {
    "method": "layercam-smooth", "layer": "layer2.1", "pictures": 200, "studies": 100, "tolerance_px": 15.0, "hits": FIGURE,
    "near_hits": FIGURE, "random_hits": {"value": 0.0, "low": 0.0, "high": 0.044, "n": 200},
    "chance": {"value": 0.081, "low": 0.078, "high": 0.085, "n": 200},
}  # fmt: skip


def make_card(**changes: object) -> CheckpointCard:
    card = read_card(PROJECT_ROOT / "checkpoints" / "demo-synthetic.safetensors")
    return card.model_copy(update={"map_test": {}, **changes})


def test_the_map_that_was_tested_comes_first_and_says_what_it_is_worth() -> None:
    card = make_card(map_test=TEST)
    assert default_map(card) == ("layercam-smooth", "layer2.1")
    words = map_worth(card, "layercam-smooth", "layer2.1")
    assert "200 images of 100 synthetic studies" in words
    assert "points at the tumour in 94% of pictures; chance 8%" in words
    assert "94.0% (89.0% to 96.9%)" in words
    assert "8.1% (7.8% to 8.5%)" in words
    assert "0.0% (0.0% to 4.4%)" in words


def test_of_any_other_map_nobody_knows() -> None:
    for card in (make_card(map_test=TEST), make_card()):
        assert "Grad-CAM at layer4.1" in map_worth(card, "gradcam", "layer4.1")
        assert "has not been tested" in map_worth(card, "gradcam", "layer4.1")
    assert "at input" in map_worth(make_card(), "occlusion", "layer4.1")


def test_without_a_test_grad_cam_at_the_usual_layer_comes_first() -> None:
    assert default_map(make_card()) == ("gradcam", "layer4.1")
    assert default_map(make_card(map_test={**TEST, "method": "a later version's"})) == ("gradcam", "layer4.1")
    for damaged in ({"method": "gradcam"}, {**TEST, "pictures": "# many"}, {**TEST, "hits": 1}):
        assert default_map(make_card(map_test=damaged)) == ("gradcam", "layer4.1")
        assert "has not been tested" in map_worth(make_card(map_test=damaged), "gradcam", "layer4.1")
    assert default_map(make_card(map_test={**TEST, "layer": "gone"})) == ("gradcam", "layer4.1")
