"""Every run; one of them open: its course, how good it is, and what it was."""

import pandas as pd
import streamlit as st

from core.presets import PRESETS
from core.training.queue import put_first
from core.training.run import RunEntry, RunFolder, delete_run
from ui.errors import telling_errors
from ui.judgement_view import show_judgement
from ui.live import show_live
from ui.page import begin_page
from ui.provenance import show_changes, show_provenance
from ui.runs import ACTIVE, find_own_run, own_runs
from ui.state import choose_cohort, current_settings
from ui.text import plain
from ui.validity.subject import remember_run


def as_row(entry: RunEntry) -> dict[str, object]:
    """A run in one line of the table."""
    records = entry.run.epochs()
    best = next((record for record in records if record.epoch == entry.status.best_epoch), None)
    config = None
    with telling_errors():
        config = entry.run.config
    return {
        "run": entry.run.name,
        "state": entry.status.state,
        "preset": entry.preset,
        "network": entry.architecture,
        "split": "" if config is None else "by slice (leaky)" if config.split.split_unit == "slice" else "by patient",
        "epochs": f"{len(records)} of {entry.status.epochs}",
        "val AUROC by patient": best.val_patient_auroc if best else None,
        "low": best.val_patient_auroc_low if best else None,
        "high": best.val_patient_auroc_high if best else None,
        "val accuracy by slice": best.val_accuracy if best else None,
        "best epoch": best.epoch if best else None,
        "created (UTC)": entry.status.created[:16].replace("T", " "),
    }


def ask_run(entries: list[RunEntry]) -> str | None:
    """The table; the run that is selected, or the one in the address."""
    names = [entry.run.name for entry in entries]
    named = st.query_params.get("run")
    if named and named not in names:
        st.warning("The run in the address is not here.", icon=":material/info:")
        del st.query_params["run"]
        named = None
    number = st.column_config.NumberColumn
    chosen = st.dataframe(
        pd.DataFrame([as_row(entry) for entry in entries]),
        hide_index=True,
        height="content" if len(entries) <= 7 else 290,
        key="runs.table",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [names.index(named) if named else 0]}},
        column_config={
            "val AUROC by patient": number(
                format="%.3f", help="Of the best epoch, which was chosen on these patients."
            ),
            "low": number("95% low", format="%.3f"),
            "high": number("95% high", format="%.3f"),
            "val accuracy by slice": number(format="%.3f"),
        },
    )
    picked = chosen.selection.rows
    name = names[picked[0]] if picked and picked[0] < len(names) else named
    if name:
        st.query_params["run"] = name
    return name


@st.dialog("Delete this run?", icon=":material/delete:")
def confirm_delete(run: RunFolder) -> None:
    """Ask before a run is removed with its weights."""
    st.markdown(f"**{plain(run.name)}** goes with its weights, curves and log. This cannot be undone.")
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:", key="runs.delete.yes"):
            with telling_errors():
                delete_run(run)
                st.query_params.pop("run", None)
                st.rerun()
        if st.button("Keep it", key="runs.delete.no"):
            st.rerun()


def show_configuration(run: RunFolder) -> None:
    """What the run is: differences from its preset, every value's origin, where it ran."""
    config = run.config
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(f"**Differences from the preset {plain(config.preset)}**")
        show_changes(config)
        st.markdown("**Data**")
        st.caption(plain(run.source.root))
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
    choose_cohort(run.source)
    st.switch_page("pages/train.py")


begin_page("Runs")
entries = own_runs()
if not entries:
    st.info(
        "No runs yet. Start one on the Train page; it takes a synthetic cohort and a minute.", icon=":material/info:"
    )
    st.page_link("pages/train.py", label="Train", icon=":material/model_training:")
    st.stop()
name = ask_run(entries)
if name is None:
    st.caption("Select a run to open it.")
    st.stop()
with telling_errors(stop=True):
    run = find_own_run(name)
    with st.container(border=True):
        if run.status().note:
            st.caption(plain(run.status().note, 500))
        show_live(name)
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
            if st.button(
                "Start one like it",
                icon=":material/content_copy:",
                type="tertiary",
                key="runs.clone",
                help="Opens Train with this run's configuration and data; change what you like and start.",
            ):
                clone(run)
            if run.status().state == "queued" and st.button(
                "Put it first", icon=":material/vertical_align_top:", type="tertiary", key="runs.first"
            ):
                put_first(run, current_settings())
                st.rerun()
            if run.status().state not in ACTIVE and st.button(
                "Delete", icon=":material/delete:", type="tertiary", key="runs.delete"
            ):
                confirm_delete(run)
    how_good, what = st.tabs(["How good it is", "Configuration"])
    with how_good, telling_errors():
        show_judgement(run)
    with what, telling_errors():
        show_configuration(run)
