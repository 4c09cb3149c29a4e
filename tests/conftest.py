"""What every test may ask for: settings in a temporary home, and the real scans where they are at hand."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from core.config import PrepConfig, RunConfig
from core.data.prepare.slices import ImageFrame, PreparedSeries
from core.models.card import CheckpointCard
from core.models.checkpoint import save_checkpoint
from core.models.registry import ARCHITECTURES
from core.models.weights import build_model
from core.mri import CLASS_NAMES, MRSequence
from core.phantom.config import PhantomConfig
from core.runs.records import DataSource
from core.settings import PROJECT_ROOT, Settings, load_settings
from tests.phantoms import PLACE, copy_phantom
from tests.training.tiny import TINY_NETWORK

hypothesis.settings.register_profile("lab", deadline=None)  # machines are noisy; a slow example is no fault
hypothesis.settings.load_profile("lab")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of :mod:`tests.phantoms`, once for all worker processes."""
    if not hasattr(config, "workerinput"):
        os.environ[PLACE] = tempfile.mkdtemp(prefix="mgmt-lab-phantoms-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(PLACE))


@pytest.fixture(autouse=True)
def keep_main() -> Iterator[None]:
    """A page's test puts its script in the place of ``__main__``, which a process that is spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation of its own: cache, runs and checkpoints below tmp_path."""
    return load_settings({"MGMT_LAB_HOME": str(tmp_path / "home"), "MGMT_LAB_THREADS": "1"})


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans, which are not part of the project; set MGMT_LAB_SHARED to their folder."""
    folder = Path(os.environ.get("MGMT_LAB_SHARED") or PROJECT_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set MGMT_LAB_SHARED to run this test")
    return folder


@pytest.fixture
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that trains in milliseconds, in the registry for the length of a test."""
    monkeypatch.setitem(ARCHITECTURES, TINY_NETWORK.name, TINY_NETWORK)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Twelve synthetic patients, half of them methylated."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    copy_phantom(root, PhantomConfig(studies=12, slices=8, size=48, signal=3.0))
    return DataSource(root=str(root))


SIZE = 64
"""Rows and columns of the images of ``prepared``, in pixels."""


@cache
def _random_weights(class_count: int) -> dict[str, Any]:
    """The weights of one ResNet18, made once: every checkpoint of the tests has them."""
    model, _ = build_model("resnet18", class_count, "none", seed=3)
    return dict(model.state_dict())


@pytest.fixture
def write_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a ResNet18 checkpoint whose card has the given fields."""

    def write(name: str = "tiny", **changes: Any) -> Path:
        fields: dict[str, Any] = {
            "name": name,
            "config": RunConfig(prep=PrepConfig(size_px=SIZE, slice_count=3), weights="none"),
            "class_names": CLASS_NAMES,
            "positive_class": 1,
            "sequences": (MRSequence.FLAIR, MRSequence.T2W),
            "synthetic": False,
            "cohort_digest": "0" * 12,
            "split_unit": "patient",
            "split_digest": "0" * 12,
            "patients": {"train": 6, "val": 2, "test": 2},
            "weights_origin": "random",
            "reproduction": False,
            "epoch": 1,
        }
        card = CheckpointCard(**(fields | changes))
        path = tmp_path / f"{name}.safetensors"
        save_checkpoint(path, _random_weights(len(card.class_names)), card)
        return path

    return write


@pytest.fixture
def prepared() -> PreparedSeries:
    """Five images of blurred noise, each with its own brightness."""
    generator = np.random.default_rng(5)
    coarse = generator.uniform(40, 250, (5, SIZE // 8, SIZE // 8))
    pixels = np.kron(coarse, np.ones((8, 8))).astype(np.uint8)
    frame = ImageFrame(
        source_shape=(SIZE, SIZE),
        row_start=0,
        row_stop=SIZE,
        column_start=0,
        column_stop=SIZE,
        top=0,
        bottom=SIZE,
        left=0,
        right=SIZE,
    )
    return PreparedSeries(
        pixels=pixels,
        slice_index=np.array([4, 6, 8, 10, 12], dtype=np.int32),
        position_mm=np.array([0.0, 5.0, 10.0, 15.0, 20.0]),
        files=tuple(f"Image-{number}.dcm" for number in range(5)),
        frames=(frame,) * 5,
        slice_total=16,
        blank_count=2,
    )
