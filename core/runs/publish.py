"""Publish a run's best checkpoint: one small file with every figure that was measured, and its card as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import RunError, StorageError
from core.files import write_atomic
from core.models.card import CheckpointCard, read_card, shorten_path
from core.models.card_text import describe_card
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder

NOT_PUBLISHED = ("data", "overlap")
"""Of an evaluation: the folder of a cohort on this machine, and the ids of persons who are in two."""


def publish_checkpoint(run: RunFolder, destination: Path, *, replace: bool = False) -> CheckpointCard:
    """Write a run's best checkpoint in float16, and beside it its card as Markdown.

    The card takes over what ``evaluate`` has found on the test patients and on another cohort; of several other
    cohorts the one with most patients. Nothing is evaluated here.

    Parameters
    ----------
    run
        A run with a finished epoch.
    destination
        The .safetensors file to write; its stem becomes the checkpoint's name.
    replace
        Whether a file that is there may be overwritten.

    Raises
    ------
    RunError
        The run has no checkpoint yet, or the destination is not a .safetensors file.
    StorageError
        The destination exists, or cannot be written.
    """
    if destination.suffix != ".safetensors":
        raise RunError(f"{destination} does not end in .safetensors; name it so, or others will not find it.")
    if destination.exists() and not replace:
        raise StorageError(f"{destination} exists; name another file, or remove it first.")
    if not run.checkpoint.exists():
        raise RunError(f"{run.name} has no checkpoint yet; it comes with its first finished epoch.")
    from core.models.checkpoint import load_model, save_checkpoint

    model, card = load_model(run.checkpoint)
    metrics = {**card.metrics, **_stored_evaluations(run)}
    config = card.config
    if config.weights not in ("default", "none"):  # where a file lies on this machine is nobody's business elsewhere
        config = config.model_copy(update={"weights": shorten_path(Path(config.weights))})
    card = card.model_copy(update={"name": destination.stem, "metrics": metrics, "config": config})
    save_checkpoint(destination, model.state_dict(), card, half=True)
    write_atomic(destination.with_suffix(".md"), describe_card(card))
    return read_card(destination)


def _stored_evaluations(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = {}
    test = read_evaluation(run, "test")
    if test is not None:
        found["test"] = test.to_dict()
    digests = [path.stem.removeprefix("evaluation-data-") for path in run.path.glob("evaluation-data-*.json")]
    others = [other for digest in digests if (other := read_evaluation(run, "data", digest)) is not None]
    if others:
        found["data"] = max(others, key=lambda other: len(other.patient_ids)).to_dict()
    return {
        part: {name: value for name, value in content.items() if name not in NOT_PUBLISHED}
        for part, content in found.items()
    }
