"""The referee's report as an HTML page to print or to save, and the tables that the app shows of it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.figure import estimand_of
from core.evaluation.figures import FIGURE_TITLES
from core.evaluation.thresholds import SHARES
from core.figure_text import interval_text, number_text, value_text
from core.reports.page import render_page
from core.reports.palette import LIGHT

CALIBRATION = {
    "slope": "calibration slope (1 is right)",
    "intercept": "calibration in the large (0 is right)",
    "observed_expected": "observed over expected (1 is right)",
    "ece": "expected calibration error",
}
Table = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]


def write_referee_page(result: Mapping[str, Any]) -> str:
    """Return the page of a result of :func:`core.experiments.referee.judge.judge`; every text from the table is escaped."""
    return render_page(
        "referee.html",
        estimand_of("referee"),
        result=result,
        how=describe_table(result),
        findings=list_findings(result),
        figures=list_figures(result),
        forest=_list_forest(result),
        reliability=_reliability(result),
        decision=_decision(result),
        tables=list_tables(result),
    )


def describe_table(result: Mapping[str, Any]) -> str:
    """Say which rows were judged and how, in one line."""
    kind = "probabilities" if result["is_probability"] else "scores"
    copies = f" ({result['copies']} ids are copies of others and count with them)" if result.get("copies") else ""
    return (
        f"{result['rows']} rows; judged: {result['judged']}, {result['n']} patients{copies}, "
        f"{result['positive']} of them {result['class_names'][1]}; {kind}; {result['design']}"
    )


def list_findings(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return how grave each finding is, what it says, what to do, and where."""
    return [
        (
            one["severity"],
            one["text"] + ("" if one["p"] is None else f" (p = {one['p']:.2g}, adjusted)"),
            one["remedy"],
            ", ".join(one["where"]),
        )
        for one in result["findings"]
    ]


def list_figures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of the whole, by name."""
    rows = [(FIGURE_TITLES[name], value_text(figure)) for name, figure in result["discrimination"].items()]
    calibration = result["calibration"]
    if "reason" in calibration:
        rows.append(("calibration", f"none: {calibration['reason']}"))
    rows += [(title, value_text(calibration[name])) for name, title in CALIBRATION.items() if name in calibration]
    comparison = result["comparison"] or {}
    for name, title in (("auroc", "AUROC less model B's"), ("log_loss", "log loss less model B's")):
        if name in comparison:
            rows.append((f"{title}, {comparison['how']}", value_text(comparison[name], signed=True)))
    values = result["predictive_values"]
    for name in ("positive_value", "negative_value") if values else ():
        where = f"at threshold {values['threshold']:g} where {values['prevalence']:.0%} are positive"
        rows.append((f"{SHARES[name]}, {where}", value_text(values[name])))
    bounds = result["label_error"]
    if bounds:
        rates = f"labels of sensitivity {bounds['sensitivity']:g} and specificity {bounds['specificity']:g}"
        rows.append((f"AUROC against the truth, {rates}, errors at random", value_text(bounds["at_random"])))
        worst = interval_text(bounds["lowest"], bounds["highest"])
        rows.append(("the same, whichever labels are wrong", f"{worst} ({sum(bounds['wrong'])} labels)"))
    gain = result["selection"].get("gain_by_chance")
    if gain is not None:
        tried = result["selection"]["tried"]
        rows.append((f"best of {tried}: gained by chance at most, in expectation", number_text(gain, signed=True)))
    size = result["sample_size"]
    if "needed" in size:
        needed = "; ".join(f"AUROC {area}: {count:,}" for area, count in size["needed"].items() if count)
        rows.append((f"patients needed for {size['power']:.0%} power", needed))
        area, riley = list(size["validation"].items())[-1]
        enough = "enough here" if size["n"] >= max(riley.values()) else f"{size['n']} here are fewer"
        sizes = f"calibration slope {riley['slope']:,}, O:E {riley['observed_expected']:,}, AUROC {riley['auroc']:,}"
        rows.append((f"patients to validate AUROC {area} (Riley 2021)", f"{sizes}: {enough}"))
    rows.append(("persons on both sides of a split", result["leaks"]["verdict"]))
    if "theirs" in result["leaks"]:
        rows.append(("AUROC with them", value_text(result["leaks"]["with_them"])))
        rows.append(("AUROC of them alone", value_text(result["leaks"]["theirs"])))
    return rows


def list_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables that have rows: title, header and cells."""
    parts = [
        (one["part"], str(one["n"]), number_text(one["positive_share"]), value_text(one["auroc"]))
        for one in result["parts"]
    ]
    groups = [
        (
            one["covariate"],
            one["level"],
            str(one["n"]),
            value_text(one["auroc"]),
            value_text(one["interaction"], signed=True),
        )
        for one in result["subgroups"]
    ]
    baselines = [
        (
            one["name"], value_text(one["auroc"]), number_text(one["log_loss"]), str(one["missing"]),
            number_text(one["added_auroc"], signed=True), number_text(one["added_log_loss"], signed=True),
            "–" if one["p"] is None else f"p = {one['p']:.2g}: {one['test']}",
        )
        for one in result["baselines"] if "auroc" in one
    ]  # fmt: skip
    missing = [(one["column"], f"{one['missing']} of {one['n']}") for one in result["missing"]]
    tables: list[Table] = [
        ("By part", ("part", "n", "share of positives", "AUROC"), parts),
        ("By subgroup", ("covariate", "level", "n", "AUROC", "less that of the others"), groups),
        ("What covariates predict without the image, and what it adds",
         ("baseline", "AUROC", "log loss", "missing", "AUROC added", "log loss added", "test"), baselines),
        ("Missing values; they are filled up for the baselines and are in no subgroup", ("column", "missing"), missing),
    ]  # fmt: skip
    return [one for one in tables if one[2]]


