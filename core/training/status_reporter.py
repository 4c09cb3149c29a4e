"""How far a run is, written to its status.json while it trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from core.errors import StorageError
from core.files import write_atomic
from core.runs.folder import RunFolder, now
from core.runs.records import RunState, RunStatus
from core.training.memory import peak_memory

if TYPE_CHECKING:
    from core.training.state import StepReport


STATUS_SECONDS = 0.5
RESERVE_BYTES = 64 * 1024
"""Kept on the disk while a run trains, and given up for the last status where the disk is full."""


class StatusReporter:
    """Keeps status.json of a run up to date, at most twice a second.

    Parameters
    ----------
    run
        The run; the caller holds its lock.
    before
        Its status so far.
    on_status
        Called with each status that is written.
    """

    def __init__(self, run: RunFolder, before: RunStatus, on_status: Callable[[RunStatus], None]) -> None:
        self.run = run
        self.on_status = on_status
        self.status = before.model_copy(
            update={"state": "running", "started": now(), "finished": None, "message": "", "phase": "starting"}
        )
        self.written = 0.0
        self.first: tuple[float, float] | None = None
        self.epochs = before.epochs
        self.reserve = run.path / ".reserve"
        with suppress(StorageError):  # Then the next line says so.
            write_atomic(self.reserve, RESERVE_BYTES * b"\1")
        self.update(at_once=True)

    def update(self, *, at_once: bool = False, **changes: Any) -> None:
        """Change fields of the status; write it where that is due, or at once."""
        self.status = self.status.model_copy(update=changes)
        if at_once or self.due():
            self.run.write_status(self.status)
            self.written = time.monotonic()
            self.on_status(self.status)

    def due(self) -> bool:
        """Whether the status is to be written again."""
        return time.monotonic() - self.written >= STATUS_SECONDS

    def step(self, report: StepReport) -> None:
        """Take over what a training step reports."""
        moment = time.monotonic()
        if self.first is None:
            self.first = (moment, report.done)
            self.update(at_once=True, phase=report.phase, message=f"Weights: {self.run.weights_summary()}.")
        elif report.done < self.first[1]:  # a first stage is over
            self.first = (moment, report.done)
        since, gained = moment - self.first[0], report.done - self.first[1]
        changes: dict[str, Any] = {}
        if self.due():  # Reading the gradient waits for the device.
            norm = report.gradient_norm
            changes = {"gradient_norm": None if norm is None else norm.item(), "memory_bytes": peak_memory()}
        self.update(
            phase=report.phase,
            epoch=report.epoch,
            epochs=report.epochs,
            step=report.step,
            steps=report.steps,
            images_per_second=report.images_per_second,
            loss=report.loss,
            learning_rate=report.learning_rate,
            seconds_left=since / gained * (1 - report.done) if gained > 0 else None,
            **changes,
        )

    def end(self, state: RunState, message: str, failure: str = "") -> None:
        """Write the last status, from the space that was kept for it where the disk is full."""
        changes: dict[str, Any] = {"state": state, "message": message, "finished": now(), "seconds_left": None}
        changes |= {"phase": "", "epochs": self.epochs, "failure": failure}  # a first stage counts its own
        try:
            self.update(at_once=True, **changes)
        except StorageError:
            self.reserve.unlink(missing_ok=True)
            # Where even that is not enough, the freed lock says "interrupted".
            with suppress(StorageError):
                self.update(at_once=True, **changes)
        self.reserve.unlink(missing_ok=True)
