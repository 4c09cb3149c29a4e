"""What one visitor of a hosted demo may ask of it, and all of them together; what is over is refused, with when to come again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from core.config import RunConfig
from core.errors import HostedModeError
from core.runs.folder import RunEntry, list_runs
from core.settings import Settings

LARGEST: dict[str, int] = {"size_px": 256, "slice_count": 16, "batch_size": 64, "mask_epochs": 30}
"""Of what takes memory and time, by the configuration's names."""
KEPT = 20
"""Runs that a visitor may keep: each has its weights on the disk."""
KEPT_IN_ALL = 400
"""Runs of all visitors: a visitor without a cookie is a new one each time."""
ON_YOUR_OWN = "run MGMT Lab on a machine of your own"


def check_limits(settings: Settings, config: RunConfig) -> None:
    """Refuse, in hosted mode, a configuration that takes more than a demo grants; raises HostedModeError."""
    if not settings.hosted:
        return
    if config.weights not in ("default", "none"):
        raise HostedModeError("A demo reads no files of its server; choose weights 'default' or 'none'.")
    if config.epochs > settings.hosted_epochs:
        raise HostedModeError(
            f"{config.epochs} epochs are more than the {settings.hosted_epochs} that this demo trains; choose fewer, or "
            f"{ON_YOUR_OWN}."
        )
    asked = {
        "size_px": config.prep.size_px,
        "slice_count": config.prep.slice_count,
        "batch_size": config.batch_size,
        "mask_epochs": config.mask_epochs if config.architecture == "two_stage" else 0,
    }
    for name, most in LARGEST.items():
        if asked[name] > most:
            raise HostedModeError(
                f"{name} {asked[name]} is more than the {most} of this demo; choose less, or {ON_YOUR_OWN}."
            )


def check_quota(settings: Settings, owner: str, runs: int = 1, *, kept: bool = False) -> None:
    """Refuse, in hosted mode, more runs than one visitor, and than all of them, may have waiting, in training, or at all.

    Unless the caller holds the queue's lock, two at once may both find the last place free. `kept` says that the runs are there
    already, and are resumed.

    Raises
    ------
    HostedModeError
        With the time at which the next place is free at the latest.
    """
    if not settings.hosted:
        return
    entries = list_runs(settings)
    active = [entry for entry in entries if entry.status.state in ("queued", "running")]
    own = [entry for entry in active if entry.status.owner == owner]
    if len(own) + runs > settings.hosted_runs:
        raise HostedModeError(
            f"{len(own)} of your runs wait or train; {settings.hosted_runs} at once are what this demo gives a visitor. Try "
            f"again when one has ended, in {_minutes_until_free(settings, active, own)} minutes at the latest, or stop one."
        )
    if len(active) + runs > settings.hosted_queue:
        raise HostedModeError(
            f"{len(active)} runs of all visitors wait or train; the queue of this demo is full. Try again in "
            f"{_minutes_until_free(settings, active, active)} minutes at the latest."
        )
    own_kept = 0 if kept else sum(entry.status.owner == owner for entry in entries)
    if own_kept + runs > KEPT:
        raise HostedModeError(f"You keep {own_kept} runs, and {KEPT} are the most; delete one on the Runs page first.")
    if not kept and len(entries) + runs > KEPT_IN_ALL:
        raise HostedModeError(f"This demo keeps {KEPT_IN_ALL} runs of all visitors, and is full; {ON_YOUR_OWN}.")


def check_tests(settings: Settings, owner: str, running: Sequence[str]) -> None:
    """Refuse, in hosted mode, more tests at once than one visitor, and than all of them, may have.

    Parameters
    ----------
    settings, owner
        The limits, and who asks.
    running
        Who asked for each of the tests that are worked on, or wait for the queue of runs.

    Raises
    ------
    HostedModeError
        With the time at which the next place is free at the latest.
    """
    if not settings.hosted:
        return
    for count, most, whose in (
        (running.count(owner), settings.hosted_runs, "of your tests"),
        (len(running), settings.hosted_queue, "tests of all visitors"),
    ):
        if count >= most:
            raise HostedModeError(
                f"{count} {whose} are worked on; more at once this demo does not give. Try again when one has ended, a test "
                f"takes {settings.hosted_minutes} minutes at most, or stop one."
            )


def minutes_trained(entry_started: str | None) -> float:
    """Minutes since a run began; 0 where it has not."""
    if not entry_started:
        return 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(entry_started)).total_seconds() / 60)


def _minutes_until_free(settings: Settings, active: list[RunEntry], wanted: list[RunEntry]) -> int:
    """The longest that it takes until the first of the runs `wanted` has ended: all that stand before it, each at its limit."""
    order = sorted(active, key=lambda entry: (entry.status.state == "queued", entry.status.queued))
    place = next((number for number, entry in enumerate(order) if entry in wanted), 0)
    left = [settings.hosted_minutes - minutes_trained(entry.status.started) for entry in order[:1]]
    return max(1, math.ceil(max([0.0, *left]) + place * settings.hosted_minutes / settings.jobs))
