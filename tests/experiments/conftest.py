"""A network that trains in milliseconds, and one small synthetic cohort."""

from __future__ import annotations

import pytest

from core.data.phantom import PhantomConfig, make_phantom
from core.models.registry import ARCHITECTURES
from core.training.records import DataSource
from tests.training.tiny import TINY_NETWORK


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the registry for the length of a test."""
    monkeypatch.setitem(ARCHITECTURES, TINY_NETWORK.name, TINY_NETWORK)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Twelve synthetic patients, half of them methylated."""
    root = tmp_path_factory.mktemp("cohort") / "phantom"
    make_phantom(root, PhantomConfig(studies=12, slices=8, size=48, signal=3.0), jobs=1)
    return DataSource(root=str(root))
