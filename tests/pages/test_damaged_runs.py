"""A damaged run is shown as damaged, with the reason, and never ends a page; the whole runs beside it stay of use."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.runs.folder import list_runs
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run
from tests.pages.reading import App, words

DEEP, LONG = b"[" * 100_000, b'{"epochs": ' + b"1" * 5000 + b"}"
TYPES = b'{"epochs": {}, "root": [], "versions": [], "train": 3, "unit": [], "part": {}, "labels": 1}'
WIDE = b'"' + b"x" * 200_000 + b'"'
"""More than a field of a CSV may hold."""
FOLDER = None
DAMAGES: dict[str, dict[str, bytes | None]] = {
    "config.json": {"long": LONG, "folder": FOLDER, "wide": WIDE},
    "data.json": {"types": TYPES, "empty": b""},
    "environment.json": {"deep": DEEP, "types": TYPES},
    "status.json": {"list": b"[1, 2]", "folder": FOLDER},
    "split.json": {"deep": DEEP, "types": TYPES},
    "epochs.jsonl": {"deep": DEEP, "folder": FOLDER},
    "predictions.parquet": {"cut": b"PAR1 cut", "folder": FOLDER, "empty": b""},
    "best.safetensors": {"cut": b"\x10\0\0\0", "folder": FOLDER},
    "evaluation-test.json": {"types": TYPES, "long": LONG},
    "persons.json": {"list": b"[1, 2]"},
    "tags.json": {"wide": WIDE},
    "words.json": {"types": b'{"name": [], "note": {}}'},
}
"""Files of a run, and what each is replaced with; None is a folder of its name."""
LISTED = ("config.json", "data.json", "environment.json", "status.json")
"""Without these a run is none: the list says what is wrong."""


@pytest.fixture
def damaged(home: Settings) -> dict[str, str]:
    """Copies of a whole run, each with one file damaged: the file by the run's name."""
    whole, made = make_judged_run(home, "whole"), {}
    for file, kinds in DAMAGES.items():
        for kind, content in kinds.items():
            run = home.runs / f"{kind}-{file.replace('.', '-')}"
            shutil.copytree(whole.path, run)
            (run / file).unlink(missing_ok=True)
            if content is None:
                (run / file).mkdir()
            else:
                (run / file).write_bytes(content)
            made[run.name] = file
    return made


def test_the_list_says_which_file_is_damaged(home: Settings, damaged: dict[str, str]) -> None:
    found = {entry.run.name: entry.status for entry in list_runs(home)}
    assert found["whole"].state == "finished"
    for name, file in damaged.items():
        assert (found[name].state == "failed", file in found[name].message) == (file in LISTED, file in LISTED), name


def walk(
    open_app: App, page: str, names: dict[str, str], choose: Callable[[AppTest, str], None]
) -> dict[str, tuple[str, AppTest]]:
    """Choose each run on one open page; return what it says of each."""
    app, said = open_app(page), {}
    for name in names:
        choose(app, name)
        app.run()
        assert not app.exception, (page, name, app.exception[0].message)
        said[name] = words(app)
    return said


@pytest.mark.parametrize("page", ["runs.py", "train.py"])
def test_a_page_of_one_run_says_what_is_damaged(open_app: App, damaged: dict[str, str], page: str) -> None:
    for name, file in damaged.items():
        app = open_app(page, query={"run": name})
        assert not app.exception, (name, app.exception[0].message)
        if file in (*LISTED, *(("predictions.parquet", "best.safetensors") if page == "runs.py" else ())):
            assert file in words(app), (name, words(app))


def test_a_comparison_of_a_damaged_run_says_so(open_app: App, damaged: dict[str, str]) -> None:
    names = {name: file for name, file in damaged.items() if file != "epochs.jsonl"}  # which has no epoch to compare

    def choose(app: AppTest, name: str) -> None:
        app.multiselect(key="compare.runs").set_value([name, "whole"])

    for name, text in walk(open_app, "compare.py", names, choose).items():
        if damaged[name] in ("config.json", "data.json", "predictions.parquet"):
            assert damaged[name] in text, (name, text)


@pytest.mark.parametrize("section", ["calibration", "claim"])
def test_validity_bears_a_damaged_run(open_app: App, damaged: dict[str, str], section: str) -> None:
    names = {name: file for name, file in damaged.items() if file != "best.safetensors" or "folder" not in name}

    def choose(app: AppTest, name: str) -> None:
        app.query_params["section"] = section
        for box in app.selectbox:
            if box.label == "Run":
                box.set_value(name)

    for name, text in walk(open_app, "validity.py", names, choose).items():
        if damaged[name] == "predictions.parquet" and section == "calibration":
            assert damaged[name] in text, (name, text)


@pytest.mark.parametrize(
    "page",
    [
        "home.py",
        "predict.py",
        "cohort.py",
        "paper.py",
        "sweeps.py",
        "cross_validation.py",
        "external.py",
        "validity.py",
    ],
)
def test_no_list_ends_at_a_damaged_run(open_app: App, damaged: dict[str, str], page: str) -> None:
    app = open_app(page)
    assert not app.exception
    if page == "predict.py":
        (checkpoints,) = (box.options for box in app.selectbox if box.label == "Checkpoint")
        unread = [option.split(" ")[0] for option in checkpoints if "cannot be read" in option]
        assert sorted(unread) == [name for name in sorted(damaged) if damaged[name] == "best.safetensors"]
