"""Where things live and how much is accepted: everything an operator may set, read from the environment.

============================  ==========================================  ======================
variable                      meaning                                     default
============================  ==========================================  ======================
``MGMT_LAB_HOME``             folder of cache, runs, own checkpoints      the project's folder
``MGMT_LAB_MODE``             ``local`` or ``hosted``                     hosted on a HF Space
``MGMT_LAB_THREADS``          CPU threads this process may use            the CPUs it may run on
``MGMT_LAB_JOBS``             runs of the queue that train side by side    1
``MGMT_LAB_UPLOAD_MB``        bytes one upload may hold, unpacked too     2000 (hosted: 500)
``MGMT_LAB_UPLOAD_FILES``     files one upload may hold                   5000 (hosted: 2000)
``MGMT_LAB_FILE_MEGAPIXELS``  2**20 pixels that one file may hold         256 (hosted: 32)
``MGMT_LAB_HOSTED_EPOCHS``    epochs a hosted visitor may train           5
``MGMT_LAB_HOSTED_STUDIES``   studies a hosted visitor may synthesise     40
``MGMT_LAB_HOSTED_RUNS``      runs a visitor may have waiting or training  2
``MGMT_LAB_HOSTED_QUEUE``     and all visitors together                   8
``MGMT_LAB_HOSTED_MINUTES``   minutes after which a run is stopped        30
``MGMT_LAB_HOSTED_CACHE_MB``  disk for what visitors made and prepared    5000
``MGMT_LAB_TOKEN``            what a browser must show once, as Jupyter   none
                              asks for its token; ``auto`` makes one
``MGMT_LAB_PACS``             rules (TOML) of the page "From a PACS"       none
``SPACE_ID``                  set by Hugging Face: hosted, in its frame   none
============================  ==========================================  ======================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[1]

MEBIBYTE = 1024 * 1024
LAST_PORT = 65535
"""The largest number of a TCP port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One installation's folders and limits; build it with :func:`load_settings`."""

    home: Path
    mode: Literal["local", "hosted"]
    threads: int
    upload_bytes: int
    upload_files: int
    hosted_epochs: int
    hosted_studies: int
    hosted_runs: int = 2
    hosted_queue: int = 8
    hosted_minutes: int = 30
    hosted_cache_bytes: int = 5000 * MEBIBYTE
    start_token: str = ""
    """What a browser must show once before the app answers it; "auto" makes one at each start, and nothing asks for none."""
    pacs_rules: Path | None = None
    """The rules that the page of a DICOMweb server begins with; a hosted demo has the page for these alone."""
    framed: bool = False
    """Whether Hugging Face shows the app in a frame of its own page."""
    jobs: int = 1
    """Runs of the queue that train side by side; they share the threads."""
    file_pixels: int = 256 * 1024 * 1024
    """Pixels (rows x columns x frames) that one DICOM file, NIfTI volume or image may claim."""
    header_bytes: int = 64 * MEBIBYTE
    """Bytes that a deflated data set or a gzip may inflate to before it is refused, for a header."""

    @property
    def series_pixels(self) -> int:
        """Voxels that the files of one handed-in series may have in all."""
        return 3 * self.file_pixels

    @property
    def hosted(self) -> bool:
        """Whether strangers use this installation."""
        return self.mode == "hosted"

    @property
    def cache(self) -> Path:
        """Prepared arrays and synthetic cohorts; can be deleted at any time."""
        return self.home / "cache"

    @property
    def runs(self) -> Path:
        """One folder per training run."""
        return self.home / "runs"

    @property
    def experiments(self) -> Path:
        """One folder per question that takes many runs."""
        return self.home / "experiments"

    @property
    def seals(self) -> Path:
        """Plans that were hashed and dated before their test patients were evaluated."""
        return self.home / "seals"

    @property
    def checkpoints(self) -> Path:
        """The user's own checkpoints."""
        return self.home / "checkpoints"

    @property
    def shipped_checkpoints(self) -> Path:
        """The checkpoints that come with the project."""
        return PROJECT_ROOT / "checkpoints"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables.

    Parameters
    ----------
    environ
        The environment; ``os.environ`` by default.

    Raises
    ------
    ConfigError
        A variable holds something that is not understood.
    """
    env = os.environ if environ is None else environ
    mode = env.get("MGMT_LAB_MODE") or ("hosted" if env.get("SPACE_ID") else "local")
    if mode not in ("local", "hosted"):
        raise ConfigError(f"MGMT_LAB_MODE is {mode!r}; set it to 'local' or 'hosted'.")
    hosted = mode == "hosted"
    return Settings(
        home=Path(env.get("MGMT_LAB_HOME") or PROJECT_ROOT).expanduser().resolve(),
        mode="hosted" if hosted else "local",
        threads=_positive(
            env,
            "MGMT_LAB_THREADS",
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ),
        hosted_runs=_positive(env, "MGMT_LAB_HOSTED_RUNS", 2),
        hosted_queue=_positive(env, "MGMT_LAB_HOSTED_QUEUE", 8),
        hosted_minutes=_positive(env, "MGMT_LAB_HOSTED_MINUTES", 30),
        hosted_cache_bytes=_positive(env, "MGMT_LAB_HOSTED_CACHE_MB", 5000) * MEBIBYTE,
        start_token=env.get("MGMT_LAB_TOKEN", ""),
        pacs_rules=Path(env["MGMT_LAB_PACS"]).expanduser() if env.get("MGMT_LAB_PACS") else None,
        framed="SPACE_ID" in env,
        jobs=_positive(env, "MGMT_LAB_JOBS", 1),
        upload_bytes=_positive(env, "MGMT_LAB_UPLOAD_MB", 500 if hosted else 2000) * MEBIBYTE,
        upload_files=_positive(env, "MGMT_LAB_UPLOAD_FILES", 2000 if hosted else 5000),
        file_pixels=_positive(env, "MGMT_LAB_FILE_MEGAPIXELS", 32 if hosted else 256) * MEBIBYTE,
        header_bytes=(16 if hosted else 64) * MEBIBYTE,
        hosted_epochs=_positive(env, "MGMT_LAB_HOSTED_EPOCHS", 5),
        hosted_studies=_positive(env, "MGMT_LAB_HOSTED_STUDIES", 40),
    )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{name} is {text!r}; set it to a whole number of 1 or more, or leave it out.")
    return int(text)
