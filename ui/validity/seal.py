"""The sealed plan: what counts as success, fixed before the test patients are evaluated."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

import pandas as pd
import streamlit as st

from core.errors import MGMTLabError
from core.evaluation.figures import FIGURE_TITLES
from core.runs.evaluation import count_test_evaluations, read_evaluation
from core.runs.folder import RunFolder
from core.runs.ledger import REWRITABLE
from core.runs.seal import METRICS, Criterion, Seal, SealReport, list_seals, make_seal, seal_of_run
from ui.validity.remarks import show_falsifier
from ui.validity.subject import ask_run, evaluated_runs
from ui.widgets.errors import report_errors
from ui.widgets.state import current_settings
from ui.widgets.text import plain

ICONS = {"followed": ":material/verified:", "waiting": ":material/lock:", "none": ":material/lock_open:"}


def draw_section() -> None:
    """How the chosen run stands, a form to seal its plan, and every seal there is."""
    st.markdown(
        "Who sees the result first can always find a reason why it is the right one: another metric, another cut, another "
        "seed. A *seal* fixes cohort, split, settings, metric and what would count as success, hashes them and notes the "
        "time. Afterwards anybody can check that the plan came first."
    )
    run = ask_run("validity.seal.run")
    if run is not None:
        with report_errors():
            standing = st.container()  # filled once the form was read, so that a plan sealed just now counts
            _ask_plan(run)
            evaluation = read_evaluation(run, "test")
            with standing:
                show_seal(seal_of_run(run, current_settings(), evaluation.judged if evaluation else None))
    _show_all()
    show_falsifier(
        "these test patients had been evaluated before the plan was sealed, a setting differed, or one character of the "
        "seal had been changed. Against yourself a seal proves something only if its hash was given to somebody else."
    )


def show_seal(report: SealReport) -> None:
    """One line on whether a result followed a seal."""
    icon = ICONS.get(report.state, ":material/warning:")
    with st.container(border=True):
        st.markdown(f"{icon} {plain(report.words, 700)}")
        if report.seal is not None:
            st.caption(f"{plain(report.seal.name)}, SHA-256 {report.seal.hash}")
        if report.ledger is not None and report.ledger["entries"]:
            st.caption(
                f"Ledger of evaluations: {report.ledger['entries']} entries, head {report.ledger['head'][:12]}. {REWRITABLE}"
            )


def _ask_plan(run: RunFolder) -> None:
    settings = current_settings()
    split, seen = run.split(), count_test_evaluations(run, settings)
    if seen:
        st.caption(
            f":material/visibility: These test patients have been evaluated {seen} {'time' if seen == 1 else 'times'}: a plan "
            "sealed now would be late. Another split seed is no remedy: it moves patients who were judged or trained on into the "
            "test part. Only patients whom nobody has used make a plan count: another cohort's."
        )
    with st.form("validity.seal.form"), st.grid(4, min_column_width=200):
        metric = st.selectbox("Figure by patient", list(METRICS), format_func=FIGURE_TITLES.__getitem__)
        bound = st.selectbox(
            "What must reach it",
            list(get_args(Criterion.model_fields["bound"].annotation)),
            format_func={"low": "the lower end of its interval", "value": "the value"}.__getitem__,
        )
        at_least = st.number_input("At least", 0.0, 1.0, 0.5, 0.01)
        note = st.text_input("A line of your own", max_chars=200)
        pressed = st.form_submit_button(
            "Seal this plan", icon=":material/lock:", type="secondary" if seen else "primary", disabled=not split.test
        )
    if pressed:
        criterion = Criterion(metric=metric, bound=bound, at_least=at_least)
        seal = make_seal(run.config, split, criterion, settings, note=note, run=run)
        st.success(f"Sealed as {seal.name}. Give this hash to somebody else now: `{seal.hash}`", icon=":material/lock:")


def _show_all() -> None:
    found = [entry for entry in list_seals(current_settings()) if _may_see(entry[1])]
    if not found:
        st.caption("No plan has been sealed yet.")
        return
    rows = [
        {
            "seal": path.stem,
            "created (UTC)": seal.created[:16].replace("T", " ") if seal else "",
            "success is": seal.criterion.words() if seal else "",
            "held out": seal.test_units if seal else None,
            "state": fault or "whole",
            "hash": seal.hash[:12] if seal else "",
            "note": seal.note if seal else "",
        }
        for path, seal, fault in found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)


def _may_see(seal: Seal | None) -> bool:
    """In hosted mode a visitor sees the seals of his own runs' test patients alone."""
    if not current_settings().hosted:
        return True
    if seal is None:
        return False
    own = set()
    for entry in evaluated_runs():
        with suppress(MGMTLabError):
            own.add(entry.run.split().test_digest)
    return seal.test_digest in own
