"""Two processes of torchrun (gloo, on this machine) against one that takes the same batches in two parts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ConfigError, LostProcessError, RunError
from core.models.checkpoint import load_model
from core.models.forward import choose_compute, score_images
from core.models.registry import ARCHITECTURES, find_architecture
from core.runs.folder import RunFolder
from core.settings import PROJECT_ROOT, Settings, load_settings
from core.training import distributed, loop
from core.training.micro_batches import split_batch
from core.training.state import describe_training
from core.training.stopping import TrainingStopped
from tests.training.side_by_side import CASES, CHUNK, FROZEN, SPLIT, TABLE, train_case
from tests.training.tiny import TINY_NETWORK, tiny_config

RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Another number of threads adds up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def frozen_in_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network with a layer that does not learn is in the registry for the length of a test."""
    monkeypatch.setitem(ARCHITECTURES, FROZEN.name, FROZEN)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Every case, trained by two processes."""
    home = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(
        [*command, "-m", "tests.training.side_by_side", str(home)],
        cwd=PROJECT_ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=300,
    )  # fmt: skip
    return load_settings({"MGMT_LAB_HOME": str(home)})


def state_of(run: RunFolder) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run.resume_file, weights_only=True)
    return state


def without_running_statistics(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.endswith(RUNNING_STATISTICS)}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one_with_two_micro_batches_to_the_bit(
    name: str, side_by_side: Settings, settings: Settings
) -> None:
    two = state_of(RunFolder(side_by_side.runs / name))
    run = train_case(name, settings, "micro_batches=2")
    assert run is not None
    one = state_of(run)
    weights = [without_running_statistics(state["model"]) for state in (one, two)]
    assert len(weights[0]) == 10
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    torch.testing.assert_close(one["optimiser"], two["optimiser"], rtol=0, atol=0)
    curves = [
        [record.train_loss for record in RunFolder(home.runs / name).epochs()] for home in (settings, side_by_side)
    ]
    assert curves[0] == curves[1]
    # Not an equality that nothing could break: without the parts, batch normalisation sees something else.
    whole = train_case(name, load_settings({"MGMT_LAB_HOME": str(settings.home / "whole")}))
    assert whole is not None
    assert not torch.equal(state_of(whole)["model"]["8.weight"], weights[0]["8.weight"])


def test_shared_out_validation_gives_the_logits_of_one_process(side_by_side: Settings) -> None:
    run = RunFolder(side_by_side.runs / "adamw")
    ARCHITECTURES.setdefault(TINY_NETWORK.name, TINY_NETWORK)
    model, _ = load_model(run.checkpoint)
    rows = SPLIT.indices(TABLE, "val")
    assert len(rows) > 2 * CHUNK
    architecture, compute = find_architecture("tiny"), choose_compute(run.config)
    expected = np.concatenate(
        [
            score_images(model, TABLE.images(rows[start : start + CHUNK]), architecture, compute)
            for start in range(0, len(rows), CHUNK)
        ]
    )
    np.testing.assert_array_equal(run.predictions()[["logit_0", "logit_1"]].to_numpy(), expected)


def test_the_number_of_processes_is_recorded(side_by_side: Settings, settings: Settings) -> None:
    assert RunFolder(side_by_side.runs / "adamw").environment()["world_size"] == 2
    run = train_case("adamw", settings)
    assert run is not None
    assert run.environment()["world_size"] == 1


def test_one_part_is_the_batch_as_it_always_was(settings: Settings) -> None:
    """The loss summed over parts and divided by the batch's weight is torch's own weighted mean."""
    config = tiny_config("batch_size=6", "class_weights=balanced", "epochs=1")
    spec = describe_training(config, TABLE, SPLIT)
    state = loop.start_training(spec)
    state.model.train()
    indices = spec.train_rows[[0, 3, 6, 7, 9, 14]]
    logits = loop.train_step(spec, state, indices)
    labels = torch.from_numpy(spec.labels(indices))
    assert state.class_weights is not None
    expected = torch.nn.functional.cross_entropy(logits, labels, state.class_weights)
    assert state.loss == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("options", [(), ("class_weights=balanced",), ("mixup_alpha=0.4",)])
def test_the_gradient_is_that_of_the_whole_batch_however_it_is_cut(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network that looks at each image by itself, nothing but rounding tells the parts."""
    from dataclasses import replace

    plain = replace(
        TINY_NETWORK, name="plain", network=lambda count: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, count))
    )  # fmt: skip
    monkeypatch.setitem(ARCHITECTURES, "plain", plain)

    def gradient(parts: int) -> torch.Tensor:
        config = tiny_config("architecture=plain", "batch_size=14", f"micro_batches={parts}", *options)
        spec = describe_training(config, TABLE, SPLIT)
        state = loop.start_training(spec)
        loop.train_step(spec, state, spec.train_rows)  # 15 images: no number of parts but 3 and 5 divides them
        return next(state.model.parameters()).grad.clone()  # type: ignore[union-attr]

    whole = gradient(1)
    for parts in (2, 4, 7):
        torch.testing.assert_close(gradient(parts), whole, rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size 6 cannot be cut into 4 parts .*raise it to 8 or more"):
        list(loop.fit(tiny_config("batch_size=6", "micro_batches=4"), TABLE, SPLIT))


def test_one_process_does_without_a_process_group() -> None:
    with distributed.process_group():
        assert not distributed.is_distributed()
    assert (distributed.rank(), distributed.world_size(), distributed.local_rank()) == (0, 1, 0)
    values = torch.tensor([1.0, 2.0])
    distributed.all_reduce(values)
    assert values.tolist() == [1.0, 2.0]
    assert distributed.any_rank(True)
    assert not distributed.any_rank(False)
    for share in (distributed.on_rank0, distributed.on_all_ranks, distributed.local_rank0_first):
        assert share(lambda: 3) == 3
    assert distributed.choose_device("cuda:1") == "cuda:1"
    model = nn.Linear(2, 2)
    assert distributed.wrap_model(model) is model


@pytest.fixture
def rank_3_of_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fourth of four processes, the second on a machine of two."""
    for name, value in {"is_distributed": True, "world_size": 4, "rank": 3, "local_rank": 1, "local_size": 2}.items():
        monkeypatch.setattr(distributed, name, lambda value=value: value)


@pytest.mark.usefixtures("rank_3_of_4")
def test_several_processes_choose_a_gpu_each_or_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert distributed.choose_device("auto") == distributed.choose_device("cuda") == "cuda:1"
    assert distributed.choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"4 processes cannot share device cuda:0; use --set device=auto"):
        distributed.choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        ConfigError, match=r"2 processes on a machine with 1 GPUs; start torchrun with --nproc_per_node 1"
    ):
        distributed.choose_device("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.choose_device("auto") == "cpu"


class _Group:
    """Stands for torch.distributed where the other process sends this message."""

    DistError = torch.distributed.DistError

    def __init__(self, message: str | None) -> None:
        self.message = message

    def all_gather_object(self, messages: list[str | None], own: str | None, group: object) -> None:
        messages[:] = [own, self.message]

    def all_reduce(self, values: torch.Tensor) -> None:
        raise RuntimeError("[gloo] Connection closed by peer")


def test_a_failure_elsewhere_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"is_distributed": True, "world_size": 2, "rank": 0}.items():
        monkeypatch.setattr(distributed, name, lambda value=value: value)
    monkeypatch.setattr(distributed, "dist", _Group("the disk is full"))
    with pytest.raises(RunError, match="Another training process failed: the disk is full"):
        distributed.on_all_ranks(lambda: 1)
    with pytest.raises(LostProcessError, match=r"Of the 2 training processes another is gone .* resume the run"):
        distributed.any_rank(False)
    monkeypatch.setattr(distributed, "dist", _Group("\0stopped"))
    with pytest.raises(TrainingStopped):
        distributed.on_all_ranks(lambda: 1)
    monkeypatch.setattr(distributed, "dist", _Group(None))
    assert distributed.on_all_ranks(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        distributed.on_all_ranks(lambda: 1 / 0)


INPUT_SHAPES = {"slice": (64, 64), "streams": (64, 64), "volume": (16, 48, 48)}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("tiny", "frozen")])
def test_every_network_uses_each_parameter_that_learns(name: str) -> None:
    """DistributedDataParallel waits for the gradient of each; find_unused_parameters would cost time at every step."""
    architecture = find_architecture(name)
    model = architecture.build(2).train()
    if architecture.needs_masks:
        model.freeze_segmenter()
    model(torch.randn(2, architecture.channels, *INPUT_SHAPES[architecture.input_form])).sum().backward()
    assert not [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]


def test_an_error_of_the_network_itself_is_no_lost_process() -> None:
    with pytest.raises(RuntimeError, match="shapes"), distributed.lost_process_errors():
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    with pytest.raises(LostProcessError), distributed.lost_process_errors():
        raise torch.distributed.DistBackendError("NCCL communicator was aborted")


def test_a_peer_lost_within_an_epoch_is_told_with_the_remedy(side_by_side: Settings) -> None:
    message = (side_by_side.home / "lost.txt").read_text()
    assert message.startswith("Of the 2 training processes another is gone or does not answer")
    assert "resume the run with as many processes" in message


def test_parts_cover_a_batch_once_and_a_process_without_one_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts_of(rank: int, count: int) -> list[tuple[int, int, int, int]]:
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        return [
            (part.number, part.examples.start, part.examples.stop, part.scale) for part in split_batch(count, 2)
        ]  # fmt: skip

    assert [parts_of(rank, 9) for rank in (0, 1)] == [[(0, 0, 2, 2), (1, 2, 4, 2)], [(2, 4, 6, 2), (3, 6, 9, 2)]]
    assert [parts_of(rank, 7) for rank in (0, 1)] == [[(0, 0, 2, 2), (1, 2, 4, 2)], [(2, 4, 7, 2)]]
    assert [parts_of(rank, 3) for rank in (0, 1)] == [[(0, 0, 3, 2)], [(0, 0, 3, 0)]]
