"""One search over settings: its figures, its trials, its best one, and the test patients."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import MGMTLabError
from core.evaluation.figure import Figure, estimand_of
from core.experiments.search.result import SearchResult, TrialRow, read_result, read_search_status
from core.experiments.search.search import Search, find_search
from core.figure_text import figure_text, number_text
from core.jobs.experiment import Experiment, ExperimentStatus, RunOptions, start_experiment
from core.presets import PRESETS
from core.runs.folder import RunFolder
from ui.sweeps.trials import short_text, show_figures, show_trials
from ui.widgets.errors import report_errors
from ui.widgets.experiments import show_terminal_command
from ui.widgets.progress import ProgressBar
from ui.widgets.state import choose_checkpoint, choose_cohort, current_settings
from ui.widgets.text import plain

REFRESH_SECONDS = 3.0
TRIALS = 20
"""Offered where it is not known how many were asked for."""


def show_search(experiment: Experiment) -> None:
    """Show a search; while it runs it redraws itself, and the whole page once when it ends."""
    running = experiment.status().state == "running"
    view: Callable[[Experiment, bool], None] = st.fragment(_view, run_every=REFRESH_SECONDS if running else None)
    view(experiment, running)
    show_terminal_command(experiment)


def _view(experiment: Experiment, was_running: bool) -> None:
    settings = current_settings()
    try:
        search = find_search(settings, experiment.name)
        study = search.open_study()
        result = read_result(search, settings, study)
    except MGMTLabError as error:
        _show_before_trials(experiment, error, was_running)
        return
    status = read_search_status(search, result)
    if was_running and status.state != "running":
        st.rerun()
    with report_errors():
        _show_head(search, result, status)
        running = status.state == "running"
        if not result.trials:
            st.caption("The first trial is about to begin." if running else "It ended before its first trial.")
            return
        _show_best(search, result, running=running)
        show_figures(study, result)
        show_trials(result)


def _show_before_trials(experiment: Experiment, error: MGMTLabError, was_running: bool) -> None:
    """A search that has no trial yet, or whose folder is damaged."""
    status = experiment.status()
    if was_running and status.state != "running":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(experiment.name), anchor=False, width="content")
        _show_state(status.state)
    if status.state == "running":
        st.caption("Starting: reading the data and setting the test patients apart.")
        if status.message not in ("", "starting"):
            st.caption(plain(status.message, 200))
        _offer_stop(experiment, status)
        return
    said = status.message if status.message.startswith("error:") else ""
    if said or experiment.split() is not None:
        st.error(plain(said or str(error), 800), icon=":material/error:")
    st.caption("It ended before its first trial.")
    with report_errors():
        _offer_resume(experiment, ended=0, wanted=experiment.options().count or TRIALS)


def _show_state(state: str) -> None:
    st.badge(state, color="blue" if state == "running" else "gray")


def _offer_stop(experiment: Experiment, status: ExperimentStatus) -> None:
    """The button that stops a search, and whether it is stopping."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button(
            "Stop", icon=":material/stop_circle:", key=f"sweeps.{experiment.name}.stop", disabled=status.stopping
        ):
            experiment.stop()
            st.rerun()
        if status.stopping:
            st.caption("Stopping; what is done so far is kept.", width="content")


def _offer_resume(experiment: Experiment, *, ended: int, wanted: int) -> None:
    """The button that resumes a search, and up to how many trials."""
    key = f"sweeps.{experiment.name}"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        more = st.number_input("Trials in all", ended or 1, 1000, wanted, key=f"{key}.trials", width=160)
        parallel = st.number_input("Workers", 1, 32, 1, key=f"{key}.parallel", width=120)
        title = "Resume" if ended < wanted else "Search further"
        if st.button(title, icon=":material/play_circle:", key=f"{key}.go", disabled=int(more) <= ended):
            options = RunOptions(count=int(more), parallel=int(parallel))
            start_experiment(current_settings(), experiment.name, experiment.question(), options)
            st.rerun()


