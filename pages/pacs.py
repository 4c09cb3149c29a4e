"""Studies of a hospital's archive: found by rules, fetched, and predicted."""

import streamlit as st

from ui.pacs.push import fetched_study, show_push
from ui.pacs.studies import ask_rules, show_studies
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page

begin_page("From a PACS")
st.markdown(
    "Studies of any DICOMweb server, by the rules of `serve dicom`: which studies, which of their series, and which checkpoint "
    "answers. One is fetched here and predicted on the Predict page, with the same guard and the same doubts; then its answer can be "
    "sent back from here. The scan is gone with this session. Research use only."
)
with report_errors(), st.container(border=True):
    rules = ask_rules()
    if rules is not None:
        show_studies(rules)
fetched = fetched_study()
if fetched is not None:
    with st.container(border=True), report_errors():
        show_push(fetched)
st.markdown(
    "A command answers every study and pushes the results back. It keeps an audit log, and resumes wherever it was ended."
)
st.code("python -m core serve dicom RULES --state DIR", language=None, wrap_lines=True)
