"""Every test here may train the tiny network."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def tiny_in_registry(tiny_network: None) -> None:
    """The tiny network is in the registry for the length of a test."""
