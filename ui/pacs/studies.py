"""Studies of a DICOMweb server: which there are, and one that is fetched to be predicted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.models.catalogue import find_checkpoint
from core.serve.dicomweb import Found, first_value
from core.serve.rules import Rule, Rules, fetch_named, list_named, open_client, read_rules
from ui.pacs.push import FETCHED, Fetched
from ui.predict.scans import keep_fetched
from ui.widgets.state import choose_checkpoint, choose_scan, current_settings
from ui.widgets.text import plain

MOST = 200
COLUMNS = {"date": "00080020", "description": "00081030", "modalities": "00080061", "series": "00201206"}
EXAMPLE = """url = "http://127.0.0.1:8042/dicom-web"
[[rules]]
name = "flair"
checkpoint = "demo-synthetic"
studies = { ModalitiesInStudy = "MR" }
series = "*flair*"
"""


def ask_rules() -> Rules | None:
    """The file of rules; in a hosted demo only the one that its operator named."""
    settings = current_settings()
    if settings.hosted and settings.pacs_rules is None:
        st.info(
            "This demo is connected to no archive; run MGMT Lab on a machine of your own for it.", icon=":material/lan:"
        )
        return None
    if settings.hosted and settings.pacs_rules is not None:
        return read_rules(settings.pacs_rules)
    name = st.text_input(
        "Rules",
        str(settings.pacs_rules or ""),
        key="pacs.rules",
        persist_state="session",
        placeholder="rules.toml",
        help="The file that `serve dicom` takes. Its password stands in the environment, not in the file.",
    )
    if name:
        return read_rules(Path(name).expanduser())
    st.info("Name a file of rules, such as this one:", icon=":material/lan:")
    st.code(EXAMPLE, language=None)  # the colours of TOML have too little contrast in the dark
    return None


def show_studies(rules: Rules) -> None:
    """The studies of a rule, and the one that is opened on the Predict page."""
    rule = next(
        one
        for one in rules.rules
        if one.name == st.selectbox("Rule", [rule.name for rule in rules.rules], key="pacs.rule")
    )
    st.caption(
        f"{plain(rules.url, 200)}: MR series whose description is like {plain(rule.series)}, answered by {plain(rule.checkpoint)}."
    )
    client = open_client(rules, current_settings())
    if st.button("List the studies", icon=":material/refresh:", key="pacs.list", type="primary"):
        with st.spinner("Asking the server …"):
            st.session_state["pacs.found"] = (rules.url, rule.name, client.list_studies(rule.studies, MOST))
    asked = st.session_state.get("pacs.found")
    if asked is None or asked[:2] != (rules.url, rule.name):
        return
    found: list[Found] = asked[2]
    if not found:
        st.caption("The server has no study that the rule names.")
        return
    st.dataframe(_tabulate(found), hide_index=True, height="content" if len(found) <= 7 else 320)
    if len(found) == MOST:
        st.caption(f"The first {MOST}; narrow what the rule asks for to see others.")
    uid = st.selectbox("Study", [one["uid"] for one in found], key="pacs.study")
    if st.button("Fetch and predict it", icon=":material/neurology:", key="pacs.open"):
        _open(rules, rule, str(uid))


def _open(rules: Rules, rule: Rule, uid: str) -> None:
    """Fetch a study into the session's folder, and go to its answer."""
    settings = current_settings()
    checkpoint = find_checkpoint(rule.checkpoint, settings)
    client = open_client(rules, settings)
    with st.spinner("Fetching …"):
        series = list_named(client, rule, uid)
        scan = keep_fetched(
            f"{rules.url} {rule.name} {uid}", lambda folder: fetch_named(client, uid, series, folder, settings)
        )
    choose_checkpoint(str(checkpoint))
    choose_scan(scan)
    st.session_state[FETCHED] = Fetched(rules=rules, rule=rule, study=uid, series=tuple(series), scan=scan)
    st.switch_page("pages/predict.py")


def _tabulate(found: list[Found]) -> pd.DataFrame:
    rows = []
    for one in found:
        texts = {name: str(first_value(one["attributes"], tag) or "") for name, tag in COLUMNS.items()}
        rows.append({**texts, "study": one["uid"]})
    return pd.DataFrame(rows)
