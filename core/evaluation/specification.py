"""Specification curve: a result under every combination of reasonable choices, in order."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.permutation import permutation_p
from core.figure_text import interval_text, p_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of choices and what it gave."""

    choices: Mapping[str, str]
    """Setting -> its value, the same settings in every cell."""
    figure: Figure
    run: str
    """The member run, so that it can be opened."""

    def to_dict(self) -> dict[str, Any]:
        """As in the experiment's result."""
        return {"choices": dict(self.choices), "figure": self.figure.to_dict(), "run": self.run}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecificationCurve:
    """All cells, worst first; there is no way to get one without the others."""

    cells: tuple[Cell, ...]
    median: float
    above: float
    """Share of the cells above 0.5."""
    told: float
    """Share of the cells whose whole interval lies above 0.5."""
    failed: int
    """Cells that gave no figure; they count as neither."""

    @property
    def values(self) -> list[float]:
        """The figures in order."""
        return [cell.figure.value for cell in self.cells if cell.figure.value is not None]

    def sentence(self, what: str = "AUROC by patient") -> str:
        """The whole curve in words."""
        least, most = (limit(cell.figure.n for cell in self.cells) for limit in (min, max))
        n = f"n = {least} patients" if least == most else f"n = {least} to {most} patients"
        return (
            f"Over {len(self.cells)} combinations of choices the median {what} is {self.median:.3f} "
            f"({interval_text(self.values[0], self.values[-1])}, {n} each); {self.above:.0%} lie above 0.5, {self.told:.0%} with "
            "their whole interval." + (f" {self.failed} more gave no figure." if self.failed else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """Every cell with the summary."""
        return {
            "sentence": self.sentence(),
            "median": self.median,
            "above": self.above,
            "told": self.told,
            "failed": self.failed,
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def to_csv(self) -> str:
        """Every cell as a line of a table, worst first."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.cells[0].choices, "auroc", "low", "high", "n", "run"])
        for cell in self.cells:
            figure = cell.figure
            writer.writerow([*cell.choices.values(), figure.value, figure.low, figure.high, figure.n, cell.run])
        return text.getvalue()

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SpecificationCurve:
        """Read it back from an experiment's result."""
        cells = [
            Cell(choices=cell["choices"], figure=Figure(**cell["figure"]), run=cell["run"]) for cell in content["cells"]
        ]
        return order_cells(cells, failed=int(content.get("failed", 0)))


def order_cells(cells: Sequence[Cell], failed: int = 0) -> SpecificationCurve:
    """Sort cells by their figure and summarise them.

    Raises
    ------
    EvaluationError
        No cell has a figure, or the cells do not vary the same settings.
    """
    usable = [cell for cell in cells if cell.figure.value is not None]
    if not usable:
        raise EvaluationError("No combination of choices gave a figure; more patients of both classes are needed.")
    if len({tuple(cell.choices) for cell in usable}) > 1:
        raise EvaluationError("The cells of a specification curve must vary the same settings in the same order.")
    ordered = sorted(usable, key=lambda cell: (cell.figure.value or 0.0, tuple(cell.choices.values())))
    values = np.array([cell.figure.value for cell in ordered], dtype=np.float64)
    lows = np.array([-np.inf if cell.figure.low is None else cell.figure.low for cell in ordered])
    return SpecificationCurve(
        cells=tuple(ordered),
        median=float(np.median(values)),
        above=float((values > 0.5).mean()),
        told=float((lows > 0.5).mean()),
        failed=failed + len(cells) - len(usable),
    )


def judge_jointly(curve: SpecificationCurve, shuffled: Sequence[SpecificationCurve], within: str) -> dict[str, Any]:
    """Return the joint test of a curve: where its median, its best cell and its share told lie among shuffled labels'.

    Choosing the best of many combinations is repeated in every shuffle, so that its p counts the choice.

    Returns
    -------
    dict
        ``permutations``, ``p_median``, ``p_best``, ``p_told``, ``null_medians``, ``within`` and ``sentence``.

    Notes
    -----
    Simonsohn, Simmons and Nelson 2020, "Specification curve analysis", Nat. Hum. Behav. 4:1208.
    """
    p_values = {
        f"p_{name}": permutation_p(of(curve), np.array([of(one) for one in shuffled]))
        for name, of in {
            "median": lambda one: one.median,
            "best": lambda one: one.values[-1],
            "told": lambda one: one.told,
        }.items()
    }
    return {
        "permutations": len(shuffled),
        **p_values,
        "null_medians": [one.median for one in shuffled],
        "within": within,
        "sentence": f"All combinations together, among {len(shuffled)} shuffles of the labels {within}: "
        f"{p_text(p_values['p_median'])} for the median, {p_text(p_values['p_best'])} for the best one.",
    }
