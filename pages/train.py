"""Choose a protocol, change what matters, start, and watch."""

import streamlit as st

from core.config import RunConfig
from core.data.study import Cohort
from core.jobs.estimate import estimate_training
from core.jobs.queue import submit
from core.presets import Preset
from core.runs.folder import RunFolder
from core.training.tensorboard import has_tensorboard
from core.training.time_estimate import count_slices, estimate_seconds
from ui.runs.live import show_live
from ui.runs.runs import ACTIVE, find_own_run, own_runs, owns_run, show_config_badges
from ui.train.first_batch import show_first_batch
from ui.train.form import draw_form
from ui.train.preview import show_preview
from ui.train.protocol import ask_data, ask_preset, config_choices
from ui.train.provenance import show_changes, show_provenance
from ui.train.queue import show_queue
from ui.widgets.errors import report_errors
from ui.widgets.page import begin_page
from ui.widgets.state import chosen_cohort, current_settings, visitor
from ui.widgets.text import duration_text, plain, rough_duration_text


def cloned_run(preset: Preset) -> RunFolder | None:
    """The run to start from, where one was chosen on the Runs page and the protocol is still its own."""
    name = st.session_state.get("train.clone")
    if not name or not owns_run(name):
        return None
    run = find_own_run(name)
    if run.config.preset != preset.name:
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Every value starts as in the run {plain(name)}.")
        if st.button("Start from the preset instead", type="tertiary", key="train.clone.drop"):
            del st.session_state["train.clone"]
            st.rerun()
    return run


def ask_config(preset: Preset) -> RunConfig | None:
    """The form; None where the values do not fit together, which is then said."""
    settings = current_settings()
    with report_errors():
        cloned = cloned_run(preset)
        config = draw_form(
            cloned.config if cloned else preset.config,
            key=f"train.clone.{cloned.name}" if cloned else f"train.{preset.name}",
            choices=config_choices(preset),
            maxima={"epochs": settings.hosted_epochs} if settings.hosted else None,
            typed=() if settings.hosted else ("weights",),
        )
        show_config_badges(config)
        return config
    return None


def show_majority(cohort: Cohort) -> None:
    """What an accuracy must be compared with."""
    counts = cohort.label_counts()
    total = sum(counts.values())
    if total:
        commonest = max(counts, key=lambda index: counts[index])
        st.caption(
            f"Always saying “{plain(cohort.class_names[commonest])}” is right for {counts[commonest]} of {total} labelled "
            f"studies: an accuracy of {counts[commonest] / total:.3f} is what guessing reaches."
        )


def show_estimate(cohort: Cohort, config: RunConfig) -> None:
    """How long the training will take: by an earlier run, else by the network's arithmetic."""
    timed = estimate_training(cohort, config, own_runs())
    if timed:
        st.caption(
            f"About **{duration_text(timed.seconds)}** for {config.epochs} epochs, by what {plain(timed.run)} took for each "
            "patient and slice; longer beside other work, shorter where training ends early."
        )
        return
    settings = current_settings()
    threads = max(1, settings.threads // settings.jobs)
    slices = round(count_slices(cohort, config.prep) * (1 - config.split.test_fraction))
    seconds = estimate_seconds(config, slices, 1, threads)
    if seconds is None:
        st.caption("How long it takes is known after its first epoch: no run of this network was timed here.")
    else:
        st.caption(
            f"About **{rough_duration_text(seconds)}** for {config.epochs} epochs on {threads} CPU "
            f"thread{'s' if threads > 1 else ''}, by the network's arithmetic; rough until a run has been timed here, "
            "and much shorter on a GPU."
        )


def start(config: RunConfig | None) -> None:
    """The start button; the same run is not started twice."""
    source = chosen_cohort()
    note = st.text_input(
        "Note", key="train.note", max_chars=500, placeholder="What is this run for? (kept with it; optional)"
    )
    tensorboard = st.toggle(
        "TensorBoard event files",
        key="train.tensorboard",
        disabled=not has_tensorboard(),
        help="Kept in the run's folder, where TensorBoard finds them; they change nothing of the result. "
        + ("" if has_tensorboard() else "The package tensorboard is not installed."),
    )
    if not st.button(
        "Start training",
        type="primary",
        icon=":material/play_circle:",
        disabled=config is None or source is None,
        key="train.start",
    ):
        return
    assert config is not None and source is not None  # noqa: PT018 - the button is disabled otherwise
    with report_errors():
        run = submit(current_settings(), config, source, owner=visitor(), note=note, tensorboard=tensorboard)
        st.query_params["run"] = run.name
        st.rerun()


def watched_run() -> str | None:
    """The run in the address, if it is this visitor's; else the one that is training."""
    named = st.query_params.get("run")
    if named and owns_run(named):
        return named
    if named:
        del st.query_params["run"]
        st.warning("The run in the address is not here any more.", icon=":material/info:")
    active = [entry for entry in own_runs() if entry.status.state in ACTIVE]
    return next((entry.run.name for entry in sorted(active, key=lambda entry: entry.status.state != "running")), None)


begin_page("Train", trains=True)
watched = watched_run()
if watched:
    with st.container(border=True), report_errors():
        show_live(watched)
with report_errors():
    show_queue()
begun_with = st.session_state.setdefault("train.opened", watched is None)  # it does not close when a run begins
with st.expander("A new run", icon=":material/add_circle:", expanded=begun_with):
    st.markdown("**1. Data**")
    cohort = ask_data("Training")
    if cohort is not None:
        show_majority(cohort)
    st.markdown("**2. Protocol**")
    preset = ask_preset("train.preset")
    st.markdown(preset.summary)
    st.markdown("**3. What matters**")
    config = ask_config(preset)
    if config and cohort is not None:
        show_estimate(cohort, config)
        show_preview(cohort, config)
        show_first_batch(cohort, config)
    start(config)
    if config:
        values, changes = st.tabs(["Where each value comes from", "Differences from the preset"])
        with values:
            show_provenance(config)
        with changes:
            show_changes(config)