def _show_head(search: Search, result: SearchResult, status: ExperimentStatus) -> None:
    """Name, state, progress, and the button to stop or resume."""
    ended = result.count("finished", "pruned", "failed")
    wanted = max(result.wanted, ended, 1)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(search.name), anchor=False, width="content")
        _show_state(status.state)
        st.badge(plain(search.config.preset), color="gray")
        if search.place.shared:
            st.badge("shared storage", icon=":material/database:", color="gray", help=plain(search.place.url))
    counts = ", ".join(
        f"{result.count(kind)} {kind}" for kind in ("finished", "pruned", "failed", "running") if result.count(kind)
    )
    st.progress(min(1.0, ended / wanted), text=f"{ended} of {wanted} trials have ended: {counts or 'none yet'}")
    if status.state == "running":
        _offer_stop(search.experiment, status)
        return
    _offer_resume(search.experiment, ended=ended, wanted=wanted)
    if status.state == "stopped" and status.message.startswith("error:"):
        st.error(plain(status.message, 800), icon=":material/error:")


def _show_best(search: Search, result: SearchResult, *, running: bool) -> None:
    """The best trial with its interval, what noise alone would have given, and the test patients."""
    best = result.best
    if best is None:
        st.caption("No trial has finished yet.")
        return
    auroc = best.auroc or Figure(value=None, low=None, high=None, n=0, reason="not recorded")
    left, middle, right = st.columns(3, gap="large")
    with left:
        st.metric("Best trial: validation AUROC by patient", number_text(auroc.value))
        st.caption(
            f"{figure_text(auroc, 'patients')}, {best.whose}. Trial {best.number}, epoch {best.best_epoch}. {estimand_of('search')}"
        )
        st.caption(", ".join(f"{plain(name)} **{plain(short_text(value))}**" for name, value in best.settings.items()))
    with middle:
        noise = result.noise
        st.metric(
            "Gained by choosing, from noise alone",
            "–" if noise is None else f"+{noise.alike:.3f} to +{noise.independent:.3f}",
        )
        st.caption(
            noise.sentence
            if noise
            else "Said once two trials have ended, where the AUROC by patient is what trials are compared by."
        )
    with right:
        _show_test(search, result, running=running)
    _show_ways_on(search, best)


def _show_test(search: Search, result: SearchResult, *, running: bool) -> None:
    """The test patients: how often they were evaluated, the button that evaluates, and the figure."""
    times = "once" if result.looked_at == 1 else f"{result.looked_at} times" if result.looked_at else "never"
    st.metric(f"{result.test_patients} test patients, evaluated", times)
    if result.evaluation is not None:
        figure = Figure(**result.evaluation["patient"]["auroc"])
        st.markdown(f"**AUROC on the test patients:** {figure_text(figure, 'patients')}")
    else:
        st.caption("They stand in no trial. Evaluate them once, when the search is over: every evaluation is counted.")
    if result.looked_at > 1 or (result.looked_at and result.evaluation is None):
        st.warning(
            "These patients have been evaluated before: a choice that follows an evaluation makes the figure optimistic.",
            icon=":material/warning:",
        )
    if result.evaluation is None and st.button(
        "Evaluate the test patients",
        icon=":material/visibility:",
        key=f"sweeps.{search.name}.judge",
        disabled=running or not search.split.test,
        help="The search is running: another trial may yet be the best. Stop it first, or wait."
        if running
        else "Evaluates the best trial on them; the ledger counts it.",
    ):
        from core.experiments.search.run_search import evaluate_best

        with report_errors():
            with ProgressBar("Evaluating the test patients", "slices") as bar:
                evaluate_best(search, current_settings(), bar)
            st.rerun()


def _show_ways_on(search: Search, best: TrialRow) -> None:
    """Open the best trial's run elsewhere."""
    run = RunFolder(current_settings().runs / best.run)
    if not run.checkpoint.exists():
        st.caption(f"The best run, {plain(best.run)}, is not on this machine.")
        return
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Train one like it",
            icon=":material/content_copy:",
            key=f"sweeps.{search.name}.clone",
            help="Opens Train with the best configuration and these data; change what you like and start.",
        ):
            st.session_state["train.clone"] = run.name
            st.session_state["train.preset"] = run.config.preset if run.config.preset in PRESETS else "honest"
            choose_cohort(run.source)
            st.switch_page("pages/train.py")
        if st.button("Use on Predict", icon=":material/neurology:", key=f"sweeps.{search.name}.use"):
            choose_checkpoint(str(run.checkpoint))
            st.switch_page("pages/predict.py")
        if st.button("Open on Runs", icon=":material/monitoring:", key=f"sweeps.{search.name}.open"):
            st.switch_page("pages/runs.py", query_params={"run": run.name})
