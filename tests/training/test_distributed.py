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

from core.errors import ConfigError, LostProcessError, RunError
from core.models.checkpoint import load_model
from core.models.forward import choose_compute, score_images
from core.models.registry import ARCHITECTURES, find_architecture
from core.runs.folder import RunFolder
from core.settings import PROJECT_ROOT, Settings, load_settings
from core.training import loop
from core.training.distributed import ALONE, World, join_world
from core.training.job import TrainingStopped, describe_job
from tests.training.side_by_side import CASES, CHUNK, SPLIT, TABLE, train_case
from tests.training.tiny import TINY_NETWORK, tiny_config

RUNNING_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Another number of threads adds up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    assert not torch.equal(state_of(whole)["model"]["0.weight"], weights[0]["0.weight"])


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
    log = loop.logging.getLogger("test")
    job = describe_job(config, TABLE, SPLIT, None, None, lambda report: None, lambda: False, log)
    training = loop.start_training(job)
    training.model.train()
    indices = job.train_rows[[0, 3, 6, 7, 9, 14]]
    logits = loop.train_step(job, training, indices)
    labels = torch.from_numpy(job.labels(indices))
    assert training.class_weights is not None
    expected = torch.nn.functional.cross_entropy(logits, labels, training.class_weights)
    assert training.loss == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("options", [(), ("class_weights=balanced",), ("mixup_alpha=0.4",)])
def test_the_gradient_is_that_of_the_whole_batch_however_it_is_cut(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a network that looks at each image by itself, nothing but rounding tells the parts."""
    from dataclasses import replace

    from torch import nn

    plain = replace(
        TINY_NETWORK, name="plain", network=lambda count: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, count))
    )  # fmt: skip
    monkeypatch.setitem(ARCHITECTURES, "plain", plain)

    def gradient(parts: int) -> torch.Tensor:
        config = tiny_config("architecture=plain", "batch_size=14", f"micro_batches={parts}", *options)
        log = loop.logging.getLogger("test")
        job = describe_job(config, TABLE, SPLIT, None, None, lambda report: None, lambda: False, log)
        training = loop.start_training(job)
        loop.train_step(job, training, job.train_rows)  # 15 images: no number of parts but 3 and 5 divides them
        return next(training.model.parameters()).grad.clone()  # type: ignore[union-attr]

    whole = gradient(1)
    for parts in (2, 4, 7):
        torch.testing.assert_close(gradient(parts), whole, rtol=1e-4, atol=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size 6 cannot be cut into 4 parts .*raise it to 8 or more"):
        list(loop.fit(tiny_config("batch_size=6", "micro_batches=4"), TABLE, SPLIT))


def test_alone_everything_is_as_without_processes() -> None:
    with join_world() as world:
        assert world is ALONE
    values = torch.tensor([1.0, 2.0])
    ALONE.add_up(values)
    assert values.tolist() == [1.0, 2.0]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.alone(lambda: 3) == ALONE.together(lambda: 3) == ALONE.machine_by_machine(lambda: 3) == 3
    assert ALONE.choose_device("cuda:1") == "cuda:1"


def test_several_processes_choose_a_gpu_each_or_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(rank=3, size=4, local_rank=1, local_size=2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert world.choose_device("auto") == world.choose_device("cuda") == "cuda:1"
    assert world.choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"4 processes cannot share device cuda:0; use --set device=auto"):
        world.choose_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        ConfigError, match=r"2 processes on a machine with 1 GPUs; start torchrun with --nproc_per_node 1"
    ):
        world.choose_device("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert world.choose_device("auto") == "cpu"


class _Group:
    """Stands for torch.distributed where the other process has this to say."""

    def __init__(self, other: str | None) -> None:
        self.other = other

    def all_gather_object(self, told: list[str | None], own: str | None, group: object) -> None:
        told[:] = [own, self.other]

    def all_reduce(self, values: torch.Tensor) -> None:
        raise RuntimeError("[gloo] Connection closed by peer")


def test_a_failure_elsewhere_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(rank=0, size=2, local_size=2)
    monkeypatch.setattr(torch, "distributed", _Group("the disk is full"))
    with pytest.raises(RunError, match="Another training process failed: the disk is full"):
        world.together(lambda: 1)
    with pytest.raises(LostProcessError, match=r"Of the 2 training processes another is gone .* resume the run"):
        world.any(False)
    monkeypatch.setattr(torch, "distributed", _Group("\0stopped"))
    with pytest.raises(TrainingStopped):
        world.together(lambda: 1)
    monkeypatch.setattr(torch, "distributed", _Group(None))
    assert world.together(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        world.together(lambda: 1 / 0)


def test_own_parts_cover_a_batch_once() -> None:
    parts = [slice(0, 2), slice(2, 4), slice(4, 7)]
    taken = [World(rank=rank, size=2).own_parts(parts, 2) for rank in (0, 1)]
    assert taken == [[(0, slice(0, 2)), (1, slice(2, 4))], [(2, slice(4, 7))]]
