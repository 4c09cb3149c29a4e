"""Choosing a cohort: a folder on this computer, or a synthetic one that is made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.data.cohorts.registry import BY_NAME
from core.data.study import Cohort, Study
from core.data.synthetic import SYNTHETIC_FILE
from core.errors import HostedModeError, MGMTLabError
from core.mri import MRSequence
from core.phantom.cohort import read_phantom
from core.phantom.config import PhantomConfig, best_auroc
from core.runs.records import DataSource
from core.settings import Settings
from ui.cohort.synthetic import make_synthetic
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_cohort, rescan
from ui.widgets.progress import offer_cancel
from ui.widgets.slices import SliceStack
from ui.widgets.state import choose_cohort, chosen_cohort, current_settings
from ui.widgets.study_view import edit_sequences
from ui.widgets.text import plain

LAYOUTS: dict[str | None, str] = {
    None: "detect it",
    "rsna": "the competition's: id/sequence/*.dcm",
    "phases": "TRAIN/VAL/TEST of class folders",
    "classes": "class folders",
    "flat": "a flat folder of images",
    **{name: adapter.title for name, adapter in BY_NAME.items() if name != "rsna-miccai"},
}


READING: dict[str, tuple[str, str, str | None]] = {
    "labels": ("Label table (CSV, TSV, xlsx)", "", "Where it does not lie beside the data."),
    "identity": (
        "Ids that are one patient (CSV)",
        "",
        "A table with the columns study_id and same_person_as, beside the pairs that are known.",
    ),
    "patient_pattern": (
        "Patient pattern (regular expression)",
        "",
        "How to read the patient from an image's name; by default the leading digits, or the numbered words before the sequence.",
    ),
    "session": (
        "Session",
        "the pre-operative or first",
        "Which of each person's sessions is used: the name of one, last, or all.",
    ),
    "target": (
        "Column that is predicted",
        "the MGMT status",
        "Of the label table; any column of two values, such as IDH, or of numbers with a cut-off.",
    ),
    "positive": ("Its positive value", "methylated", None),
}
"""Fields of the data source that are typed: label, placeholder and help of each."""


EARLIER = "cohort.earlier"
"""In the session's state: the current cohort as it was before each change of its sequences."""
HOSTED_SLICES, HOSTED_SIZE = 48, 192
"""Of the synthetic scans that a demo makes."""


def made_cohorts(settings: Settings) -> list[Path]:
    """The synthetic cohorts that were made before."""
    folder = settings.cache / "synthetic"
    return sorted(path.parent for path in folder.glob(f"*/{SYNTHETIC_FILE}"))


def ask_cohort() -> None:
    """Let the visitor name a folder or make a synthetic cohort, and make it the current one."""
    settings = current_settings()
    made, ways = made_cohorts(settings), ["Make a synthetic cohort"]
    if made:
        ways.insert(0, "A synthetic cohort made before")
    if not settings.hosted:
        ways.insert(0, "A folder on this computer")
    way = st.segmented_control("Data", ways, default=ways[-1], required=True, key="cohort.way", persist_state="session")
    with report_errors():
        if way == "A folder on this computer":
            _ask_folder()
        elif way == "A synthetic cohort made before":
            _ask_made(made)
        else:
            _ask_synthetic(settings)


