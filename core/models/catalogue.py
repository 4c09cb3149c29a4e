"""Which checkpoints there are, and which of them a name means; readable without torch."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from core.errors import CheckpointError
from core.models.card import BEST, ENSEMBLE
from core.settings import Settings

SHIPPED = "demo-"
"""Prefix of the project's own checkpoints; any other file in their folder was put there by the user."""


def list_checkpoints(settings: Settings) -> list[Path]:
    """List the shipped checkpoints by name, then the user's own, the best of each run and the ensembles, newest first."""
    beside_shipped = set(settings.shipped_checkpoints.glob("*.safetensors"))
    shipped = sorted((path for path in beside_shipped if path.name.startswith(SHIPPED)), key=lambda path: path.stem)
    own = {
        *beside_shipped,
        *settings.checkpoints.glob("*.safetensors"),
        *settings.runs.glob(f"*/{BEST}"),
        *settings.experiments.glob(f"*/{ENSEMBLE}"),
    }
    return [*shipped, *_newest_first(own.difference(shipped))]


def find_checkpoint(name: str, settings: Settings) -> Path:
    """Turn a name, a run's name, a run folder or a file into a checkpoint's path.

    A name is compared with what exists, never built into a path. What is not a known name is taken as a path on this
    machine: a caller that serves hosted visitors checks names against :func:`list_checkpoints` first.

    Raises
    ------
    CheckpointError
        Nothing of that name exists (the nearest are named), or the run has no checkpoint yet.
    """
    known: dict[str, Path] = {}
    for path in list_checkpoints(settings):
        known.setdefault(checkpoint_name(path), path)
    wanted = name.removesuffix(".safetensors")
    if wanted in known:
        return known[wanted]
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        for kept in (BEST, ENSEMBLE):
            if (path / kept).is_file():
                return path / kept
        is_folder = bool(name) and path.is_dir()
        is_run = name in {folder.name for folder in settings.runs.glob("*/")}
        is_run |= is_folder and (path / "config.json").is_file()
    except (OSError, RuntimeError):  # too long a name; the home of a user who does not exist
        is_run = is_folder = False
    if is_run:
        raise CheckpointError(
            f"{name} has no {BEST} yet; wait until its first epoch has ended, or name another checkpoint."
        )
    if is_folder:
        raise CheckpointError(f"{name} is a folder without a checkpoint; name a .safetensors file or a run's folder.")
    near = get_close_matches(wanted, known, n=3) or list(known)[:5]
    remedy = (
        f"There are: {', '.join(near)}." if near else "Train one (python -m core train), or name a .safetensors file."
    )
    raise CheckpointError(f"There is no checkpoint {name!r}. {remedy}")


def checkpoint_name(path: Path) -> str:
    """Name by which a checkpoint is listed and found: its run's or experiment's, or the file's without its ending."""
    return path.parent.name if path.name in (BEST, ENSEMBLE) else path.stem


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (-path.stat().st_mtime, path.name))
