"""Several processes as one training: ``torchrun --nproc_per_node 2 -m core train DATA`` (gloo on CPUs, nccl on GPUs).

Process 0 leads: it alone has the run's folder, lock, status, checkpoint and state to resume from. The others follow:
they are told what to train, take their share of every batch, and stop, fail or finish with it. Each batch is the one
that a single process would take, cut into equal parts; the gradient is that of the mean over the whole batch, whatever
the sizes of the parts.

Batch normalisation sees each part by itself, on GPUs too (nothing is turned into SyncBatchNorm, which CPUs do not
have): so W processes compute what one process computes with ``micro_batches=W``, anywhere. The running statistics that
are kept, and that validation uses, are those of process 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import ConfigError, LostProcessError, RunError
from core.training.torchrun import asked_size, check_launcher, local_size

if TYPE_CHECKING:
    import torch
    from torch import nn


Answer = TypeVar("Answer")

STEP_TIMEOUT = timedelta(minutes=10)
"""How long the others may be behind within an epoch. One that dies is noticed at once, by its closed connection; this
is for one that hangs, or a machine that is cut off."""
PATIENCE = timedelta(days=1)
"""How long the others wait while one prepares the data."""
STOPPED = "\0stopped"
"""Told instead of an error's words by a process that was asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """The processes that train together; the one of :data:`ALONE` trains by itself, and its exchanges do nothing."""

    rank: int = 0
    """This process's number; 0 leads."""
    size: int = 1
    """How many there are."""
    local_rank: int = 0
    """Its number on its machine: which GPU it takes."""
    local_size: int = 1
    """How many there are on its machine."""
    waiting: Any = None
    """The process group, with more patience, for what one does while the others wait."""

    @property
    def leads(self) -> bool:
        """Whether this process has the run's folder."""
        return self.rank == 0

    def own_parts(self, parts: list[slice], per_process: int) -> list[tuple[int, slice]]:
        """Which parts of a batch this process takes, each with its number; none where the batch has too few."""
        first = self.rank * per_process
        return list(enumerate(parts))[first : first + per_process]

    def any(self, flag: bool) -> bool:
        """Whether any process says so: then all do the same at the same point."""
        if self.size == 1:
            return flag
        import torch

        count = torch.tensor([float(flag)])
        self.add_up(count)
        return bool(count.item())

    def add_up(self, values: torch.Tensor) -> None:
        """Replace values, in place, by their sum over the processes."""
        if self.size == 1:
            return
        from torch import distributed

        with self._noticing_loss():
            distributed.all_reduce(values)

    def add_up_gradients(self, model: nn.Module) -> None:
        """Replace each parameter's gradient by its sum over the processes; one that has none anywhere keeps none."""
        if self.size == 1:
            return
        import torch

        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        present = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
        pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(piece.reshape(-1) for piece in pieces), present.to(pieces[0].device)])
        self.add_up(flat)
        sizes = [parameter.numel() for parameter in parameters]
        *sums, present = flat.split([*sizes, len(parameters)])
        for parameter, piece, total, found in zip(parameters, pieces, sums, present.tolist(), strict=True):
            if found:
                parameter.grad = piece.copy_(total.view_as(parameter))

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give the tensors of all processes, in place, the values that process 0 has in its own."""
        if self.size == 1:
            return
        from torch import distributed

        with self._noticing_loss():
            for tensor in tensors:
                whole = tensor.contiguous()
                distributed.broadcast(whole, src=0)
                tensor.copy_(whole)

    def alone(self, work: Callable[[], Answer]) -> Answer:
        """Let process 0 work while the others wait; all get its answer, or stop or fail with it."""
        if self.size == 1:
            return work()
        from torch import distributed

        answer, failure = _attempt(work) if self.leads else (None, None)
        told = [answer, _describe(failure)]
        with self._noticing_loss():
            distributed.broadcast_object_list(told, src=0, group=self.waiting)
        _raise_what_was_told(failure, [told[1]])
        return told[0]  # type: ignore[return-value]

    def together(self, work: Callable[[], Answer]) -> Answer:
        """Let every process work, and go on only when all have done it: one that stops or fails takes all with it."""
        if self.size == 1:
            return work()
        from torch import distributed

        answer, failure = _attempt(work)
        told: list[str | None] = [None] * self.size
        with self._noticing_loss():
            distributed.all_gather_object(told, _describe(failure), group=self.waiting)
        _raise_what_was_told(failure, told)
        return answer  # type: ignore[return-value]

    def machine_by_machine(self, work: Callable[[], Answer]) -> Answer:
        """Let one process of each machine work first, so that the others find in the cache what it has prepared."""
        if self.local_rank == 0:
            answer = self.together(work)
            self.together(lambda: None)
            return answer
        self.together(lambda: None)
        return self.together(work)

    def choose_device(self, asked: str) -> str:
        """The device of this process: of several on one machine each takes the GPU of its number.

        Raises
        ------
        ConfigError
            One GPU is asked for by number, or there are fewer GPUs than processes.
        """
        if self.size == 1 or asked in ("cpu", "mps"):
            return asked
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if asked == "auto" and not gpus:
            return "cpu"
        if asked.startswith("cuda:"):
            raise ConfigError(f"{self.size} processes cannot share device {asked}; use --set device=auto.")
        if self.local_size > gpus:
            raise ConfigError(
                f"{self.local_size} processes on a machine with {gpus} GPUs; start torchrun with --nproc_per_node {gpus or 1}, "
                "or use --set device=cpu."
            )
        return f"cuda:{self.local_rank}"

    @contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            which = "another" if self.leads else "the leading one (0) or another"
            raise LostProcessError(
                f"Of the {self.size} training processes {which} is gone or does not answer (killed, out of memory, or "
                "its machine lost). See its messages, then resume the run with as many processes."
            ) from error


ALONE = World()
"""One process, as without torchrun."""


@contextmanager
def join_world() -> Iterator[World]:
    """Meet the other processes that torchrun started, for the length of the block; without torchrun, be alone.

    Raises
    ------
    ConfigError
        As :func:`check_launcher`.
    RunError
        Fewer processes met than were asked for.
    """
    check_launcher()
    if asked_size() == 1:
        yield ALONE
        return
    import torch
    from torch import distributed

    local_rank = int(os.environ["LOCAL_RANK"])
    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= local_size()
    if gpus:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=STEP_TIMEOUT)
    try:
        waiting = distributed.new_group(backend="gloo", timeout=PATIENCE)
        world = World(
            rank=distributed.get_rank(), size=distributed.get_world_size(), local_rank=local_rank,
            local_size=local_size(), waiting=waiting,
        )  # fmt: skip
        _count_all(world)
        yield world
    finally:
        distributed.destroy_process_group()


def _count_all(world: World) -> None:
    """Each process counts itself: the sum must be what was asked for."""
    import torch

    count = torch.ones(1)
    world.add_up(count)
    asked = asked_size()
    if not (int(count.item()) == world.size == asked):
        raise RunError(f"{int(count.item())} processes met, but {asked} were asked for; start the run again.")


def _attempt(work: Callable[[], Answer]) -> tuple[Answer | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - raised again when the others know
        return None, error


def _describe(failure: Exception | None) -> str | None:
    from core.training.job import TrainingStopped

    if failure is None:
        return None
    return STOPPED if isinstance(failure, TrainingStopped) else str(failure) or type(failure).__name__


def _raise_what_was_told(own: Exception | None, told: list[Any]) -> None:
    """Raise one's own failure, or what another process said of its own."""
    from core.training.job import TrainingStopped

    if own is not None:
        raise own
    for word in told:
        if word == STOPPED:
            raise TrainingStopped
        if word is not None:
            raise RunError(f"Another training process failed: {word}")
