"""The positive control: the same pipeline on another target of the same persons, which can be found.

A pipeline that cannot find what can be found says nothing by finding nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.data.synthetic import SYNTHETIC_FILE
from core.errors import ConfigError
from core.evaluation.figure import Figure
from core.experiments.evidence import list_answers
from core.experiments.folds import candidates
from core.experiments.folds.candidates import CrossValidationParameters
from core.experiments.folds.cross_validation import cross_validate
from core.experiments.study.parameters import PositiveParameters
from core.figure_text import value_text
from core.jobs.experiment import Display, Experiment, Part, Question, RunOptions
from core.phantom.truth import TRUTH_FILE
from core.runs.records import DataSource
from core.settings import Settings

OEDEMA = ("oedema_mm", 9.0)
"""The synthetic cohort's second trait and the middle of its range."""


def choose_positive(parameters: PositiveParameters, source: DataSource) -> PositiveParameters:
    """Return the positive control of a cohort: the target that a person names or, of a synthetic cohort, its second trait.

    Raises
    ------
    ConfigError
        Nobody names one, and the cohort is not synthetic, or too old to have the second trait.
    """
    if parameters.target:
        return parameters
    root = Path(source.root)
    home = next((one for one in (root, root.parent) if (one / SYNTHETIC_FILE).is_file()), None)
    truth = None if home is None else home / TRUTH_FILE
    if truth is None or not truth.is_file() or OEDEMA[0] not in truth.read_text().partition("\n")[0].split(","):
        raise ConfigError(
            "Name another target of the same persons that images can show, such as --control-target IDH --control-positive "
            "mutant; without it, finding nothing says nothing."
        )
    return parameters.model_copy(
        update={"target": OEDEMA[0], "positive": None, "cutoff": OEDEMA[1], "labels": str(truth.resolve())}
    )


def control_positively(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Cross-validate the same configuration on both targets of the same persons.

    Returns
    -------
    dict
        ``sentence``, ``found``, ``target``; ``control`` and ``own``, the AUROC by patient of either, and ``patients``.
    """
    parameters = choose_positive(PositiveParameters(**question.parameters), question.source)
    dealt = CrossValidationParameters(folds=parameters.folds).model_dump()
    results: dict[str, dict[str, Any]] = {}
    for name, source in (("own", question.source), ("control", parameters.apply(question.source))):
        asked = question.model_copy(update={"kind": candidates.KIND, "parameters": dealt, "source": source})
        part: Experiment = Part(experiment.folder / name, experiment.stop_file)
        known = part if part.result() else _find_answered(asked, settings)
        if known is None:
            part.folder.mkdir(parents=True, exist_ok=True)
            part.write_result(cross_validate(part, asked, options, settings, display))
        part = known or part
        results[name] = part.result() or {}
        if name == "own":
            experiment.write_split(part.members()[0].split())
    control, own = (Figure(**results[name]["patient"]["auroc"]) for name in ("control", "own"))
    found = control.low is not None and control.low > 0.5
    verdict = (
        "The same pipeline finds what can be found"
        if found
        else "The same pipeline does not find even this, so that finding nothing says nothing"
    )
    return {
        "sentence": f"{verdict}: {parameters.target}, AUROC by patient {value_text(control)}, n = {control.n}; the target itself "
        f"{value_text(own)}, n = {own.n}",
        "found": found,
        "target": parameters.target,
        "control": control.to_dict(),
        "own": own.to_dict(),
    }


def _find_answered(asked: Question, settings: Settings) -> Experiment | None:
    """The cross-validation of its own that asks the same, if there is one."""
    for answer in list_answers(settings, candidates.KIND):
        question = answer.question
        if (question.parameters, question.config, question.source) == (asked.parameters, asked.config, asked.source):
            return answer.experiment
    return None
