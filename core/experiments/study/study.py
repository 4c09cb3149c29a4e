"""The whole study of a cohort: one question, resumable, with every step's answer kept as it comes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from core.experiments.external.parameters import digest_file
from core.experiments.study.steps import STEPS, Context, take_step
from core.files import parse_document, read_document, write_atomic
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.settings import Settings
from core.training.time_estimate import estimate_seconds


def conduct_study(
    experiment: Experiment, question: Question, options: RunOptions, settings: Settings, display: Display
) -> dict[str, Any]:
    """Take every step that is missing, in an order that spends no test patient before the last but one.

    A step that could not be asked is tried again by the next call; the others are kept.

    Returns
    -------
    dict
        ``steps`` by name, each with ``title``, ``sentence``, ``seconds`` and ``failed`` where it could not be asked;
        ``cannot``, what such data cannot show; ``areas``, AUROCs by whose they are; ``run``, ``sha256`` of its checkpoint;
        ``sentence``.

    Raises
    ------
    KeyboardInterrupt
        Somebody stopped it; the same call resumes it.
    MGMTLabError
        The cohort cannot be split, or the run not be trained.
    """
    context = Context(experiment=experiment, question=question, options=options, settings=settings, display=display)
    progress = display.progress("steps")
    found: dict[str, dict[str, Any]] = {}
    for number, step in enumerate(STEPS):
        if experiment.stop_file.exists():
            raise KeyboardInterrupt
        left = _say_left(context, found)
        progress(number, len(STEPS), f"{step.title}{left}")
        kept = experiment.folder / "steps" / f"{step.name}.json"
        content = _read(kept)
        if content is None:
            started = time.monotonic()
            content = {"title": step.title, **take_step(step, context), "seconds": time.monotonic() - started}
            if not content.get("failed"):
                kept.parent.mkdir(exist_ok=True)
                write_atomic(kept, json.dumps(content, indent=1))
        found[step.name] = content
    progress(len(STEPS), len(STEPS), "")
    areas = {name: area for step in found.values() for name, area in step.get("areas", {}).items()}
    return {
        "sentence": f"{found['final']['sentence']}. {found['folds']['sentence']}",
        "size": context.parameters.size,
        "synthetic": found["audit"].get("synthetic", False),
        "steps": found,
        "areas": areas,
        "cannot": _list_cannot(found, context),
        "run": str(context.run.path),
        "sha256": digest_file(context.run.checkpoint),
        "trainings": context.amount.trainings,
    }


def _list_cannot(found: dict[str, dict[str, Any]], context: Context) -> list[str]:
    """What these data cannot show, a sentence each."""
    lacking = [f"{step['title']}: {step['sentence']}" for step in found.values() if step.get("failed")]
    covariates = found["audit"].get("covariates", [])
    if found["audit"].get("synthetic"):
        lacking.append("Anything of real patients: the cohort is synthetic.")
    if not {"age", "sex"} & set(covariates):
        lacking.append("What the image adds to age and sex: no table of the cohort has them.")
    if "site" not in covariates:
        lacking.append("Whether it holds from site to site: no site is stated.")
    if context.parameters.size != "full":
        lacking.append(f"What the preset at its full size reaches: this is --size {context.parameters.size}.")
    return lacking


def _say_left(context: Context, found: dict[str, dict[str, Any]]) -> str:
    """How long the trainings that are left may take; from the epochs that were timed, else from the network's size."""
    if "seal" not in found or "final" in found:
        return ""
    name, settings = context.experiment.name, context.settings
    runs = [*settings.runs.glob(f"{name}*/epochs.jsonl"), *settings.experiments.glob(f"{name}-*/**/epochs.jsonl")]
    seconds = [
        parse_document(line)["seconds"] for path in runs for line in path.read_text().splitlines() if line.endswith("}")
    ]
    epochs = context.amount.trainings * context.question.config.epochs
    if seconds:
        left = (epochs - len(seconds)) * sum(seconds) / len(seconds)
    else:
        persons = len(context.split.train) + len(context.split.val)
        prep = context.question.config.prep
        slices = persons * prep.slice_count * (1 if prep.combines else len(prep.sequences))
        left = estimate_seconds(context.question.config, slices, context.amount.trainings, settings.threads)
    if left is None:
        return ""
    return f"; about {max(1, round(max(0.0, left) / 60))} min of training left"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = read_document(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
