"""A home, an exported run and an exported checkpoint as commit f7866b2 wrote them, and what its commands said of them.

``python -m tests.compat.stored_home`` asks the present checkout all the questions and prints the answers as JSON: so
``answers.json`` was made, on that commit.
"""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from core.cli.main import main
from core.models.registry import ARCHITECTURES
from core.phantom.study import make_sample_study
from core.settings import PROJECT_ROOT
from tests.training.tiny import TINY_NETWORK

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "before_rebuild"
ORIGIN = "/srv/mgmt/cohort"
"""Where the cohort lay when the runs were made."""
COHORT = ("--studies", "24", "--slices", "4", "--size", "32", "--signal", "3", "--seed", "0", "--jobs", "1")
"""How ``phantom`` makes it again."""
SCAN = "SCAN"
"""Stands in a question for the first study of the cohort."""

TINY = [
    word
    for setting in (
        "weights=none", "size_px=32", "slice_count=2", "batch_size=8", "sequences=FLAIR,T1w", "device=cpu",
        "architecture=tiny", "precision=float32", "epochs=2", "val_fraction=0.3", "test_fraction=0.3",
    )
    for word in ("--set", setting)
]  # fmt: skip
HONEST = ["DATA", "--preset", "honest", *TINY]
SEARCH = [
    *HONEST,
    "--trials",
    "2",
    "--space",
    "learning_rate=1e-4..1e-2:log",
    "--pruner",
    "none",
    "--sampler",
    "random",
]
TWIN = ["DATA", "--preset", "paper", *TINY, "--set", "slice_count=4", "--name", "pair"]
RUNS = ("finished", "whole", "interrupted", "pair-slice-split", "search-000")

QUESTIONS: dict[str, list[str]] = {
    "list the runs": ["runs", "list"],
    "list by tag": ["runs", "list", "--tag", "kept"],
    **{f"show {name}": ["runs", "show", name] for name in RUNS},
    "compare": ["runs", "compare", "finished", "whole", "search-000"],
    "compare on the test patients": ["runs", "compare", "finished", "search-000", "--part", "test"],
    "evaluate": ["evaluate", "finished"],
    "evaluate on the validation patients": ["evaluate", "whole", "--part", "val"],
    "predict": ["predict", "finished", SCAN],
    "predict with the exported checkpoint": ["predict", str(FIXTURES / "finished.safetensors"), SCAN],
    "predict with the ensemble": ["predict", "cross-validation", SCAN],
    "calibration": ["calibration", "finished"],
    "thresholds": ["thresholds", "finished"],
    "seals": ["seal", "check", "finished"],
    "search show": ["search", "show", "search"],
    "import the zip": ["runs", "import", str(FIXTURES / "finished.zip"), "--name", "imported"],
    "train again": ["train", "--from", "finished", "--set", "epochs=1", "--run", "again"],
    "optimism": ["optimism", *HONEST, "--seeds", "2"],
    "optimism, interrupted": ["optimism", *HONEST, "--seeds", "2", "--name", "optimism-half"],
    "specification": ["specification", *HONEST, "--vary", "seed", "0", "1"],
    "twin": ["twin", *TWIN],
    "permute": ["permute", *HONEST, "-n", "2"],
    "cross-validate": ["cross-validate", *HONEST, "--folds", "2"],
    "search": ["search", *SEARCH, "--judge"],
    "search, interrupted": ["search", *SEARCH, "--name", "search-half"],
}
"""What is asked, each of a fresh copy of the home."""

SHIPPED = ("demo-synthetic", "demo-synthetic-t1wce")
"""Checkpoints that come with the project; each is asked about the sample study of the Predict page."""

MACHINE = {
    "created", "imported", "queued", "started", "finished", "seconds", "seconds_left", "images_per_second", "memory_bytes",
    "gpu_memory_bytes", "minutes", "log", "bytes", "size", "modified", "date", "path", "folder", "versions",
}  # fmt: skip
"""Keys whose values belong to the machine or the moment."""
PROSE = {
    "reason",
    "method",
    "summary",
    "warnings",
    "message",
    "note",
    "notes",
    "text",
    "title",
    "remedy",
    "sentence",
    "words",
    "left_out",
}
"""Keys whose values are words for a person, which may be written better."""
FIGURE = {"value", "low", "high"}


