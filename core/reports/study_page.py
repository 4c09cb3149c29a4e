"""The report of a whole study as one HTML page, with its claim sheet and its JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.errors import RunError
from core.evaluation.figure import estimand_of
from core.experiments.claim_sheet import gather_claim
from core.figure_text import value_text
from core.files import write_atomic
from core.jobs.experiment import Experiment
from core.reports.claim_page import write_claim_page
from core.reports.page import render_page
from core.runs.folder import RunFolder
from core.settings import Settings


def write_study(experiment: Experiment, settings: Settings) -> list[str]:
    """Write a finished study's report, claim sheet and JSON into its folder, and return the files.

    Raises
    ------
    RunError
        It is not finished.
    """
    result = experiment.result()
    if result is None:
        raise RunError(f"{experiment.name} is not finished; resume the study.")
    sheet = gather_claim(RunFolder(settings.runs / experiment.name), settings)
    document = {"name": experiment.name, **result, "claim": sheet.to_dict()}
    contents = {
        "study.html": write_study_page(experiment.name, result),
        "study.json": json.dumps(document, indent=1),
        "claim.html": write_claim_page(sheet),
    }
    for name, content in contents.items():
        write_atomic(experiment.folder / name, content)
    return [str(experiment.folder / name) for name in contents]


def write_study_page(name: str, result: Mapping[str, Any]) -> str:
    """Return the page; every text from elsewhere is escaped."""
    rows = [
        {"name": f"{title}, n = {area['n']}", "kind": "cohort", **area}
        for title, area in result["areas"].items()
        if area["value"] is not None
    ]
    figures = [(title, value_text(area), area["n"], area.get("method", "")) for title, area in result["areas"].items()]
    steps = [(step["title"], step["sentence"], f"{step['seconds']:.0f} s") for step in result["steps"].values()]
    null = sorted(result["steps"]["permutation"].get("null", []))
    return render_page(
        "study.html", estimand_of("study"), name=name, result=result, rows=rows, figures=figures, steps=steps, null=null,
        flow=result["steps"]["audit"].get("flow", []),
        observed=result["steps"]["permutation"].get("observed", {}).get("value"),
        minutes=sum(step["seconds"] for step in result["steps"].values()) / 60,
    )  # fmt: skip
