"""What several cohorts say of one question, as an HTML page to print or to save: no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.evaluation.figure import estimand_of
from core.experiments.external.judged import CALIBRATION_SHOWN
from core.figure_text import interval_text, value_text
from core.reports.page import render_page
from core.runs.evaluation import describe_copies


def write_external_page(name: str, result: Mapping[str, Any]) -> str:
    """Return the page of a result of :mod:`core.experiments.external`; every text from elsewhere is escaped."""
    return render_page(
        "external.html",
        estimand_of("leave_one_cohort_out" if "by" in result else "external"),
        name=name,
        result=result,
        forest=list_forest(result),
        header=("cohort", "n", "positive", "overlap removed", "AUROC", *CALIBRATION_SHOWN.values(), "Brier score"),
        rows=[
            (
                one["name"],
                one["n"],
                one["positive"],
                one["overlap"]["count"] if one["overlap"] else 0,
                *(value_text(one[key]) for key in ("auroc", *CALIBRATION_SHOWN, "brier")),
            )
            for one in result["cohorts"]
        ],
        matrix=[
            (cell["trained_on"], cell["tested_on"], value_text(cell["auroc"]), cell["auroc"]["n"], cell["kind"])
            for cell in result.get("matrix", [])
        ],
        how=describe_methods(result),
        told=list_remarks(result),
    )


def describe_methods(result: Mapping[str, Any]) -> str:
    """Say how the mean and the prediction interval were made, and how far the cohorts differ."""
    mean, prediction = result["mean"], result["prediction_interval"]
    parts = [mean.get("method") or mean.get("reason", "")]
    if prediction.get("method"):
        parts.append(f"prediction interval: {prediction['method']}")
    if result["tau_squared"] is not None:
        parts.append(
            f"between cohorts tau^2 {result['tau_squared']:.3f} on the logit scale, I^2 {result['i_squared']:.0%}"
        )
    return "; ".join(parts)


def list_remarks(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of single cohorts, and of all together, one sentence each."""
    remarks = [
        f"{one['name']}: {text}"
        for one in result["cohorts"]
        for text in (
            *one["notes"],
            *(describe_copies(one["overlap"] or {})),
            *(one["overlap"]["unchecked"] if one["overlap"] else []),
        )
    ]
    if result.get("only_train"):
        small = ", ".join(f"{name} ({count} persons)" for name, count in result["only_train"].items())
        remarks.append(f"Never left out, too few of a class or not stated; they train only: {small}.")
    return [*remarks, *([result["left_out"]] if result.get("left_out") else [])]


def list_forest(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a forest plot that have a value: ``name``, ``value``, ``low``, ``high`` and ``kind``.

    ``kind`` is "cohort", "mean" or "prediction"; a row without an interval has None for its ends.
    """
    rows = [
        {"name": f"{one['name']}, n = {one['n']}", "kind": "cohort", **_ends(one["auroc"])}
        for one in result["cohorts"]
        if one["auroc"]["value"] is not None
    ]
    if result["mean"]["value"] is not None:
        rows.append({"name": f"mean of {result['mean']['n']}", "kind": "mean", **_ends(result["mean"])})
    prediction = result["prediction_interval"]
    if interval_text(prediction["low"], prediction["high"]):
        words = "a further one (unstable)" if prediction["unstable"] else "a further one"
        rows.append({"name": words, "kind": "prediction", **_ends(prediction)})
    return rows


def _ends(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {key: figure[key] for key in ("value", "low", "high")} | {"text": value_text(figure)}
