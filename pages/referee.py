"""Anybody's predictions judged: a table in, a report out; nothing is trained and no scan is read."""

import streamlit as st

from ui.referee.report import ask_questions, judge_upload, show_report
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page

LARGEST_MB = 16

begin_page("Referee")
st.markdown(
    "A table of predictions, from any framework, and what it shows, contradicts and cannot show. It is kept for this session only."
)
file = st.file_uploader(
    "Predictions: CSV, TSV or xlsx", type=["csv", "tsv", "txt", "xlsx"], key="referee.file", max_upload_size=LARGEST_MB
)
target, questions, from_id = ask_questions()
if file is None:
    st.info(
        "One row a prediction, with the columns **id**, **label** and **probability** (or score). Where there are any: **fold**, "
        "**site**, **part** (train, val, test), **probability_b** of another model, and covariates such as age and sex. Semicolons "
        "and decimal commas are read too. Several rows of one id are one patient.",
        icon=":material/table:",
    )
    st.stop()
with report_errors():
    show_report(judge_upload(file.name, file.getvalue(), target, questions, from_id))
