import json
from multiprocessing import get_context
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.runs.tags import RunWords, change_tags, read_tags, read_words, write_words
from core.settings import Settings


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    return RunFolder.create(settings, RunConfig(), DataSource(root="/data"), name="one")


def test_tags_are_added_and_removed(run: RunFolder) -> None:
    assert read_tags(run) == ()
    assert change_tags(run, add=["final", " seed study ", "final"]) == ("final", "seed study")
    assert change_tags(run, add=["B"], remove=["final", "never there"]) == ("B", "seed study")
    assert read_tags(run) == ("B", "seed study")


@pytest.mark.parametrize("tag", ["", "  ", "a,b", "x" * 41, "new\nline", "\u202e"])
def test_what_cannot_be_a_tag_is_refused_and_the_others_stay(run: RunFolder, tag: str) -> None:
    change_tags(run, add=["kept"])
    with pytest.raises(RunError, match="cannot be a tag"):
        change_tags(run, add=["fine", tag])
    assert read_tags(run) == ("kept",)


def test_there_may_be_twenty_and_no_more(run: RunFolder) -> None:
    change_tags(run, add=[f"tag {number}" for number in range(20)])
    with pytest.raises(RunError, match="21 tags are more than the 20"):
        change_tags(run, add=["one more"])


@pytest.mark.parametrize("content", ["{", '"text"', "[1]", '["a,b"]', "[" * 100_000, "\x00"])
def test_damage_counts_as_no_tags(run: RunFolder, content: str) -> None:
    (run.path / "tags.json").write_text(content)
    assert read_tags(run) == ()
    assert change_tags(run, add=["new"]) == ("new",)


def test_the_trainers_status_is_left_alone(run: RunFolder) -> None:
    before = (run.path / "status.json").read_bytes()
    change_tags(run, add=["a"])
    assert (run.path / "status.json").read_bytes() == before
    assert json.loads((run.path / "tags.json").read_text()) == ["a"]


def add_five(path: Path, letter: str) -> None:
    for number in range(5):
        change_tags(RunFolder(path), add=[f"{letter}{number}"])


def test_two_processes_lose_no_tag_of_each_other(run: RunFolder) -> None:
    context = get_context("fork")
    workers = [context.Process(target=add_five, args=(run.path, letter)) for letter in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert read_tags(run) == tuple(f"{letter}{number}" for letter in "ab" for number in range(5))


def test_a_name_and_a_note_replace_those_before_and_the_first_note_until_then(run: RunFolder) -> None:
    run.write_status(run.status().model_copy(update={"note": "as started"}))
    assert read_words(run) == RunWords(note="as started")
    write_words(run, " Mine ", "")
    assert read_words(run) == RunWords(name="Mine", note="")
    with pytest.raises(RunError, match="80 characters"):
        write_words(run, "x" * 81, "")
    (run.path / "words.json").write_text('{"name": ["' + "[" * 5000)
    assert read_words(run) == RunWords(note="as started")
