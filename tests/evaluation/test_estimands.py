"""What a figure estimates stands beside it: in every answer, on every printed page, on every page of the app that shows one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from core.cli.output import Outcome, state_estimand
from core.evaluation.figure import ESTIMAND_OF, ESTIMANDS, estimand_of
from core.experiments.run import KINDS
from core.reports.page import TEMPLATES
from ui.validity.sections import SECTIONS

ROOT = Path(__file__).parents[2]
SHOWS_NO_FIGURE_OF_SCANS = {"power", "seal", "intervals", "audit"}


def test_every_kind_of_question_says_what_its_figures_estimate() -> None:
    assert set(KINDS) <= set(ESTIMAND_OF)
    for kind in ESTIMAND_OF:
        assert re.search("checkpoint|network|procedure|prediction", estimand_of(kind))


@pytest.mark.parametrize(
    "command", ["evaluate", "leak_meter", "permute", "cross_validate", "referee", "twin", "list_all"]
)
def test_a_command_prints_it_once_in_either_form(command: str) -> None:
    said = state_estimand(Outcome(document={"auroc": 0.7}, lines=["AUROC 0.700"]), command)
    assert isinstance(said.document, dict)
    assert said.document["estimand"] in ESTIMANDS.values()
    assert list(said.lines) == ["AUROC 0.700", said.document["estimand"]]
    stored = state_estimand(Outcome(document={"estimand": "kept"}, lines=[]), command)
    assert stored.document == {"estimand": "kept"}


def test_a_command_without_figures_prints_none() -> None:
    outcome = Outcome(document={"runs": []}, lines=["none"])
    assert state_estimand(outcome, "tag") is outcome
    assert json.dumps(outcome.document) == '{"runs": []}'


def test_every_report_has_it_at_its_end() -> None:
    templates = [
        name
        for name in TEMPLATES.list_templates()
        if name.endswith(".html") and name not in ("base.html", "macros.html")
    ]
    assert len(templates) >= 6
    for name in templates:
        assert '{% extends "base.html" %}' in Path(TEMPLATES.get_template(name).filename or "").read_text()
    base = TEMPLATES.from_string('{% extends "base.html" %}').render(policy="", estimand=estimand_of("study"))
    assert ESTIMANDS["study"] in base


def test_the_pages_have_it_where_they_show_figures() -> None:
    assert {section.name for section in SECTIONS if not section.estimand} == SHOWS_NO_FIGURE_OF_SCANS
    for folder in ("compare", "external", "folds", "paper", "referee", "runs", "sweeps"):
        texts = [path.read_text() for path in (ROOT / "ui" / folder).glob("*.py")]
        assert any("estimand_of(" in text or "ESTIMANDS[" in text for text in texts), folder
