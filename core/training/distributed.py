"""Several processes that train one network: ``torchrun --nproc_per_node 2 -m core train DATA`` (gloo on CPUs, nccl on GPUs).

What several processes do otherwise than one is here and nowhere else: each function begins with what a single process
does. Rank 0 alone has the run's folder, lock, status, checkpoint and state to resume from. The others learn from it what
to train, take their part of every batch, and stop, fail or finish with it.

Each batch is the one that a single process would take, cut into equal parts; the gradient is that of the mean over the
whole batch, whatever the sizes of the parts (:mod:`core.training.micro_batches`). Batch normalisation sees each part by
itself, on GPUs too (no SyncBatchNorm, which CPUs do not have): so W processes compute what one process computes with
``micro_batches=W``. The running statistics that are kept, and that validation uses, are those of rank 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from core.errors import ConfigError, LostProcessError, RunError
from core.training.stopping import TrainingStopped
from core.training.torchrun import asked_size, check_launcher, local_size

Answer = TypeVar("Answer")

STEP_TIMEOUT = timedelta(minutes=10)
"""How long the others may be behind within an epoch. A process that dies is noticed at once, by its closed connection;
this is for one that hangs, or a machine that is cut off."""
WAITING_TIMEOUT = timedelta(days=1)
"""How long the others wait while one prepares the data."""
STOPPED = "\0stopped"
"""Sent in place of an error message by a process that was asked to stop."""

_waiting_group: Any = None
"""Process group with the longer timeout, for what one process does while the others wait."""


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes that torchrun started, for the length of the block; without torchrun, do nothing.

    Raises
    ------
    ConfigError
        As :func:`core.training.torchrun.check_launcher`.
    RunError
        Fewer processes met than were asked for.
    """
    global _waiting_group
    check_launcher()
    if asked_size() == 1:
        yield
        return
    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= local_size()
    if gpus:
        torch.cuda.set_device(local_rank())
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=STEP_TIMEOUT)
    try:
        _waiting_group = dist.new_group(backend="gloo", timeout=WAITING_TIMEOUT)
        _count_processes()
        yield
    finally:
        _waiting_group = None
        dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return this process's number; rank 0 leads."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if is_distributed() else 1


def local_rank() -> int:
    """Return this process's number on its machine, which is also that of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if asked_size() > 1 else 0


def all_reduce(values: torch.Tensor) -> None:
    """Replace values, in place, by their sum over the processes."""
    if is_distributed():
        with lost_process_errors():
            dist.all_reduce(values)


def any_rank(flag: bool) -> bool:
    """Return whether any process says so; all of them get the same answer."""
    if not is_distributed():
        return flag
    count = torch.tensor([float(flag)])
    all_reduce(count)
    return bool(count.item())


def broadcast(tensors: Iterable[torch.Tensor]) -> None:
    """Give the tensors of all processes, in place, the values of rank 0."""
    if is_distributed():
        with lost_process_errors():
            for tensor in tensors:
                whole = tensor.contiguous()
                dist.broadcast(whole, src=0)
                tensor.copy_(whole)


def on_rank0(work: Callable[[], Answer]) -> Answer:
    """Let rank 0 do some work while the others wait; all get its result, or stop or fail with it."""
    if not is_distributed():
        return work()
    answer, failure = _attempt(work) if rank() == 0 else (None, None)
    message = [answer, _describe(failure)]
    with lost_process_errors():
        dist.broadcast_object_list(message, src=0, group=_waiting_group)
    _raise_failure(failure, [message[1]])
    return message[0]  # type: ignore[return-value]


def on_all_ranks(work: Callable[[], Answer]) -> Answer:
    """Let every process do some work and wait for the others; if one stops or fails, all do."""
    if not is_distributed():
        return work()
    answer, failure = _attempt(work)
    messages: list[str | None] = [None] * world_size()
    with lost_process_errors():
        dist.all_gather_object(messages, _describe(failure), group=_waiting_group)
    _raise_failure(failure, messages)
    return answer  # type: ignore[return-value]


def local_rank0_first(work: Callable[[], Answer]) -> Answer:
    """Let one process of each machine do some work first, so that the others find its results in the cache."""
    if local_rank() == 0:
        answer = on_all_ranks(work)
        on_all_ranks(lambda: None)
        return answer
    on_all_ranks(lambda: None)
    return on_all_ranks(work)


def choose_device(asked: str) -> str:
    """Return the device of this process: of several on one machine each takes the GPU of its number.

    Raises
    ------
    ConfigError
        One GPU is asked for by number, or there are fewer GPUs than processes.
    """
    if not is_distributed() or asked in ("cpu", "mps"):
        return asked
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto" and not gpus:
        return "cpu"
    if asked.startswith("cuda:"):
        raise ConfigError(f"{world_size()} processes cannot share device {asked}; use --set device=auto.")
    if local_size() > gpus:
        raise ConfigError(
            f"{local_size()} processes on a machine with {gpus} GPUs; start torchrun with --nproc_per_node {gpus or 1}, "
            "or use --set device=cpu."
        )
    return f"cuda:{local_rank()}"


def wrap_model(model: nn.Module) -> nn.Module:
    """Return what a training step calls: the model itself, or one that averages its gradients over the processes.

    Parameters that are frozen must be so already. The buffers (running statistics) of the processes are not made equal
    at each step: validation takes those of rank 0.
    """
    return DistributedDataParallel(model, forward_sync_buffers=False) if is_distributed() else model


def gradient_sync(network: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
    """Context of one micro-batch, forward and backward: only the last one exchanges gradients, for all of them."""
    if isinstance(network, DistributedDataParallel) and not last:
        return network.no_sync()
    return lost_process_errors() if is_distributed() else nullcontext()


@contextmanager
def lost_process_errors() -> Iterator[None]:
    """Turn the errors of gloo and nccl for a connection that broke into one that says what to do.

    Raises
    ------
    LostProcessError
        Another process is gone or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        which = "another" if rank() == 0 else "the leading one (0) or another"
        raise LostProcessError(
            f"Of the {world_size()} training processes {which} is gone or does not answer (killed, out of memory, or "
            "its machine lost). See its messages, then resume the run with as many processes."
        ) from error


def _count_processes() -> None:
    """Check that as many processes met as were asked for."""
    count = torch.ones(1)
    all_reduce(count)
    asked = asked_size()
    if not (int(count.item()) == world_size() == asked):
        raise RunError(f"{int(count.item())} processes met, but {asked} were asked for; start the run again.")


def _attempt(work: Callable[[], Answer]) -> tuple[Answer | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - raised again when the others know
        return None, error


def _describe(failure: Exception | None) -> str | None:
    if failure is None:
        return None
    return STOPPED if isinstance(failure, TrainingStopped) else str(failure) or type(failure).__name__


def _raise_failure(own: Exception | None, messages: list[Any]) -> None:
    """Raise one's own failure, or that of another process."""
    if own is not None:
        raise own
    for message in messages:
        if message == STOPPED:
            raise TrainingStopped
        if message is not None:
            raise RunError(f"Another training process failed: {message}")
