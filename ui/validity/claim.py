"""The claim sheet: what may be claimed of a run, as a page to print or save."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from core.experiments.checklists.checklist import STATES, Checklist, keep_answers
from core.experiments.claim_sheet import ClaimSheet, gather_claim, tabulate_parts
from core.experiments.evidence import find_audit
from core.reports.claim_page import write_claim_page
from core.runs.folder import RunFolder
from ui.runs.participants import show_participants
from ui.validity.audit import audit_run
from ui.validity.remarks import show_falsifier
from ui.validity.subject import ask_run
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def draw_section() -> None:
    """The sheet in short, and the page to take away."""
    st.markdown(
        "One page on a run that can stand beside a paper: what was evaluated, on whom, how sure it is, which controls were "
        "run, who had looked before, and what nobody has checked. It says the last as loudly as the first."
    )
    run = ask_run("validity.claim.run")
    if run is None:
        return
    covariates: list[dict[str, str]] = []
    with report_errors():
        covariates = _ask_evidence(run)
    with report_errors():
        _show(gather_claim(run, current_settings(), covariates=covariates), run)


def _ask_evidence(run: RunFolder) -> list[dict[str, str]]:
    """Offer what the sheet counts where it is stored: an audit of every image, and the shortcuts; return who is in which part."""
    audited = find_audit(run, current_settings()) is not None
    with st.expander(
        "Audit every image of the cohort for this sheet", icon=":material/fact_check:", expanded=not audited
    ):
        audit_run(run, "validity.claim.audit", "Audit every image")
        st.caption("Shortcuts in headers, outline and slice order are counted once they were looked for.")
        if st.button("Shortcuts", icon=":material/route:", type="tertiary", key="validity.claim.shortcuts"):
            st.query_params["section"] = "shortcuts"
            st.rerun()
    return _tabulate(str(run.path)) if audited else []


@st.cache_data(max_entries=8, show_spinner="Reading headers …")
def _tabulate(path: str) -> list[dict[str, str]]:
    return tabulate_parts(RunFolder(Path(path)), current_settings())


def _show(sheet: ClaimSheet, run: RunFolder) -> None:
    with st.container(border=True):
        st.markdown(f"#### {plain(sheet.sentence, 600)}")
        for banner in sheet.banners:
            st.caption(f":material/info: {plain(banner)}")
    page = write_claim_page(sheet)
    with st.container(horizontal=True):
        st.download_button(
            "Claim sheet (HTML, to print or save)",
            page,
            f"claim-{run.name}.html",
            "text/html",
            icon=":material/description:",
            type="primary",
            on_click="ignore",
        )
        st.download_button(
            "As JSON",
            json.dumps(sheet.to_dict(), indent=1),
            f"claim-{run.name}.json",
            "application/json",
            on_click="ignore",
        )
    left, right = st.columns(2, gap="large")
    with left:
        done = [control for control in sheet.controls if control.done]
        st.markdown(f"**Controls that were run: {len(done)} of {len(sheet.controls)}**")
        for control in sheet.controls:
            mark = ":material/check_box:" if control.done else ":material/check_box_outline_blank:"
            st.markdown(f"{mark} {control.title}: {plain(control.result or control.asks, 400)}")
    with right:
        st.markdown("**What was not checked**")
        st.markdown("\n".join(f"- {plain(text, 300)}" for text in sheet.unchecked))
    with st.expander("Participants: found, excluded and why, used", icon=":material/groups:"):
        show_participants(run, key="validity.claim.flow")
    st.markdown("**Checklists**")
    for checklist in sheet.checklists:
        _show_checklist(checklist, run)
    with st.expander("The page as it will look", icon=":material/visibility:"):
        st.iframe(page, height=700)
    show_falsifier("a box on the left were ticked, or an item on the right taken away: then more may be claimed.")


def _show_checklist(checklist: Checklist, run: RunFolder) -> None:
    """Its items with their evidence, and a column for what only the author can say, which is kept with the run."""
    counts = ", ".join(f"{checklist.count(state)} {state}" for state in reversed(STATES))
    with st.expander(f"{checklist.title}: {counts}", icon=":material/checklist:"):
        st.caption(plain(f"{checklist.source}. {checklist.score}", 600))
        rows = [
            {
                "item": item.number,
                "topic": item.topic,
                "state": item.state,
                "evidence": "; ".join(one.text for one in item.evidence),
                "your words": item.answer,
            }
            for item in checklist.items
        ]
        edited = st.data_editor(
            pd.DataFrame(rows),
            hide_index=True,
            disabled=["item", "topic", "state", "evidence"],
            key=f"validity.claim.{run.name}.{checklist.name}",
        )
        words = dict(zip(edited["item"], edited["your words"].fillna(""), strict=True))
        if st.button("Keep my words", key=f"validity.claim.{run.name}.{checklist.name}.keep", icon=":material/save:"):
            keep_answers(run, {checklist.name: words})
            st.rerun()
