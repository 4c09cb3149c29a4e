"""What torchrun, or another launcher, says of the processes that it starts: read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from core.errors import ConfigError


def asked_size(environ: Mapping[str, str] | None = None) -> int:
    """How many processes torchrun was asked for; 1 without it. Raises ConfigError where WORLD_SIZE is no number."""
    text = (os.environ if environ is None else environ).get("WORLD_SIZE") or "1"
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"WORLD_SIZE is {text!r}, not a number of processes; start with torchrun, or unset it.")
    return int(text)


def local_size() -> int:
    """How many of them are on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if asked_size() > 1 and "LOCAL_WORLD_SIZE" in os.environ else 1


def is_follower(environ: Mapping[str, str] | None = None) -> bool:
    """Whether torchrun started this process as another than the first."""
    return int((os.environ if environ is None else environ).get("RANK") or 0) > 0 and asked_size(environ) > 1


def check_launcher(environ: Mapping[str, str] | None = None) -> None:
    """Refuse a launcher that was asked for several processes and started one.

    Seen with ``accelerate launch --cpu --num_processes 2``: it names a meeting point, starts a single process without
    WORLD_SIZE, and returns 0.

    Raises
    ------
    ConfigError
        A meeting point is named, and no number of processes; or a variable of torchrun is missing.
    """
    env = os.environ if environ is None else environ
    if "WORLD_SIZE" not in env and {"MASTER_ADDR", "MASTER_PORT"} <= set(env):
        raise ConfigError(
            "MASTER_ADDR and MASTER_PORT say that several processes meet, but WORLD_SIZE is not set: this one would "
            "train alone (accelerate launch --cpu starts only one). Use torchrun --nproc_per_node N -m core train ..., "
            "or unset the two to train in one process."
        )
    missing = {"RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} - set(env)
    if asked_size(env) > 1 and missing:
        raise ConfigError(
            f"WORLD_SIZE is {env['WORLD_SIZE']}, but {', '.join(sorted(missing))} are not set; start with torchrun, or "
            "unset WORLD_SIZE to train in one process."
        )


def resume_command(run_path: object, size: int) -> str:
    """Return the command that resumes a run of so many processes."""
    launcher = "python" if size == 1 else f"torchrun --nproc_per_node {size}"
    return f"{launcher} -m core runs resume {run_path}"
