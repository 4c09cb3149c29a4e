"""Is the number true? One question at a time, each with its answer for the visitor's own run."""

import streamlit as st

from ui.validity.sections import GROUPS, SECTIONS, Section, find_section
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page


def ask_section() -> Section:
    """The questions, by what they are about; the chosen one stands in the address."""
    chosen = find_section(st.query_params.get("section"))
    for group in GROUPS:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.caption(group, width=120)
            for section in SECTIONS:
                if section.group == group and st.button(
                    section.title,
                    key=f"validity.section.{section.name}",
                    type="primary" if section == chosen else "secondary",
                    help=section.question,
                ):
                    st.query_params["section"] = section.name
                    st.rerun()
    return chosen


begin_page("Validity: is the number true?", trains=True)
section = ask_section()
st.divider()
st.subheader(section.question, anchor=False)
with report_errors():
    section.draw()
    if section.estimand:
        st.caption(section.estimand)
