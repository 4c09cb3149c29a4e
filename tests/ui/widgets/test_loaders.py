"""What is cached is read again when its file has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from core.runs.records import DataSource
from ui.widgets.loaders import load_cohort, load_predictor, rescan


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    """Nothing is left from another test, and nothing is left for another."""
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def test_a_checkpoint_is_loaded_once_and_again_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(
        "core.inference.ensemble.open_predictor", lambda path, **options: loaded.append(path) or object()
    )
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"first")
    assert load_predictor(path) is load_predictor(path)
    assert len(loaded) == 1
    os.utime(path, (1, 1))
    load_predictor(path)
    assert len(loaded) == 2


def test_a_cohort_is_scanned_once_until_it_is_asked_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[Path] = []
    monkeypatch.setattr("core.runs.cohort.scan_cohort", lambda root, **options: scanned.append(root) or object())
    source = DataSource(root=str(tmp_path))
    load_cohort(source)
    load_cohort(DataSource(root=str(tmp_path)))
    assert len(scanned) == 1
    load_cohort(source.model_copy(update={"labels": "labels.csv"}))
    assert len(scanned) == 2
    rescan()
    load_cohort(source)
    assert len(scanned) == 3