def _list_forest(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [("all", result["discrimination"]["auroc"])]
    rows += [(f"{one['covariate']}: {one['level']}, n = {one['n']}", one["auroc"]) for one in result["subgroups"]]
    return [
        {"name": name, "kind": "cohort" if number else "mean", **{key: figure[key] for key in ("value", "low", "high")}}
        for number, (name, figure) in enumerate(rows)
        if figure["value"] is not None
    ]


def _reliability(result: Mapping[str, Any]) -> dict[str, Any] | None:
    curve = result["calibration"].get("curve")
    if not curve:
        return None
    return {
        "lines": [("promise kept", LIGHT.muted, "4 3", [(0, 0), (1, 1)])],
        "dots": [(one["promised"], one["value"]) for one in curve],
        "errors": [(one["promised"], one["low"], one["high"]) for one in curve],
    }


def _decision(result: Mapping[str, Any]) -> dict[str, Any] | None:
    curve = result["net_benefit"]
    if "thresholds" not in curve:
        return None
    top = max(*curve["all"], *curve["high"], 0.05)
    bottom = -0.25 * top

    def line(name: str, values: list[float]) -> list[tuple[float, float]]:
        return [(x, y) for x, y in zip(curve["thresholds"], values, strict=True) if bottom <= y <= top]

    shown = (
        ("the model", LIGHT.accent, "", "model"),
        ("its 95% band", LIGHT.accent, "2 3", "low"),
        ("", LIGHT.accent, "2 3", "high"),
        ("everybody positive", LIGHT.methylated, "6 3", "all"),
    )
    lines = [(name, colour, dashes, line(name, curve[key])) for name, colour, dashes, key in shown]
    ends = curve["thresholds"][0], curve["thresholds"][-1]
    lines.append(("nobody positive", LIGHT.muted, "4 3", [(end, 0) for end in ends]))
    return {"lines": lines, "limits": (*ends, bottom, top)}
