"""The networks on volumes and streams: shapes, gradients, and what each promises of its input."""

from __future__ import annotations

import pytest
import torch

from core.models.networks.multistream import STREAM_DROPOUT, drop_streams
from core.models.networks.two_stage import TwoStage, cut_box, find_box
from core.models.registry import ARCHITECTURES, find_architecture
from core.models.weights import build_random


def example(name: str, count: int = 2, depth: int = 8, side: int = 32) -> torch.Tensor:
    entry = find_architecture(name)
    sides = (depth, side, side) if entry.input_form == "volume" else (side, side)
    return torch.rand(count, entry.channels, *sides, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [name for name, entry in ARCHITECTURES.items() if entry.input_form != "slice"])
def test_every_weight_that_trains_gets_a_gradient(name: str) -> None:
    model = build_random(find_architecture(name), 2, 0).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(example(name, depth=16)).square().sum().backward()
    silent = [
        part for part, weight in model.named_parameters() if weight.grad is None or not weight.grad.isfinite().all()
    ]
    assert all(part.startswith("segmenter.") for part in silent), silent


@pytest.mark.parametrize("name", ["volumetric", "two_stage", "attention_resnet18", "multistream"])
def test_an_example_does_not_depend_on_its_batch(name: str) -> None:
    model = build_random(find_architecture(name), 2, 0).eval()
    batch = example(name, count=3)
    with torch.inference_mode():
        alone = torch.cat([model(one[None]) for one in batch])
        torch.testing.assert_close(model(batch), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [2, 9, 21])
@pytest.mark.parametrize("name", ["volumetric", "two_stage", "attention_resnet18"])
def test_odd_depths_go_through(name: str, depth: int) -> None:
    model = build_random(find_architecture(name), 3, 0).eval()
    with torch.inference_mode():
        assert model(example(name, depth=depth, side=36)).shape == (2, 3)


def test_attention_weighs_the_slices_and_gives_padding_nothing() -> None:
    model = build_random(find_architecture("attention_resnet18"), 2, 0).eval()
    volume = example("attention_resnet18")
    padded = torch.cat([volume, torch.full((2, 1, 3, 32, 32), -1.0)], dim=2)
    with torch.inference_mode():
        weights = model.attention_weights(padded)  # type: ignore[operator]
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
        assert (weights[:, 8:] == 0).all()
        assert (weights[:, :8] > 0).all()
        torch.testing.assert_close(model(padded), model(volume), rtol=1e-4, atol=1e-5)
        assert model(torch.zeros(1, 1, 4, 32, 32)).isfinite().all()


def test_an_absent_stream_plays_no_part() -> None:
    model = build_random(find_architecture("multistream"), 2, 0).eval()
    images = example("multistream")
    without = images.clone()
    without[:, 1] = 0
    with torch.inference_mode():
        before = model(without)
        assert not torch.allclose(before, model(images))
        for weight in model.get_submodule("streams.1").parameters():
            weight.fill_(3.0)
        assert torch.equal(before, model(without))
        assert model(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_training_takes_streams_away_but_never_the_last() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        present = torch.ones(4000, 3, dtype=torch.bool)
        present[:2000, 1:] = False
        kept = drop_streams(present)
    assert kept[:2000, 0].all()
    assert not kept[:2000, 1:].any()
    assert kept.any(dim=1).all()
    # All three gone at once happens in 0.8 % of cases, which keep all of theirs.
    assert (~kept[2000:]).float().mean() == pytest.approx(STREAM_DROPOUT - STREAM_DROPOUT**3, abs=0.02)


def test_the_box_is_the_tumours_with_its_border_and_not_distorted() -> None:
    found = torch.zeros(1, 20, 40, 40, dtype=torch.bool)
    found[0, 5:11, 10:22, 8:16] = True
    box = find_box(found, torch.ones_like(found))
    start, stop = (box[0, :, side] * torch.tensor([20.0, 40.0, 40.0]) for side in (0, 1))
    assert start.tolist() == pytest.approx([5 - 0.9, 10 - 1.8, 12 - 7.8], abs=1e-4)
    assert (stop - start).tolist() == pytest.approx([6 * 1.3, 12 * 1.3, 12 * 1.3], abs=1e-4)


def test_stray_voxels_do_not_stretch_the_box() -> None:
    found = torch.zeros(1, 20, 40, 40, dtype=torch.bool)
    found[0, 5:15, 10:24, 10:24] = True
    plain = find_box(found, found)
    found[0, 0, 39, 39] = True
    torch.testing.assert_close(find_box(found, found), plain)


def test_where_nothing_is_found_the_head_is_classified() -> None:
    nothing = torch.zeros(2, 10, 20, 20, dtype=torch.bool)
    head = nothing.clone()
    head[0, 2:8, 4:16, 4:16] = True
    box = find_box(nothing, head)
    assert box[0, 1].tolist() == pytest.approx([0.2 - 0.09, 0.8 + 0.09])
    assert box[1].tolist() == [[0.0, 1.0]] * 3  # no head either: all of it


def test_the_crop_shows_what_lies_in_the_box() -> None:
    volume = torch.zeros(1, 1, 8, 16, 16)
    volume[0, 0, 2:6, 4:12, 0:8] = 1
    box = torch.tensor([[[0.25, 0.75], [0.25, 0.75], [0.0, 0.5]]])
    inside = cut_box(volume, box)
    assert inside.shape == (1, 1, 8, 8, 8)
    assert inside[:, :, 1:-1, 1:-1, 1:-1].min() == 1
    assert cut_box(volume, 1 - box.flip(-1))[..., 4:].max() == 0  # the mirrored box lies beside it


def test_the_first_stage_stays_as_it_was_trained() -> None:
    model = TwoStage(class_count=2, channels=3).train()
    assert model.get_submodule("segmenter").training
    model.freeze_segmenter()
    model.train()
    assert not model.get_submodule("segmenter").training
    assert model.get_submodule("classifier").training
    again = TwoStage(class_count=2, channels=3)
    again.load_state_dict(model.state_dict())
    assert again.segmenter_frozen
