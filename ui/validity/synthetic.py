"""What a synthetic cohort knows about itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import StorageError
from core.phantom.cohort import read_phantom
from core.runs.folder import RunFolder


@st.cache_data(max_entries=64, show_spinner=False)
def _signal(root: str) -> float | None:
    for folder in (Path(root), Path(root).parent):  # a run may name the cohort, or its train folder
        try:
            return read_phantom(folder).signal
        except StorageError:
            continue
    return None


def read_signal(run: RunFolder) -> float | None:
    """The signal of the synthetic cohort that a run was trained on; None for another cohort, or one that is gone."""
    source = run.source
    return None if source.shuffle_seed is not None else _signal(source.root)
