"""Every command that the README and docs/ show exists, and does what it is shown for."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from core.cli.main import build_parser
from core.settings import PROJECT_ROOT
from tests.compat.stored_home import TINY, ask, first_study, make_cohort, unpack_home
from tests.experiments.referee.tables import draw_table

PAGES = (PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md")))
README = "\n".join(page.read_text() for page in PAGES)
COMMANDS = sorted({
    line.split("#")[0].strip() for line in README.splitlines() if line.startswith("python -m core ")
})  # fmt: skip
BENCHMARKS = sorted(set(re.findall(r"`python (benchmarks/[^`]+)`", README)))
TRAINING = {
    "train",
    "twin",
    "permute",
    "optimism",
    "specification",
    "search",
    "cross-validate",
    "leave-one-cohort-out",
    "positive-control",
    "study",
}
SMALLER = {
    "phantom": ["--studies", "2", "--slices", "4", "--size", "32"],
    "search": ["--trials", "1", "--parallel", "1"],
    "cross-validate": ["--folds", "2", "--seeds", "1"],
    "optimism": ["--seeds", "1"],
    "positive-control": ["--folds", "2"],
    "study": ["--size", "tiny"],
    "maps": ["--studies", "2"],
    "prepare": ["--set", "size_px=32"],
    "shortcuts": ["--permutations", "2"],
}


def words_of(command: str) -> list[str]:
    """The words behind ``python -m core``."""
    return shlex.split(command)[3:]


def test_the_commands_are_found() -> None:
    assert len(COMMANDS) > 25
    assert len(BENCHMARKS) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link.split("#")[0]).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_is_understood(command: str) -> None:
    build_parser().parse_args(words_of(command))


@pytest.mark.parametrize("command", BENCHMARKS)
def test_a_benchmark_of_the_readme_has_the_options(command: str) -> None:
    script, *words = shlex.split(command)
    source = (PROJECT_ROOT / script).read_text()
    assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == []


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twenty-four synthetic patients, and a few others."""
    folder = tmp_path_factory.mktemp("readme")
    other = ["phantom", str(folder / "other"), "--studies", "8", "--slices", "4", "--size", "32", "--seed", "1"]
    assert ask(other, folder / "nowhere")["status"] == 0
    return {"DATA": make_cohort(folder / "cohort"), "OTHER": folder / "other"}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(
    command: str, cohorts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = unpack_home(tmp_path / "home", cohorts["DATA"])
    shutil.rmtree(home / "experiments")  # so that their names are free
    predictions = tmp_path / "predictions.csv"
    draw_table(60).assign(sex=["M", "F", "F"] * 20).to_csv(predictions, index=False)
    places = {
        **cohorts,
        "SCAN": first_study(cohorts["DATA"]),
        "RUN": "finished",
        "CHECKPOINT": "finished",
        "PREDICTIONS.csv": predictions,
    }
    words = [str(places.get(word, word)) for word in words_of(command.replace("RUN RUN", "RUN whole"))]
    words += SMALLER.get(words[0], []) + (TINY if words[0] in TRAINING and "--from" not in words else [])
    words += ["--steps", "orient"] if "raw" in words else []  # these heads are stripped, and of four slices
    found = ask(words, home)
    assert found["status"] == 0, found
