"""A run as it trains, drawn anew every second from its folder: nothing of it lives in the page."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import WeightsUnavailableError
from core.jobs.queue import request_stop, resume, submit
from core.runs.folder import RunFolder
from ui.runs.learning_curves import show_last_step, show_learning_curves, show_warning_signs
from ui.runs.runs import ACTIVE, find_own_run, show_config_badges, show_source_badges, show_state, show_status
from ui.train.queue import describe_waiting
from ui.widgets.errors import report_errors
from ui.widgets.state import choose_checkpoint, current_settings, visitor
from ui.widgets.text import plain

LOG_LINES = 14


def show_live(name: str) -> None:
    """Show a run; while it is active it redraws itself every second, and the whole page once when it ends."""
    active = find_own_run(name).status().state in ACTIVE
    view: Callable[[str, bool], None] = st.fragment(_view, run_every=1.0 if active else None)
    view(name, active)


def show_controls(run: RunFolder, key: str) -> None:
    """Stop, resume, and use: what can be done with a run in its present state."""
    status = run.status()
    state = status.state
    without_weights = state == "failed" and status.failure == WeightsUnavailableError.__name__
    with st.container(horizontal=True, gap="small"), report_errors():
        if state in ACTIVE and st.button(
            "Stop", icon=":material/stop_circle:", key=f"{key}.stop", disabled=run.stop_requested()
        ):
            request_stop(run)
            st.rerun()
        if without_weights and st.button(
            "Train from random weights",
            icon=":material/shuffle:",
            type="primary",
            key=f"{key}.random",
            help="A new run like this one that needs no download. It learns more slowly than from pretrained weights.",
        ):
            config = run.config.model_copy(update={"weights": "none"})
            begun = submit(current_settings(), config, run.source, owner=visitor(), note=status.note)
            st.query_params["run"] = begun.name
            st.rerun(scope="app")
        if state in ("stopped", "interrupted", "failed") and st.button(
            "Try again" if without_weights else "Resume",
            icon=":material/play_circle:",
            key=f"{key}.resume",
            help="Looks for the pretrained weights again."
            if without_weights
            else "Goes on from the last finished batch or epoch.",
        ):
            resume(run, current_settings())
            st.rerun()
        if run.checkpoint.exists() and st.button(
            "Use on Predict",
            icon=":material/neurology:",
            key=f"{key}.use",
            help="Predict with this run's best weights.",
        ):
            choose_checkpoint(str(run.checkpoint))
            st.switch_page("pages/predict.py")


def _view(name: str, was_active: bool) -> None:
    with report_errors():
        run = find_own_run(name)
        status = run.status()
        if was_active and status.state not in ACTIVE:
            st.rerun()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(plain(run.name), anchor=False, width="content")
            show_state(status)
            show_source_badges(run.source)
            show_config_badges(run.config)
        show_status(status)
        if status.state == "queued":
            st.caption(describe_waiting(run))
        if status.state == "running":
            show_last_step(status)
        show_warning_signs(run)
        show_controls(run, key=f"live.{run.name}")
        show_learning_curves(run, status, key=f"live.{run.name}")
        log = run.log_tail(LOG_LINES)
        if log:
            with st.expander("Log", icon=":material/terminal:", expanded=status.state in ("failed", "running")):
                st.code(log, language=None, height=220, wrap_lines=True)
