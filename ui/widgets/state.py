"""What a visitor has chosen, typed, kept over page changes. Widgets keep their own values (``persist_state``)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal, cast

import streamlit as st

from core.data.raw.config import RawConfig
from core.data.study import Study
from core.mri import MRSequence
from core.runs.records import DataSource
from core.settings import Settings, load_settings
from ui.server.visitor import COOKIE, read_cookie, visitor_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Which study the Predict page shows."""

    kind: Literal["sample", "upload", "path", "study"]
    place: str = ""
    """Folder of the upload, the path that was typed, or the study's id in the chosen cohort."""
    study: str = ""
    """Which of several studies there is shown first."""
    sequence: MRSequence | None = None
    """What files are that do not say which sequence they are."""


def current_settings() -> Settings:
    """The installation's settings, read from the environment."""
    return load_settings()


def visitor() -> str:
    """Who owns the runs that this session starts: a token in hosted mode, nobody in particular otherwise."""
    return cast(str, st.session_state.get("visitor", "")) if current_settings().hosted else ""


def remember_visitor() -> None:
    """Give a visitor of a hosted installation a token that nobody can guess: that of his signed cookie.

    A reload of the page, which begins a new session, finds it there. Where the browser keeps no cookies the token lives
    as long as the session. An address never says who somebody is: a link would make others see his runs. Call it on every
    run of the app.
    """
    if not current_settings().hosted or st.session_state.get("visitor"):
        return
    cookie = st.context.cookies.get(COOKIE, "")
    known = read_cookie(cookie, visitor_key(current_settings())) if cookie else None
    st.session_state["visitor"] = known or secrets.token_urlsafe(32)


def chosen_cohort() -> DataSource | None:
    """The cohort that Cohort, Train and Runs work on."""
    return cast("DataSource | None", st.session_state.get("cohort"))


def choose_cohort(source: DataSource | None) -> None:
    """Make a cohort the current one; None lets go of it."""
    st.session_state["cohort"] = source


def chosen_checkpoint() -> str | None:
    """Path of the checkpoint that Predict uses, or None for the first one there is."""
    return cast("str | None", st.session_state.get("checkpoint"))


def choose_checkpoint(path: str | None) -> None:
    """Make a checkpoint the current one."""
    st.session_state["checkpoint"] = path


def chosen_scan() -> Scan | None:
    """The study that Predict shows."""
    return cast("Scan | None", st.session_state.get("scan"))


def choose_scan(scan: Scan | None) -> None:
    """Make a study the current one."""
    st.session_state["scan"] = scan


def chosen_raw(study: Study) -> RawConfig | None:
    """How Predict processes a study from raw; None takes it as it came."""
    return cast("RawConfig | None", st.session_state.get("raw", {}).get(_place_of(study)))


def choose_raw(study: Study, config: RawConfig | None) -> None:
    """Have a study processed from raw, or taken as it came; another study is taken as it came."""
    st.session_state["raw"] = {} if config is None else {_place_of(study): config}


def _place_of(study: Study) -> str:
    return f"{study.study_id} {study.series[0].files[0]}"
