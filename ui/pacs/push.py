"""Sending the answer for a fetched study back to the archive, once a person has confirmed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.data.study import Cohort
from core.inference.prediction import Prediction
from core.models.catalogue import find_checkpoint
from core.reports.dicom.source import DICOM_KINDS, DicomKind, require_dicom
from ui.predict.answer import said_of, with_others
from ui.predict.prediction import load_prediction
from ui.predict.scans import open_chosen_scan
from ui.widgets.loaders import in_turn, load_card, load_predictor
from ui.widgets.state import Scan, chosen_scan, current_settings
from ui.widgets.text import plain

if TYPE_CHECKING:
    from core.serve.dicomweb import Found
    from core.serve.rules import Rule, Rules

FETCHED = "pacs.fetched"
"""Entry of the session's state: the study that was fetched last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A study of an archive that this session fetched."""

    rules: Rules
    rule: Rule
    study: str
    series: tuple[Found, ...]
    scan: Scan


def fetched_study() -> Fetched | None:
    """The study that was fetched from an archive, as long as it is the one that is shown."""
    found: Fetched | None = st.session_state.get(FETCHED)
    return found if found is not None and found.scan == chosen_scan() else None


def show_push(fetched: Fetched) -> None:
    """The answer in a line, what is sent, where to, and the button; nothing is sent without a confirmation."""
    st.subheader("Send the answer back", anchor=False)
    settings = current_settings()
    if settings.hosted:
        st.caption("This demo sends nothing. Run `serve dicom`, or this page, on a machine of your own.")
        return
    require_dicom()
    from core.serve.results import push_answer  # highdicom, an extra

    cohort = open_chosen_scan()
    if cohort is None:
        return
    checkpoint = find_checkpoint(fetched.rule.checkpoint, settings)
    prediction = _read_answer(checkpoint, cohort)
    st.markdown(f"Study {plain(fetched.study)}: {_describe(prediction, fetched.rule)}")
    kinds: list[DicomKind] = st.pills(
        "What is sent",
        list(DICOM_KINDS) if not prediction.abstained else ["sr"],
        selection_mode="multi",
        default=[kind for kind in fetched.rule.objects if kind == "sr" or not prediction.abstained] or ["sr"],
        format_func=DICOM_KINDS.__getitem__,
        key=f"pacs.push.kinds.{fetched.study}",
    )
    keep = st.toggle(
        "Carry the patient's identity over",
        key=f"pacs.push.identity.{fetched.study}",
        help="Name, id, birth date, sex, and the study's dates and numbers. Otherwise they are empty; the scan's UIDs stay.",
    )
    target = fetched.rules.send or fetched.rules.push or fetched.rules.url
    sure = st.checkbox(
        f"Write this into {plain(target, 200)}. It stays there; only the archive can remove it.",
        key=f"pacs.push.sure.{fetched.study}.{','.join(kinds)}.{keep}",
    )
    if st.button("Send to the archive", icon=":material/upload:", disabled=not (sure and kinds), key="pacs.push"):
        with st.spinner("Sending …"), in_turn():
            count = push_answer(
                fetched.rules,
                fetched.rule,
                fetched.study,
                fetched.series,
                tuple(kinds),
                load_predictor(checkpoint),
                Path(fetched.scan.place) / "files",
                settings,
                keep_identity=keep,
                others=prediction.others,
            )
        st.success(
            f"The archive has {'the object' if count == 1 else f'all {count} objects'}. Sent again, none is doubled.",
            icon=":material/check:",
        )
    st.caption(
        "Unverified, research use only. A server that is busy or away is asked four times; what is sent is logged in "
        f"{plain(str(settings.home / 'pacs' / 'audit.jsonl'), 300)}."
    )


def _read_answer(checkpoint: Path, cohort: Cohort) -> Prediction:
    """The answer, with what other checkpoints said where they were asked on the Predict page."""
    study = cohort.studies[0]
    prediction = load_prediction(checkpoint, cohort, study)
    return with_others(prediction, load_card(checkpoint), said_of(f"viewer.{cohort.digest}.{study.study_id}"))


def _describe(prediction: Prediction, rule: Rule) -> str:
    if prediction.abstained:
        return f"**no answer** by {plain(rule.checkpoint)}. {plain(prediction.reason, 1200)} The report says so and holds no number."
    disputed = ", disputed by another checkpoint" if prediction.disputed else ""
    return f"**{plain(prediction.verdict)}**, probability {prediction.probability:.3f}, by {plain(rule.checkpoint)}{disputed}."
