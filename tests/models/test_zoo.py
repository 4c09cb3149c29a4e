"""The zoo's costs are those of the networks, and close to what the paper's Figure 2 says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.models.costs import read_costs
from core.models.count_costs import count_cost
from core.models.registry import ARCHITECTURES
from core.models.zoo import FIGURE_2, list_zoo
from core.presets import PRESETS
from core.settings import PROJECT_ROOT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_shipped_cost_is_true(name: str) -> None:
    assert read_costs()[name] == count_cost(ARCHITECTURES[name]), "make costs"


def test_no_cost_is_of_a_network_that_is_gone() -> None:
    assert set(read_costs()) == set(ARCHITECTURES)


def test_every_preset_has_its_row() -> None:
    rows = {row.preset: row for row in list_zoo()}
    assert list(rows) == list(PRESETS)
    assert (rows["resnet50"].parameters, rows["resnet50"].paper_multiply_adds) == (23_512_130, 3.8)


@pytest.mark.parametrize("name", FIGURE_2)
def test_the_costs_are_about_those_of_the_papers_figure(name: str) -> None:
    assert read_costs()[name].multiply_adds / 1e9 == pytest.approx(FIGURE_2[name], rel=0.08)


def test_the_zoo_needs_no_torch() -> None:
    code = "import sys; from core.models.zoo import list_zoo; list_zoo(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0