def show_cohort_line(cohort: Cohort) -> None:
    """Which cohort this is, in one line, with a way to read it again."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(plain(cohort.root.name), anchor=False, width="content")
        if cohort.synthetic:
            st.badge("synthetic", icon=":material/science:", color="orange")
        known = cohort.adapter not in ("folder", "rsna-miccai")
        st.badge(BY_NAME[cohort.adapter].title if known else f"layout: {cohort.layout}", color="gray")
        st.caption(f"digest {cohort.digest}", width="content")
        if st.button("Read again", icon=":material/refresh:", type="tertiary", help="Scan the folder anew."):
            rescan()
            st.rerun()


def offer_undo() -> None:
    """What of the current cohort was named by the visitor, with a way back from the last change and from all of them."""
    source = chosen_cohort()
    earlier: list[DataSource] = [one for one in st.session_state.get(EARLIER, []) if source and one.root == source.root]
    if source is None or not (source.assign or earlier):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"), report_errors():
        st.caption(f":material/edit: {len(source.assign)} series of this cohort are named by you.", width="content")
        if earlier and st.button("Undo the last change", icon=":material/undo:", type="tertiary", key="cohort.undo"):
            st.session_state[EARLIER] = earlier[:-1]
            _take(earlier[-1])
        if source.assign and st.button(
            "Recognise all anew", icon=":material/restart_alt:", type="tertiary", key="cohort.undo.all"
        ):
            _assign(source, {})


def _assign(source: DataSource, sequences: Mapping[str, MRSequence]) -> None:
    """Name series of the current cohort; the way back is kept for this session."""
    changed = with_sequences(source, sequences)
    load_cohort(changed)  # one that cannot be read changes nothing
    st.session_state[EARLIER] = [*st.session_state.get(EARLIER, []), source]
    _take(changed)


def _ask_folder() -> None:
    root = st.text_input(
        "Folder",
        key="cohort.root",
        persist_state="session",
        placeholder="/data/rsna-miccai-brain-tumor-radiogenomic-classification",
        help="The competition's folder or its train/, a TRAIN/VAL/TEST tree, class folders, or a flat folder of "
        "images with a label table.",
    )
    with st.expander("How to read it", icon=":material/tune:"), st.grid(2, min_column_width=240):
        texts = {name: _ask_text(name, *words) for name, words in READING.items()}
        cutoff = st.number_input(
            "Its cut-off",
            value=None,
            key="cohort.cutoff",
            persist_state="session",
            help="For a column of numbers, such as an MGMT index: those from here on are positive.",
        )
        layout = st.selectbox(
            "Layout", list(LAYOUTS), format_func=LAYOUTS.__getitem__, key="cohort.layout", persist_state="session"
        )
        named = [sequence.value for sequence in MRSequence if sequence is not MRSequence.UNKNOWN]
        sequence = st.selectbox(
            "Sequence of files that do not say it", [None, *named], key="cohort.sequence", persist_state="session"
        )
    if st.button("Read the folder", type="primary", icon=":material/folder_open:", disabled=not root):
        for name in ("labels", "identity"):
            texts[name] = str(Path(texts[name] or "").expanduser()) if texts[name] else None
        place = str(Path(root).expanduser())
        _take(
            DataSource.model_validate(
                {**texts, "root": place, "layout": layout, "sequence": sequence, "cutoff": cutoff}
            )
        )


def _ask_text(name: str, label: str, placeholder: str, said: str | None) -> str | None:
    """What is typed of one field of the data source; None where nothing is."""
    key = f"cohort.{name}"
    return st.text_input(label, key=key, persist_state="session", placeholder=placeholder, help=said) or None


def _ask_made(made: list[Path]) -> None:
    folder = st.selectbox("Cohort", made, format_func=lambda path: path.name, key="cohort.made")
    if st.button("Load it", type="primary", icon=":material/folder_open:") and folder in made:
        _take(DataSource(root=str(folder)))


def _ask_synthetic(settings: Settings) -> None:
    most = settings.hosted_studies if settings.hosted else 10_000

    def ask(name: str, label: str, low: float, high: float | None, start: float, step: float = 1) -> Any:
        said = PhantomConfig.model_fields[name].description
        return st.number_input(label, low, high, start, step, key=f"cohort.{name}", persist_state="session", help=said)

    with st.grid(3, min_column_width=180):
        studies = ask("studies", "Studies", 2, most, min(40, most))
        signal = ask("signal", "Signal (standard deviations)", 0.0, 10.0, 3.0, 0.5)
        seed = ask("seed", "Seed", 0, None, 0)
    with st.expander("Size of the scans", icon=":material/tune:"), st.grid(2, min_column_width=180):
        slices = ask("slices", "Slices per series", 4, HOSTED_SLICES if settings.hosted else 256, 24)
        size = ask("size", "Rows and columns", 32, HOSTED_SIZE if settings.hosted else 512, 128)
    st.caption(
        f"The best AUROC that any model can reach on this signal is {best_auroc(signal):.3f}: "
        "the label drives one trait of the tumour and nothing else."
    )
    if not st.button("Make the cohort", type="primary", icon=":material/science:", key="cohort.make"):
        return
    if settings.hosted and studies > settings.hosted_studies:
        raise HostedModeError(f"{studies} studies are more than the {settings.hosted_studies} of this demo.")
    if settings.hosted and (slices > HOSTED_SLICES or size > HOSTED_SIZE):
        raise HostedModeError(
            f"This demo makes at most {HOSTED_SLICES} slices of {HOSTED_SIZE} x {HOSTED_SIZE} pixels."
        )
    config = PhantomConfig(studies=studies, signal=signal, seed=seed, slices=slices, size=size)
    name = f"{studies}-studies-signal-{signal:g}-seed-{seed}-{slices}x{size}px"
    offer_cancel("cohort.cancel", "What is made so far is taken up next time.")
    _take(make_synthetic(name, config))


def show_series(study: Study, stacks: Sequence[SliceStack]) -> None:
    """A study's series, in a table in which a person may overrule what was recognized; runs that start then use his word."""
    source = chosen_cohort()
    if source is None:
        return
    changes = edit_sequences(study, stacks, key=f"cohort.series.{study.study_id}.{len(source.assign)}")
    own = {series.series_uid for series in study.series}
    assigned = dict(source.assign)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if st.button(
            "Take these sequences",
            icon=":material/edit:",
            type="primary",
            key="cohort.assign",
            disabled=not changes,
            help="Change a sequence in the table first." if not changes else None,
        ):
            _assign(source, {**assigned, **changes})
        if own & assigned.keys() and st.button("Recognise anew", icon=":material/undo:", key="cohort.unassign"):
            _assign(source, {uid: kind for uid, kind in assigned.items() if uid not in own})
        st.caption(
            f"{len(assigned)} series of this cohort are named by you; every run that starts from here keeps it."
            if assigned
            else "What you change holds for this session and for every run that starts from it.",
            width="content",
        )


def with_sequences(source: DataSource, sequences: Mapping[str, MRSequence]) -> DataSource:
    """The same data with other series named by a person, by Series UID."""
    return DataSource.model_validate({**source.model_dump(), "assign": tuple(sequences.items())})


def _take(source: DataSource) -> None:
    """Read a cohort, make it the current one and draw the page anew; one that cannot be read changes nothing."""
    load_cohort(source)
    choose_cohort(source)
    st.rerun()


def show_synthetic_truth(cohort: Cohort) -> None:
    """What a perfect model reaches on a synthetic cohort."""
    try:
        report = read_phantom(cohort.root)
    except MGMTLabError:
        return
    st.caption(
        f":material/science: Signal {report.signal:g}: the biomarker itself reaches an AUROC of {report.auroc_of_z:.3f} "
        f"on these {report.studies} studies ({report.best_auroc:.3f} in expectation). No honest model does better."
    )
