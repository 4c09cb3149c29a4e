"""The runs of this visitor, and how one of them is shown while it trains and afterwards."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.config import RunConfig, leaf_values
from core.data.synthetic import is_synthetic
from core.errors import RunError
from core.jobs.queue import ensure_worker
from core.presets import PRESETS
from core.presets.paper import is_reproduction
from core.runs.folder import RunEntry, RunFolder, find_run, list_runs
from core.runs.records import DataSource, RunState, RunStatus
from ui.widgets.state import current_settings, visitor
from ui.widgets.text import duration_text, plain, rate_text

ACTIVE: tuple[RunState, ...] = ("queued", "running")

STATES: dict[RunState, tuple[str, str]] = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/play_circle:"),
    "stopped": ("gray", ":material/stop_circle:"),
    "failed": ("red", ":material/error:"),
    "interrupted": ("orange", ":material/power_off:"),
    "finished": ("gray", ":material/flag:"),
}
"""Colour and icon of each state. None is green: a finished run is not a good one."""


@st.cache_resource(show_spinner=False)
def wake_queue() -> None:
    """Once per server: let runs that were waiting when the machine went down go on."""
    ensure_worker(current_settings())


def own_runs() -> list[RunEntry]:
    """The runs that this visitor sees, newest first: in hosted mode his own."""
    settings = current_settings()
    return list_runs(settings, visitor() if settings.hosted else None)


def find_own_run(name: str) -> RunFolder:
    """A run by its name as it stands in the address; raises RunError where it is not this visitor's."""
    for entry in own_runs():
        if entry.run.name == name:
            return entry.run
    raise RunError(f"There is no run {name!r} here; choose one of the list.")


def owns_run(name: str) -> bool:
    """Whether this visitor may see a run."""
    settings = current_settings()
    try:
        find_run(name, settings, visitor() if settings.hosted else None)
    except RunError:
        return False
    return True


def show_state(status: RunStatus) -> None:
    """The run's state as a badge."""
    colour, icon = STATES[status.state]
    words = f"{status.state}: {status.phase}" if status.state == "running" and status.phase else status.state
    st.badge(words, color=colour, icon=icon)  # type: ignore[arg-type]


def show_source_badges(source: DataSource) -> None:
    """What a reader must know of the data before any figure: whether scans are synthetic and labels shuffled."""
    if is_synthetic(Path(source.root)):
        st.badge("synthetic", icon=":material/science:", color="orange")
    if source.shuffle_seed is not None:
        st.badge(f"labels shuffled by patient, seed {source.shuffle_seed}", icon=":material/shuffle:", color="violet")


def show_config_badges(config: RunConfig) -> None:
    """What a reader must know of a run before any of its figures."""
    with st.container(horizontal=True, gap="xsmall"):
        if config.split.split_unit == "slice":
            st.badge(
                "leaky split: by slice",
                color="red",
                icon=":material/warning:",
                help="Slices of one patient stand in training and in validation. The figures do not say how well a "
                "new patient is predicted.",
            )
        else:
            st.badge("split by patient", color="gray")
        if is_reproduction(config):
            st.badge(
                "the paper's stated values", color="gray", help="Every value that the paper states is the paper's."
            )
        elif config.preset == "paper":
            st.badge(
                "not a reproduction",
                color="orange",
                help="At least one value that the paper states was changed, or the ImageNet weights were left out.",
            )


def show_status(status: RunStatus) -> None:
    """Where the run is: a progress bar with step, rate and time left, and its message."""
    if status.state in ACTIVE:
        share, words = _progress(status)
        st.progress(share, text=words)
    if status.message:
        text = plain(status.message, limit=800)
        if status.state == "failed":
            st.error(text, icon=":material/error:")
        elif status.state in ACTIVE:
            st.caption(text)
        else:
            st.info(text, icon=":material/info:")


def changed_values(config: RunConfig) -> dict[str, tuple[object, object]]:
    """What differs from the preset that a configuration started from: (preset's, this one's) by name."""
    preset = PRESETS.get(config.preset)
    if preset is None:
        return {}
    theirs, ours = leaf_values(preset.config), leaf_values(config)
    return {name: (theirs[name], ours[name]) for name in ours if ours[name] != theirs[name]}


def _progress(status: RunStatus) -> tuple[float, str]:
    if status.state == "queued":
        return 0.0, "Waiting in the queue."
    within = status.step / status.steps if status.steps else 0.0
    if status.phase == "preparing" or not status.epoch:
        done = f"{status.step} of {status.steps} series" if status.steps else ""
        return min(within, 1.0), f"{status.phase.capitalize() or 'Starting'} {done}"
    share = (status.epoch - 1 + within) / max(status.epochs, 1)
    words = (
        f"Epoch {status.epoch} of {status.epochs}, {status.phase}, step {status.step} of {status.steps} · "
        f"{rate_text(status.images_per_second, 'images')} · {duration_text(status.seconds_left)} left"
    )
    return min(max(share, 0.0), 1.0), words
