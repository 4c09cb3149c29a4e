"""A search over settings as it goes: its figures, its trials, its best one, and the one look at the test patients."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import MGMTLabError
from core.evaluation.figure import Figure
from core.experiments.search.result import SearchResult, TrialRow, judge_search, read_result, read_search_standing
from core.experiments.search.search import Search, find_search
from core.experiments.search.workers import stop_search
from core.figure_text import figure_text, number_text
from core.jobs.background import ExperimentStatus, read_experiment_status, start_experiment, stop_experiment
from core.presets import PRESETS
from core.runs.folder import RunFolder
from ui.runs.runs import changed_values
from ui.sweeps.trials import short_text, show_figures, show_trials
from ui.widgets.errors import report_errors
from ui.widgets.progress import ProgressBar
from ui.widgets.state import choose_checkpoint, choose_cohort, current_settings
from ui.widgets.text import plain

REFRESH_SECONDS = 3.0
TRIALS = 20
"""Offered where it is not known how many were asked for."""


def show_search(name: str) -> None:
    """Show a search; while it goes on it redraws itself, and the whole page once when it ends."""
    running = _standing_state(name) == "running"
    view: Callable[[str, bool], None] = st.fragment(_view, run_every=REFRESH_SECONDS if running else None)
    view(name, running)


def search_command(search: Search, trials: int, parallel: int) -> list[str]:
    """The command line's words, without --name, that go on with a search."""
    words = ["search", search.source.root]
    options: tuple[tuple[str, str | None], ...] = (
        ("--labels", search.source.labels),
        ("--patient-pattern", search.source.patient_pattern),
        ("--layout", search.source.layout),
        ("--sequence", search.source.sequence),
        ("--storage", search.parameters.storage),
    )
    for option, given in options:
        words += [option, given] if given else []
    words += ["--preset", search.config.preset]
    for name, (_, value) in changed_values(search.config).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += ["--set", f"{name}={text}"]
    for text in search.parameters.space:
        words += ["--space", text]
    parameters = search.parameters
    words += ["--sampler", parameters.sampler, "--pruner", parameters.pruner, "--seed", str(parameters.seed)]
    return [*words, "--trials", str(trials), "--parallel", str(parallel)]


def _standing_state(name: str) -> str:
    settings = current_settings()
    try:
        return read_search_standing(find_search(settings, name), settings).state
    except MGMTLabError:
        return read_experiment_status(settings, name).state


def _view(name: str, was_running: bool) -> None:
    settings = current_settings()
    try:
        search = find_search(settings, name)
        study = search.open_study()
        result = read_result(search, settings, study)
    except MGMTLabError as error:
        _show_beginning(name, error, was_running)
        return
    standing = read_search_standing(search, settings, result)
    if was_running and standing.state != "running":
        st.rerun()
    with report_errors():
        _show_head(search, result, standing)
        running = standing.state == "running"
        if not result.trials:
            st.caption("The first trial is about to begin." if running else "It ended before its first trial.")
            return
        _show_best(search, result, running=running)
        show_figures(study, result)
        show_trials(result)


def _show_beginning(name: str, error: MGMTLabError, was_running: bool) -> None:
    """A search whose folder or study is not complete yet, or never will be."""
    settings = current_settings()
    standing = read_experiment_status(settings, name)
    if was_running and standing.state != "running":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(name), anchor=False, width="content")
        _show_state(standing.state)
    if standing.state == "running":
        st.caption("Starting: reading the data and setting the test patients apart.")
        if standing.message not in ("", "starting"):
            st.caption(plain(standing.message, 200))
        _offer_stop(name, standing, lambda: stop_experiment(settings, name))
        return
    if standing.message.startswith("error:"):
        st.error(plain(standing.message, 800), icon=":material/error:")
    try:
        search = find_search(settings, name, unsplit=True)
    except MGMTLabError:
        if not standing.message.startswith("error:"):
            st.error(plain(str(error), 800), icon=":material/error:")
        return
    st.caption("It ended before its first trial.")
    with report_errors():
        _offer_going_on(search, ended=0, wanted=TRIALS)


def _show_state(state: str) -> None:
    st.badge(state, color="blue" if state == "running" else "gray")


def _offer_stop(name: str, standing: ExperimentStatus, stop: Callable[[], None]) -> None:
    """The button that stops a search, and that it was heard."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button("Stop", icon=":material/stop_circle:", key=f"sweeps.{name}.stop", disabled=standing.stopping):
            stop()
            st.rerun()
        if standing.stopping:
            st.caption("Stopping; what is done so far is kept.", width="content")


def _offer_going_on(search: Search, *, ended: int, wanted: int) -> None:
    """The button that goes on with a search that rests, and how far."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        more = st.number_input("Trials in all", ended or 1, 1000, wanted, key=f"sweeps.{search.name}.trials", width=160)
        parallel = st.number_input("Workers", 1, 32, 1, key=f"sweeps.{search.name}.parallel", width=120)
        title = "Go on" if ended < wanted else "Search further"
        if st.button(title, icon=":material/play_circle:", key=f"sweeps.{search.name}.go", disabled=int(more) <= ended):
            start_experiment(current_settings(), search.name, search_command(search, int(more), int(parallel)))
            st.rerun()


def _show_head(search: Search, result: SearchResult, standing: ExperimentStatus) -> None:
    """Name, state, progress, and stop or go on."""
    ended = result.count("finished", "pruned", "failed")
    wanted = max(result.wanted, ended, 1)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(search.name), anchor=False, width="content")
        _show_state(standing.state)
        st.badge(plain(search.config.preset), color="gray")
        if search.place.shared:
            st.badge("shared storage", icon=":material/database:", color="gray", help=plain(search.place.url))
    counts = ", ".join(
        f"{result.count(kind)} {kind}" for kind in ("finished", "pruned", "failed", "running") if result.count(kind)
    )
    st.progress(min(1.0, ended / wanted), text=f"{ended} of {wanted} trials have ended: {counts or 'none yet'}")
    if standing.state == "running":
        _offer_stop(search.name, standing, lambda: stop_search(search, current_settings()))
        return
    _offer_going_on(search, ended=ended, wanted=wanted)
    if standing.state == "stopped" and standing.message.startswith("error:"):
        st.error(plain(standing.message, 800), icon=":material/error:")


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
            f"{figure_text(auroc, 'patients')}. Trial {best.number}, epoch {best.best_epoch}; these patients chose it."
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
    """The test patients: how often they were looked at, the button that looks, and the figure."""
    times = "once" if result.looked_at == 1 else f"{result.looked_at} times" if result.looked_at else "never"
    st.metric(f"{result.test_patients} test patients, looked at", times)
    if result.evaluation is not None:
        figure = Figure(**result.evaluation["patient"]["auroc"])
        st.markdown(f"**AUROC on the test patients:** {figure_text(figure, 'patients')}")
    else:
        st.caption("They stand in no trial. Look once, when the search is over: each look is counted.")
    if result.looked_at > 1 or (result.looked_at and result.evaluation is None):
        st.warning(
            "These patients have been looked at before: whoever chooses by what they saw makes the figure optimistic.",
            icon=":material/warning:",
        )
    if result.evaluation is None and st.button(
        "Look at the test patients",
        icon=":material/visibility:",
        key=f"sweeps.{search.name}.judge",
        disabled=running or not search.split.test,
        help="The search goes on: another trial may yet be the best. Stop it first, or wait."
        if running
        else "Judges the best trial on them; the ledger counts it.",
    ):
        with report_errors():
            bar = ProgressBar("Judging the test patients", "slices")
            judge_search(search, current_settings(), bar)
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
