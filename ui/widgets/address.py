"""What a session has chosen stands in the address, so that a reload finds it again and a link leads to it."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress

import streamlit as st
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import MGMTLabError
from core.files import write_atomic
from core.runs.records import DataSource
from ui.widgets.state import (
    Scan,
    choose_checkpoint,
    choose_cohort,
    choose_scan,
    chosen_checkpoint,
    chosen_cohort,
    chosen_scan,
    current_settings,
)

PARAMETER = "open"
NAME = re.compile(r"[0-9a-f]{16}")
RESTORED = "address.restored"


class Choices(BaseModel):
    """What is chosen; an upload is not kept, for it is gone with its session."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cohort: DataSource | None = None
    scan: Scan | None = None
    checkpoint: str | None = None


def restore_choices() -> None:
    """Choose again what the address names, once a session; call it before a page is drawn.

    An address that is not known here chooses nothing.
    """
    if st.session_state.get(RESTORED):
        return
    st.session_state[RESTORED] = True
    name = st.query_params.get(PARAMETER, "")
    if not NAME.fullmatch(name):
        return
    with suppress(OSError, ValidationError):
        found = Choices.model_validate_json((current_settings().home / "links" / f"{name}.json").read_bytes())
        choose_cohort(found.cohort)
        choose_scan(found.scan)
        choose_checkpoint(found.checkpoint)


def keep_choices() -> None:
    """Put what is chosen now into the address; call it when a page was drawn. Where it cannot be written nothing is lost but that."""
    scan = chosen_scan()
    choices = Choices(
        cohort=chosen_cohort(), scan=None if scan and scan.kind == "upload" else scan, checkpoint=chosen_checkpoint()
    )
    if choices.cohort is None and choices.scan is None:
        st.query_params.pop(PARAMETER, None)
        return
    content = choices.model_dump_json()
    name = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = current_settings().home / "links" / f"{name}.json"
    with suppress(MGMTLabError, OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content, durable=False)
        st.query_params[PARAMETER] = name
