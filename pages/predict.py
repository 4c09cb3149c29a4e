"""A scan in, an answer with its map and its doubts out."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from core.data.names.session_names import title_session
from core.data.study import Cohort, Study
from core.explain.methods import METHODS
from core.explain.validation.saliency_record import default_map
from core.inference.prediction import Prediction
from core.models.card import CheckpointCard
from core.mri import MRSequence
from ui.pacs.push import fetched_study
from ui.predict.answer import said_of, show_answer, show_map_worth, show_slice_charts, with_others
from ui.predict.many import ask_folder, show_many
from ui.predict.prediction import layer_titles, load_maps, load_prediction, load_volume, study_stacks
from ui.predict.raw import ask_raw, process_chosen, show_steps
from ui.predict.results import show_downloads
from ui.predict.scans import UPLOADERS, forget_emptied, forget_upload, keep_upload, open_chosen_scan
from ui.widgets.checkpoints import ask_checkpoint, shipped_beside, show_card
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_card
from ui.widgets.page import begin_page
from ui.widgets.slices import SliceStack
from ui.widgets.state import Scan, choose_scan, chosen_scan, current_settings
from ui.widgets.study_view import show_faults, show_notes, show_series_table
from ui.widgets.text import plain
from ui.widgets.viewer import MapSource, show_viewer

DETECT = "detect"
WAYS = {
    "sample": "Sample study",
    "folder": "A folder",
    "files": "Files or a zip",
    "path": "A path on this computer",
    "many": "Many studies",
}
LOCAL = ("path", "many")
"""Ways that read what lies on the server: not for strangers."""


def ask_scan() -> str:
    """Let the visitor hand in a scan, or name a folder of many; return which way."""
    ways = [way for way in WAYS if way not in LOCAL or not current_settings().hosted]
    way = st.segmented_control(
        "Scan",
        ways,
        format_func=WAYS.__getitem__,
        default="sample",
        required=True,
        key="predict.way",
        persist_state="session",
    )
    if way == "sample":
        st.caption("A synthetic brain with the four sequences, made by a program.")
        if st.button("Predict the sample study", type="primary", icon=":material/play_arrow:", key="predict.sample"):
            choose_scan(Scan(kind="sample"))
    elif way == "path":
        ask_path()
    elif way == "many":
        ask_folder()
    else:
        ask_upload(way)
    return str(way)


def ask_path() -> None:
    """A scan that lies on this computer."""
    place = st.text_input("Study folder, DICOM file, zip, NIfTI or image", key="predict.path", persist_state="session")
    sequence = ask_sequence()
    scan = chosen_scan()
    changed = scan is not None and scan.kind == "path" and scan.sequence != sequence
    if st.button("Open the scan", icon=":material/folder_open:", disabled=not place, key="predict.open") or changed:
        choose_scan(Scan(kind="path", place=place, sequence=sequence))


def ask_upload(way: str) -> None:
    """A scan that comes through the browser."""
    settings = current_settings()
    megabytes = settings.upload_bytes // 2**20
    key = f"predict.upload.{way}{st.session_state.get(UPLOADERS, '')}"
    files = st.file_uploader(
        "A study's folder, with its series in it"
        if way == "folder"
        else "DICOM files (with or without .dcm), NIfTI, images, or one zip or tar.gz",
        accept_multiple_files="directory" if way == "folder" else True,
        key=key,
        max_upload_size=megabytes,
        on_change=forget_emptied,
        args=(key,),
    )
    st.caption(
        f"Up to {megabytes} MB and {settings.upload_files} files. Kept in memory and in a temporary folder, and nowhere else; "
        "gone at once when you delete it (the names of its files with your next click), and within 20 seconds when you close this page."
    )
    scan = chosen_scan()
    if files or (scan and scan.kind == "upload"):
        st.button(
            "Delete this scan", icon=":material/delete:", key="predict.delete", on_click=forget_upload, args=(key,)
        )
    sequence = ask_sequence()
    if files:
        with report_errors(), st.spinner("Receiving …"):
            choose_scan(keep_upload(files, sequence))


def ask_sequence() -> MRSequence | None:
    """The sequence of files that do not say what they are."""
    named = [sequence.value for sequence in MRSequence if sequence is not MRSequence.UNKNOWN]
    picked = st.selectbox(
        "Sequence of files that do not say it",
        [DETECT, *named],
        key="predict.sequence",
        persist_state="session",
        help="Only used for files whose folder, name and header do not tell their sequence.",
    )
    return None if picked == DETECT else MRSequence(picked)


def ask_study(cohort: Cohort) -> Study:
    """The study to show, where a scan holds several."""
    ids = [study.study_id for study in cohort]
    scan = chosen_scan()
    wanted = (scan.place if scan.kind == "study" else scan.study) if scan else ids[0]
    if len(ids) == 1:
        return cohort[ids[0]]
    return cohort[st.selectbox("Study", ids, index=ids.index(wanted) if wanted in ids else 0)]


def show_head(cohort: Cohort, study: Study) -> None:
    """Which study this is."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(f"Study {plain(study.study_id)}", anchor=False, width="content")
        if cohort.synthetic:
            st.badge("synthetic", icon=":material/science:", color="orange")
        st.badge("research use only", color="gray")
    if study.session:
        st.caption(f"Person {plain(study.person)}, session {plain(title_session(study))}.")


