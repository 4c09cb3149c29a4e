"""What this is, one button that shows it, and where things stand."""

import streamlit as st

from core.data.study import Cohort
from core.errors import MGMTLabError
from ui.predict.scans import sample_cohort
from ui.runs.runs import ACTIVE, own_runs
from ui.widgets.checkpoints import MAKE_DEMO, auroc_words, offered_checkpoints
from ui.widgets.errors import report_errors
from ui.widgets.loaders import load_card, load_stacks
from ui.widgets.page import begin_page
from ui.widgets.slices import compose_slice
from ui.widgets.state import Scan, choose_scan, chosen_cohort, current_settings
from ui.widgets.text import plain


def show_claim() -> None:
    """The first ten seconds."""
    begin_page("Predict MGMT promoter methylation from brain MR, and find out whether the number is true.")
    st.markdown(
        "Look at a cohort, train the paper's network or an honest relative of it while you watch, and evaluate "
        "it per patient, with intervals. Upload a scan and get a probability, a map of what spoke for it, and what "
        "to doubt."
    )
    st.badge("Research use only: not for diagnosis or treatment", icon=":material/biotech:", color="orange")


def show_sample(cohort: Cohort) -> None:
    """The sample study's four sequences, each through its middle."""
    stacks, _ = load_stacks(cohort.studies[0].series)
    with st.grid(4, min_column_width=140, gap="small"):
        for stack in stacks:
            middle = len(stack.pixels) // 2
            image = compose_slice(stack, middle, field_mm=1.12 * stack.extent_mm, side_px=384)
            words = f"{stack.sequence}, {stack.plane}"
            st.image(image, caption=words, alt=f"A slice of the sample study: {words}", width="stretch")


def checkpoint_words() -> str:
    """Which checkpoint would answer."""
    offered = offered_checkpoints(current_settings())
    if not offered:
        return f"No checkpoint yet: `{MAKE_DEMO}` makes the one that ships with the project."
    card = load_card(offered[0])
    kind = "synthetic brains" if card.synthetic else "a cohort of real scans"
    return f"{plain(card.name)}, trained on {kind}. Its AUROC by patient: {auroc_words(card)}."


def run_words() -> str:
    """How many runs there are, and how many of them live."""
    runs = own_runs()
    active = sum(entry.status.state in ACTIVE for entry in runs)
    if not runs:
        return "No runs yet."
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}" + (
        f", {active} training or waiting." if active else "."
    )


def card(page: str, icon: str, title: str, purpose: str, state: str) -> None:
    """A way to one of the pages, and how things stand there."""
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.page_link(page, label=f"**{title}**", icon=icon)
        st.markdown(purpose)
        st.caption(state)


left, right = st.columns([5, 6], gap="large", vertical_alignment="center")
with left:
    show_claim()
    if st.button("Predict a sample study", type="primary", icon=":material/play_arrow:", key="home.sample"):
        choose_scan(Scan(kind="sample"))
        st.switch_page("pages/predict.py")
    st.caption("A synthetic brain from a program: no data, no account, nothing leaves this computer.")

source = chosen_cohort()
with st.grid(5, min_column_width=200):
    try:
        checkpoint = checkpoint_words()
    except MGMTLabError as error:
        checkpoint = plain(error, 300)
    card(
        "pages/predict.py",
        ":material/neurology:",
        "Predict",
        "A scan in, a probability and its map out.",
        checkpoint,
    )
    card(
        "pages/cohort.py",
        ":material/database:",
        "Cohort",
        "What a data set holds, what is missing, what cannot be read.",
        f"Loaded: {plain(source.root)}" if source else "None loaded; a synthetic one is made in a minute.",
    )
    card(
        "pages/train.py",
        ":material/model_training:",
        "Train",
        "The paper's protocol, or the same network split by patient.",
        run_words(),
    )
    card(
        "pages/runs.py",
        ":material/monitoring:",
        "Runs",
        "Curves, confusion, ROC: per patient and per slice, with n and intervals.",
        "Test patients stay untouched until you ask.",
    )
    card(
        "pages/validity.py",
        ":material/balance:",
        "Validity",
        "Is the number true? Power, intervals, calibration, controls, and what may be claimed.",
        "Most of it works with nothing loaded.",
    )

with st.container(border=True):
    st.markdown("**Why “whether the number is true”?**")
    st.markdown(
        "The paper that this lab implements reports a peak validation accuracy of 90.87%; it does not state whether "
        "slices of one patient could stand in training and in validation. The competition on the same data was won with "
        "an AUROC by patient of about 0.62 [(leaderboard)](https://www.kaggle.com/competitions/"
        "rsna-miccai-brain-tumor-radiogenomic-classification/leaderboard). Train both protocols here and compare."
    )

with right, report_errors():
    show_sample(sample_cohort())
