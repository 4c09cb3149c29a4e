"""A new search: data, protocol, what is varied, and how long."""

from __future__ import annotations

import shlex

import streamlit as st

from core.config import RunConfig, apply_settings
from core.errors import ConfigError
from core.experiments.search.default_space import default_space
from core.experiments.search.search import SearchParameters, ask_search
from core.experiments.search.space import check_space, parse_space
from core.experiments.search.storage import PASSWORD_VARIABLE, read_place
from core.jobs.experiment import RunOptions, start_experiment
from core.presets import PRESETS
from ui.train.protocol import ask_data, ask_preset
from ui.widgets.errors import report_errors
from ui.widgets.experiments import free_name
from ui.widgets.state import chosen_cohort, current_settings


def draw_form() -> None:
    """The form, and the button that starts the search in a process of its own."""
    st.markdown("**1. Data**")
    ask_data("A search")
    st.markdown("**2. Protocol**")
    preset = ask_preset("sweeps.preset").name
    config = None
    with report_errors():
        config = _ask_config(preset)
    st.markdown("**3. What is varied**")
    space = _ask_space(preset)
    st.markdown("**4. How long**")
    with report_errors():
        _ask_start(config, space)


def _ask_config(preset: str) -> RunConfig:
    config = PRESETS[preset].config
    if config.split.split_unit != "patient":
        st.caption(
            "This protocol splits by slice. A search chooses on validation patients, so it splits by patient here; all "
            "else stays."
        )
        config = apply_settings(config, {"split_unit": "patient"})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        epochs = st.number_input(
            "Epochs of a trial", 1, 10_000, config.epochs, key=f"sweeps.{preset}.epochs", width=160
        )
        fixed = st.text_input(
            "Other settings that stay the same",
            key=f"sweeps.{preset}.fixed",
            placeholder="size_px=96 slice_count=4 sequences=T1wCE",
            help="Each as name=value, with blanks between.",
        )
    try:
        words = shlex.split(fixed)
    except ValueError as error:
        raise ConfigError(f"{fixed!r} cannot be read ({error}); write name=value with blanks between.") from error
    return apply_settings(apply_settings(config, {"epochs": int(epochs)}), words)


def _ask_space(preset: str) -> tuple[str, ...]:
    entries = default_space(preset)
    left, right = st.columns(2, gap="large")
    with left:
        text = st.text_area(
            "One setting in a line",
            "\n".join(entry.text for entry in entries),
            key=f"sweeps.{preset}.space",
            height=150,
            help="name=low..high evenly, name=low..high:log with each decade alike, or name=one,two,three.",
        )
    with right:
        st.caption("Why these: three or four settings are what a few dozen trials can tell apart.")
        st.markdown("\n".join(f"- `{entry.text.partition('=')[0]}`: {entry.reason}" for entry in entries))
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _ask_start(config: RunConfig | None, space: tuple[str, ...]) -> None:
    with st.grid(4, min_column_width=180):
        trials = st.number_input("Trials", 1, 1000, 20, key="sweeps.trials", persist_state="session")
        parallel = st.number_input(
            "Workers", 1, 32, 1, key="sweeps.parallel", persist_state="session",
            help="Trainings at the same time, which share the threads. With several, what TPE draws depends on who was "
            "faster.",
        )  # fmt: skip
        pruner = st.selectbox(
            "Pruning", ["median", "none"], key="sweeps.pruner", persist_state="session",
            help="median ends a trial whose best epoch so far is below the median of the finished trials at that epoch.",
        )  # fmt: skip
        sampler = st.selectbox(
            "Sampler", ["tpe", "random"], key="sweeps.sampler", persist_state="session",
            help="tpe learns from the trials that have ended, after ten random ones.",
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = st.text_input("Name", free_name("sweep"), key="sweeps.name", max_chars=60, width=220)
        storage = st.text_input(
            "Shared storage (optional)",
            key="sweeps.storage",
            placeholder="postgresql://user@host/database",
            help=f"A database that several hosts share. Its password is read from {PASSWORD_VARIABLE} in the app's "
            "environment, never typed here.",
        )
    source = chosen_cohort()
    ready = config is not None and source is not None
    pressed = st.button(
        "Start the search", type="primary", icon=":material/play_circle:", key="sweeps.start", disabled=not ready
    )
    if config is None:
        return
    check_space(config, parse_space(space), pruned=pruner != "none")
    parameters = SearchParameters.model_validate(
        {"space": space, "sampler": sampler, "pruner": pruner, "storage": _checked_storage(storage)}
    )
    st.caption(
        f"Up to {trials} trainings of {config.epochs} epochs, behind the queue of runs, with no page open. They are "
        "compared on the validation patients of one split; the test patients stand in none of them."
    )
    if source is None:
        return
    question = ask_search(name, config, source, parameters, storage=parameters.storage)
    if pressed:
        settings = current_settings()
        if (settings.experiments / name).exists():
            raise ConfigError(f"There is an experiment {name} already; choose another name, or resume it above.")
        start_experiment(settings, name, question, RunOptions(count=int(trials), parallel=int(parallel)))
        st.query_params["search"] = name
        st.rerun()


def _checked_storage(url: str) -> str:
    """The URL without its password; one that was typed is refused, for a command line can be read by others."""
    place = read_place("new", current_settings().experiments / "new", url.strip())
    if place.url and place.url != url.strip():
        raise ConfigError(
            f"Leave the password out of the URL; set {PASSWORD_VARIABLE} to it where the app is started. The user and "
            "the host stay in the URL."
        )
    return place.url
