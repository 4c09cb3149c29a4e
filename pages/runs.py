"""Every run: one of them open, with its course, how good it is and what it was; or several, to compare, tag or delete."""

import streamlit as st

from core.jobs.queue import put_first
from core.presets import PRESETS
from core.runs.folder import RunFolder
from ui.runs.evaluation_view import show_evaluation
from ui.runs.live import show_live
from ui.runs.participants import show_participants
from ui.runs.run_store import ask_words, offer_export, offer_import, show_origin, show_tags, show_words, tag_all
from ui.runs.run_table import ask_filter, ask_runs, show_sweeps
from ui.runs.runs import ACTIVE, find_own_run, own_runs
from ui.runs.trash import delete_runs, show_trash
from ui.train.provenance import show_changes, show_provenance
from ui.validity.subject import remember_run
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page
from ui.widgets.state import choose_cohort, current_settings
from ui.widgets.text import plain


def show_configuration(run: RunFolder) -> None:
    """What the run is: differences from its preset, every value's origin, where it ran."""
    config = run.config
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(f"**Differences from the preset {plain(config.preset)}**")
        show_changes(config)
        st.markdown("**Data**")
        st.caption(plain(run.source.places, 400))
        if run.checkpoint.exists() or run.participants():
            st.markdown("**Participants**")
            show_participants(run, key="runs.flow")
        environment = run.environment()
        if environment:
            st.markdown("**Weights it started from**")
            st.caption(plain(run.weights_summary() or "not recorded", 800))
            st.markdown("**Machine and versions**")
            st.json(environment, expanded=False)
    with right:
        st.markdown("**Every value, and whose it is**")
        show_provenance(config)
    st.download_button(
        "Configuration as JSON",
        config.model_dump_json(indent=2),
        f"{run.name}.json",
        "application/json",
        icon=":material/download:",
        on_click="ignore",
    )


def clone(run: RunFolder) -> None:
    """Open Train with a run's configuration and data."""
    st.session_state["train.clone"] = run.name
    st.session_state["train.preset"] = run.config.preset if run.config.preset in PRESETS else "honest"
    if run.source.named:
        choose_cohort(run.source)
    st.switch_page("pages/train.py")


def show_several(names: list[str]) -> None:
    """What can be done with several runs at once, or with a sweep that is folded."""
    runs = [find_own_run(name) for name in names]
    busy = [run.name for run in runs if run.status().state in ACTIVE]
    with st.container(border=True):
        st.markdown(f"**{len(runs)} runs** · {plain(', '.join(names), 400)}")
        show_sweeps(runs)
        with st.container(horizontal=True, gap="small"):
            if st.button("Compare", icon=":material/compare_arrows:", type="primary", key="runs.compare"):
                st.switch_page("pages/compare.py", query_params={"run": names})
            tag_all(runs)
            if st.button(
                "Delete",
                icon=":material/delete:",
                type="tertiary",
                key="runs.delete.all",
                disabled=bool(busy),
                help=f"{', '.join(busy)} must be stopped first." if busy else "Can be undone until the app stops.",
            ):
                delete_runs(runs)


def show_actions(run: RunFolder) -> None:
    """What can be done with one run, beside stopping and using it."""
    state = run.status().state
    with st.container(horizontal=True, gap="small"):
        if run.checkpoint.exists() and st.button(
            "Claim sheet",
            icon=":material/description:",
            type="tertiary",
            key="runs.claim",
            help="What may be claimed of this run, and what was not checked, on one page.",
        ):
            remember_run(run)
            st.switch_page("pages/validity.py", query_params={"section": "claim"})
        ask_words(run)
        if st.button(
            "Start one like it",
            icon=":material/content_copy:",
            type="tertiary",
            key="runs.clone",
            help="Opens Train with this run's configuration and data; change what you like and start.",
        ):
            clone(run)
        if (
            state == "queued"
            and not current_settings().hosted
            and st.button("Put it first", icon=":material/vertical_align_top:", type="tertiary", key="runs.first")
        ):
            put_first(run, current_settings())
            st.rerun()
        if state != "running":
            offer_export(run)
        if state not in ACTIVE and st.button(
            "Delete",
            icon=":material/delete:",
            type="tertiary",
            key="runs.delete",
            help="Can be undone until the app stops.",
        ):
            delete_runs([run])


def show_run(name: str) -> None:
    """One run: its course, how good it is, and what it was."""
    run = find_own_run(name)
    with st.container(border=True):
        show_words(run)
        show_sweeps([run])
        show_origin(run)
        show_live(name)
        show_tags(run)
        show_actions(run)
    how_good, what = st.tabs(["How good it is", "Configuration"])
    with how_good, report_errors():
        show_evaluation(run)
    with what, report_errors():
        show_configuration(run)


begin_page("Runs")
with report_errors():
    show_trash()
entries = own_runs()
named = st.query_params.get_all("run")
if any(name not in {entry.run.name for entry in entries} for name in named):
    st.warning("The run in the address is not here.", icon=":material/info:")
    del st.query_params["run"]
if not entries:
    st.info(
        "No runs yet. Start one on the Train page; it takes a synthetic cohort and a minute.", icon=":material/info:"
    )
    st.page_link("pages/train.py", label="Train", icon=":material/model_training:")
    offer_import()
    st.stop()
shown = ask_filter(entries)
names = ask_runs(shown) if shown else []
with report_errors():
    if not names:
        st.caption("Select a run to open it, or several to compare them.")
    elif len(names) > 1:
        show_several(names)
    else:
        show_run(names[0])
offer_import()
