"""Taking an answer along: a page to read, JSON, and DICOM."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import streamlit as st

from core.admission import admitted
from core.data.study import Cohort, Study
from core.errors import MGMTLabError
from core.inference.prediction import Prediction
from core.models.card import CheckpointCard
from core.reports.answer import describe_answer
from core.reports.dicom.source import DICOM_KINDS, DicomKind, check_source, require_dicom
from ui.widgets.loaders import load_predictor
from ui.widgets.state import current_settings
from ui.widgets.text import plain


def show_downloads(
    checkpoint: Path, card: CheckpointCard, cohort: Cohort, study: Study, ask: Callable[[], Prediction]
) -> None:
    """The buttons; what they give is made when they are pressed, of what `ask` returns then."""
    settings = current_settings()

    def make(write: Callable[[], bytes]) -> Callable[[], bytes]:
        def run() -> bytes:
            with admitted(settings):
                return write()

        return run

    def report(kind: str) -> bytes:
        from core.reports.answer_pdf import write_answers

        answer = describe_answer(load_predictor(checkpoint), study, ask(), synthetic=cohort.synthetic)
        return write_answers(kind, [answer])

    def document() -> bytes:
        answer = ask()
        others = [asdict(other) for other in answer.others]
        content = {"checkpoint": card.name, "studies": [{**answer.to_dict(), "others": others}]}
        return json.dumps(content, indent=2).encode()

    name = f"prediction-{study.study_id}"
    with st.container(horizontal=True, gap="small"):
        for kind, mime in (("pdf", "application/pdf"), ("html", "text/html")):
            st.download_button(
                f"Report as {kind.upper()}",
                make(partial(report, kind)),
                f"{name}.{kind}",
                mime,
                icon=":material/description:",
                on_click="ignore",
                key=f"predict.report.{kind}",
            )
        st.download_button(
            "Prediction as JSON",
            document,
            f"{name}.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
            key="predict.json",
        )
        with st.popover("As DICOM", icon=":material/radiology:"):
            _show_dicom(checkpoint, ask, make, name)


def _show_dicom(
    checkpoint: Path,
    ask: Callable[[], Prediction],
    make: Callable[[Callable[[], bytes]], Callable[[], bytes]],
    name: str,
) -> None:
    kinds: list[DicomKind] = st.pills(
        "What",
        list(DICOM_KINDS),
        selection_mode="multi",
        default=["sr"],
        format_func=DICOM_KINDS.__getitem__,
        key="predict.dicom.kinds",
    )
    keep = st.toggle(
        "Carry the patient's identity over",
        key="predict.dicom.identity",
        help="Name, id, birth date, sex, and the study's dates and numbers. Otherwise they are empty; the scan's UIDs stay.",
    )
    try:
        require_dicom()
        check_source(ask(), kinds)
    except MGMTLabError as error:
        st.caption(f":material/block: {plain(error, 500)}")
        return

    def pack() -> bytes:
        from core.reports.dicom.write import pack_dicom

        return pack_dicom(kinds, load_predictor(checkpoint), ask(), keep_identity=keep)

    st.download_button(
        "DICOM files (zip)",
        make(pack),
        f"{name}-dicom.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
        disabled=not kinds,
        key="predict.dicom",
    )
    st.caption("Unverified, research use only; they refer to the images of the scan.")
