"""A tiny installation with everything in it: a synthetic cohort, a checkpoint, a finished run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core.config import PrepConfig, RunConfig, SplitConfig
from core.data.cohort import scan_cohort
from core.evaluation.selection import CORRECTED
from core.models.card import CheckpointCard
from core.models.checkpoint import save_checkpoint
from core.models.weights import build_model
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.phantom.sample import SAMPLE_SEED
from core.phantom.study import make_sample_study
from core.runs.folder import RunFolder
from core.runs.records import DataSource, EpochRecord
from core.settings import PROJECT_ROOT, Settings, load_settings
from tests.pages.reading import App
from tests.phantoms import copy_phantom

CONFIG = RunConfig(
    preset="honest",
    prep=PrepConfig(size_px=32, slice_count=2),
    weights="none",
    epochs=2,
    split=SplitConfig(split_unit="patient"),
)


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic studies of eight slices of 48 pixels."""
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    copy_phantom(folder, PhantomConfig(studies=4, signal=3, slices=8, size=48))
    return folder


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path) -> Path:
    """Random weights that know the four sequences."""
    model, _ = build_model("resnet18", 2, "none", 0)
    figure = {"value": 0.8, "low": 0.6, "high": 0.9, "n": 24, "method": CORRECTED}
    card = CheckpointCard(
        name="tiny",
        config=CONFIG,
        class_names=("unmethylated", "methylated"),
        positive_class=1,
        sequences=tuple(sequence for sequence in MRSequence if sequence is not MRSequence.UNKNOWN),
        synthetic=True,
        cohort_digest=scan_cohort(phantom_folder, jobs=1).digest,
        split_unit="patient",
        split_digest="0" * 12,
        patients={"train": 2, "val": 1, "test": 1},
        weights_origin="random",
        reproduction=False,
        epoch=1,
        metrics={"val": {"patient": {"auroc": figure}}},
    )
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, model.state_dict(), card, half=True)
    return path


@pytest.fixture(scope="session")
def sample_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample study, drawn once: every page that shows it would draw it anew in the empty home of each test."""
    return make_sample_study(tmp_path_factory.mktemp("sample"), seed=SAMPLE_SEED, mgmt_value=1)


@pytest.fixture
def home(settings: Settings, sample_study: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An installation that the app finds through the environment; it is empty but for the sample study's files."""
    import streamlit as st

    def link_sample(folder: Path, **asked: Any) -> Path:
        assert asked == {"seed": SAMPLE_SEED, "mgmt_value": 1}
        return shutil.copytree(sample_study, folder / sample_study.name, copy_function=os.link, dirs_exist_ok=True)

    monkeypatch.setattr("core.phantom.study.make_sample_study", link_sample)

    monkeypatch.setenv("MGMT_LAB_HOME", str(settings.home))
    monkeypatch.setenv("MGMT_LAB_MODE", "local")
    monkeypatch.setenv("MGMT_LAB_THREADS", "1")
    monkeypatch.setattr(Settings, "shipped_checkpoints", property(lambda self: self.home / "shipped"))
    monkeypatch.setattr(ContextProxy, "cookies", {})  # AppTest has a mock for the server that would know them
    monkeypatch.chdir(PROJECT_ROOT)
    st.cache_data.clear()
    st.cache_resource.clear()
    yield load_settings()
    st.cache_resource.clear()


@pytest.fixture
def with_checkpoint(home: Settings, checkpoint_file: Path) -> Path:
    """The installation has a checkpoint of its own."""
    home.checkpoints.mkdir(parents=True)
    path = home.checkpoints / "tiny.safetensors"
    path.symlink_to(checkpoint_file)
    return path


@pytest.fixture
def finished_run(home: Settings, phantom_folder: Path, checkpoint_file: Path) -> RunFolder:
    """A run as the trainer leaves it."""
    source = DataSource(root=str(phantom_folder))
    run = RunFolder.create(home, CONFIG, source, name="done", state="finished")
    run.checkpoint.symlink_to(checkpoint_file)
    for epoch in (1, 2):
        run.append_epoch(make_record(epoch))
    run.write_status(run.status().model_copy(update={"best_epoch": 1, "epoch": 2}))
    generator = np.random.default_rng(0)
    studies = ["10001", "10002", "10003", "10004"]
    rows = pd.DataFrame(
        {
            "key": [f"{study}|FLAIR|0|{index}" for study in studies for index in range(3)],
            "study_id": np.repeat(studies, 3),
            "person": np.repeat(studies, 3),
            "sequence": "FLAIR",
            "slice_index": np.tile([0, 1, 2], 4),
            "label": np.repeat([0, 1, 0, 1], 3),
            "logit_0": generator.normal(size=12),
            "logit_1": generator.normal(size=12),
        }
    )
    rows.to_parquet(run.path / "predictions.parquet")
    return run


def make_record(epoch: int) -> EpochRecord:
    """One line of epochs.jsonl."""
    return EpochRecord(
        epoch=epoch,
        learning_rate=0.001,
        train_loss=0.7,
        train_accuracy=0.5,
        train_patient_auroc=0.5,
        val_loss=0.7,
        val_accuracy=0.5,
        val_patient_auroc=0.75,
        val_patient_auroc_low=0.4,
        val_patient_auroc_high=0.95,
        val_patient_accuracy=0.5,
        seconds=1,
        images_per_second=20,
        best=epoch == 1,
    )


@pytest.fixture
def open_app(home: Settings) -> App:
    """Open the app on a page, as its address does, with a cohort chosen where one is given."""

    def open_page(page: str, cohort: Path | None = None, query: dict[str, str] | None = None) -> AppTest:
        app = AppTest.from_file(str(PROJECT_ROOT / "streamlit_app.py"), default_timeout=120)
        if cohort is not None:
            app.session_state["cohort"] = DataSource(root=str(cohort))
        for name, value in (query or {}).items():
            app.query_params[name] = value
        if page != "home.py":  # its address is its file's name, so the page is found before the first run
            app.switch_page(f"pages/{page}")
        return app.run()

    return open_page
