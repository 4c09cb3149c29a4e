import numpy as np
import pytest

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.specification import Cell, SpecificationCurve, order_cells


def cell(value: float | None, seed: int, low: float | None = None) -> Cell:
    figure = Figure(value=value, low=low, high=None if low is None else 0.95, n=20)
    return Cell(choices={"seed": str(seed), "sequences": "FLAIR"}, figure=figure, run=f"r{seed}")


def test_cells_are_ordered_and_summarised() -> None:
    curve = order_cells([cell(0.7, 0, 0.55), cell(0.4, 1, 0.2), cell(0.6, 2, 0.45), cell(None, 3)])
    assert [one.run for one in curve.cells] == ["r1", "r2", "r0"]
    assert (curve.median, curve.above, curve.told, curve.failed) == (0.6, 2 / 3, 1 / 3, 1)
    assert "median AUROC by patient is 0.600 (0.400 to 0.700, n = 20 patients each)" in curve.sentence()
    assert "1 more gave no figure" in curve.sentence()


def test_the_written_curve_holds_every_cell_and_reads_back() -> None:
    curve = order_cells([cell(value, seed) for seed, value in enumerate(np.linspace(0.3, 0.8, 7))])
    content = curve.to_dict()
    assert len(content["cells"]) == 7
    assert SpecificationCurve.from_dict(content) == curve


def test_cells_that_vary_other_settings_or_give_nothing_are_refused() -> None:
    stranger = Cell(choices={"seed": "1"}, figure=cell(0.5, 1).figure, run="x")
    with pytest.raises(EvaluationError, match="same settings"):
        order_cells([cell(0.5, 0), stranger])
    with pytest.raises(EvaluationError, match="No combination"):
        order_cells([cell(None, 0)])