def show_prediction(
    path: Path, card: CheckpointCard, cohort: Cohort, study: Study, prediction: Prediction, stacks: list[SliceStack]
) -> None:
    """The answer and what can be taken along of it, the viewer with the maps, and the answer slice by slice."""
    key = f"viewer.{cohort.digest}.{study.study_id}"
    others = {
        load_card(other).name: (load_card(other), partial(load_prediction, other, cohort, study))
        for other in shipped_beside(path)
    }
    # Among many visitors an upload costs its own answer alone; the sample's answers are shared.
    scan = chosen_scan()
    ask = not current_settings().hosted or (scan is not None and scan.kind == "sample")
    ask_others = show_answer(prediction, card, stacks, key, others, ask=ask)
    show_downloads(path, card, cohort, study, partial(with_others, prediction, card, said_of(key)))
    if fetched_study() is not None and not current_settings().hosted:
        st.page_link("pages/pacs.py", label="Send the answer back to the PACS", icon=":material/lan:")
    load = partial(load_volume, study, prediction=prediction, prep=card.config.prep)
    if ask_others is None:
        show_viewer([replace(stack, probabilities={}) for stack in stacks], key=key, load=load)
        return
    predicted = card.class_names.index(prediction.prediction)
    show_viewer(
        stacks,
        key=key,
        load=load,
        source=MapSource(
            methods={name: method.title for name, method in METHODS.items()},
            classes=card.class_names,
            first_class=predicted,
            highest_first=prediction.probability >= prediction.threshold,
            layers=layer_titles(card),
            first=default_map(card),
            show_worth=lambda method, layer: show_map_worth(card, method, layer),
            load=lambda method, target, layer: load_maps(
                path, cohort, study, prediction, stacks, method=method, target=target, layer=layer
            ),
        ),
        below=lambda maps, positions: show_slice_charts(stacks, prediction, card, key, maps, positions),
    )
    ask_others()


def show_scan(path: Path | None) -> None:
    """The chosen study with its answer. It ends without st.stop, after which Streamlit keeps what widgets held that are gone."""
    shown = False
    cohort = None
    with report_errors():
        cohort, shown = open_chosen_scan(), True
    if cohort is None:
        if shown:
            st.info("Upload a scan above, or press **Predict the sample study**.", icon=":material/arrow_upward:")
        return
    study = ask_study(cohort)
    show_head(cohort, study)
    raw = ask_raw(study)
    if raw is not None:
        with report_errors():
            cohort = process_chosen(cohort, study, raw)
            study = cohort[study.study_id]
            show_steps(study)
    prediction = None
    card = None
    if path:
        with report_errors():
            card = load_card(path)
            prediction = load_prediction(path, cohort, study)
    stacks, faults = study_stacks(study, prediction)
    if prediction and card and path:
        show_prediction(path, card, cohort, study, prediction, stacks)
    else:
        show_viewer(stacks, key=f"viewer.{cohort.digest}.{study.study_id}", load=partial(load_volume, study))
    st.subheader("Series in this scan", anchor=False)
    show_series_table(study, stacks)
    show_notes(cohort.notes)
    show_faults([*cohort.faults, *faults])


begin_page("Predict")
opened = chosen_scan()
# Once there is something to answer the inputs fold away; a table of many studies stays beside them.
folded = opened is not None and not opened.study
with st.expander("Scan and checkpoint", icon=":material/tune:", expanded=not folded):
    ask, answer_with = st.columns(2, gap="large")
with ask, st.container(border=True):
    way = ask_scan()
with answer_with, st.container(border=True, height="stretch"), report_errors():
    path = ask_checkpoint()
    if path:
        show_card(load_card(path))

if chosen_scan() != opened:
    st.rerun()  # folded from the start, and not only when something else is chosen
if way == "many" and not current_settings().hosted:
    show_many(path)
    chosen = chosen_scan()
    if chosen is None or not chosen.study:
        st.stop()
show_scan(path)