def make_cohort(folder: Path) -> Path:
    """The cohort that the runs were trained on, made again."""
    ask(["phantom", str(folder), *COHORT], folder.parent / "nowhere")
    return folder


def unpack_home(folder: Path, cohort: Path) -> Path:
    """A copy of the stored home whose runs find the cohort where it lies now."""
    with tarfile.open(FIXTURES / "home.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*.json"):
        if "seals" not in path.parts:
            path.write_text(path.read_text().replace(ORIGIN, str(cohort)))
    return folder


def first_study(cohort: Path) -> Path:
    """The scan that is predicted."""
    return min(path for path in (cohort / "train").iterdir() if path.is_dir())


def ask(words: list[str], home: Path) -> dict[str, Any]:
    """Run one command on a home, in this process, and return its exit status and its JSON document."""
    out, errors = io.StringIO(), io.StringIO()
    environment = {"MGMT_LAB_HOME": str(home), "MGMT_LAB_THREADS": "1"}
    with mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(errors):
        status = main([*words, "--json"])
    if status:
        return {"status": status, "error": errors.getvalue()}
    return {"status": status, "document": json.loads(out.getvalue())}


def answer(name: str, home: Path, cohort: Path) -> dict[str, Any]:
    """Ask one of the questions."""
    places = {"DATA": str(cohort), SCAN: str(first_study(cohort))}
    found = ask([places.get(word, word) for word in QUESTIONS[name]], home)
    text = json.dumps(found).replace(str(home), "HOME").replace(str(cohort), "DATA").replace(str(FIXTURES), "FIXTURES")
    return dict(essence(json.loads(text)))


def predict_sample(checkpoint: str, scratch: Path) -> dict[str, Any]:
    """What a shipped checkpoint says of the sample study."""
    study = make_sample_study(scratch / "sample", seed=21, mgmt_value=1)
    text = json.dumps(ask(["predict", checkpoint, str(study)], scratch / "home"))
    return dict(essence(json.loads(text.replace(str(study), SCAN).replace(str(PROJECT_ROOT), "PROJECT"))))


def essence(document: Any) -> Any:
    """What of a document is compared: no time and no place; of words for a person, whether there are any."""
    if isinstance(document, dict):
        return {key: _essence_of(key, value) for key, value in document.items()}
    if isinstance(document, list):
        return [essence(value) for value in document]
    return float(f"{document:.6g}") if isinstance(document, float) else document


def _essence_of(key: str, value: Any) -> Any:
    if key in MACHINE:
        return None
    return bool(value) if key in PROSE else essence(value)


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where an essence lacks what an earlier one had, or says another thing; what it says besides is no difference."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if set(expected) >= FIGURE:
            # Intervals are made better, or withheld where they were not true: a figure keeps its value and its n. The AUROC of
            # the patients that chose the epoch is corrected for that in runs trained since.
            same = {"n"} if where.endswith(".val.patient.auroc") else {"value", "n"}
            expected = {name: value for name, value in expected.items() if name in same}
        lost = [f"{where}: {key} is gone" for key in expected if key not in found]
        kept = [key for key in expected if key in found]
        return lost + [line for key in kept for line in differences(expected[key], found[key], f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{where}[{index}]")]
    if expected is None and where.endswith(".best_epoch"):
        return []  # of a run that was interrupted; it says so since
    numbers = isinstance(expected, float) and isinstance(found, int | float)
    if numbers and math.isclose(expected, found, rel_tol=1e-3, abs_tol=1e-4):
        return []
    return [] if expected == found else [f"{where}: {expected!r} became {found!r}"]


if __name__ == "__main__":
    ARCHITECTURES[TINY_NETWORK.name] = TINY_NETWORK
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = make_cohort(scratch / "cohort")
        answers = {
            question: answer(question, unpack_home(scratch / f"home-{number}", data), data)
            for number, question in enumerate(QUESTIONS)
        }
        answers |= {name: predict_sample(name, scratch) for name in SHIPPED}
    lines = (f"{json.dumps(name)}: {json.dumps(found)}" for name, found in answers.items())
    print("{" + ",\n".join(lines) + "}")
