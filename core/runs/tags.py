"""What a person writes on a run: ``tags.json`` and ``words.json`` in its folder, which any process may change."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import DocumentError, RunError
from core.files import read_document, storage_errors, write_atomic
from core.runs.folder import RunFolder
from core.runs.lock import hold_lock

LONGEST_TAG = 40
"""Characters."""
MOST_TAGS = 20
LONGEST_NAME, LONGEST_NOTE = 80, 500


class RunWords(BaseModel):
    """A person's own words on a run. Its folder keeps its name: addresses, experiments and the ledger know it by that."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""


def read_words(run: RunFolder) -> RunWords:
    """Return a run's name and note: the note that it was started with until another is written. Never raises."""
    try:
        return RunWords.model_validate(read_document(run.path / "words.json"))
    except (OSError, DocumentError, ValidationError):
        return RunWords(note=run.status().note[:LONGEST_NOTE])


def write_words(run: RunFolder, name: str, note: str) -> RunWords:
    """Name a run and write a note on it, in place of those before; the last of several writers stays.

    Raises
    ------
    RunError
        One is too long.
    StorageError
        It cannot be written.
    """
    try:
        words = RunWords(name=name, note=note)
    except ValidationError as error:
        raise RunError(f"A name has up to {LONGEST_NAME} characters, a note {LONGEST_NOTE}; shorten it.") from error
    with storage_errors(run.path / "words.json"):
        write_atomic(run.path / "words.json", words.model_dump_json())
    return words


def read_tags(run: RunFolder) -> tuple[str, ...]:
    """Return a run's tags, sorted; none where the file is damaged. Never raises."""
    try:
        content = read_document(run.path / "tags.json")
        return check_tags(content)
    except (OSError, DocumentError, RunError):
        return ()


def change_tags(run: RunFolder, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
    """Add and remove tags, safely against other processes; return those that the run has now.

    Raises
    ------
    RunError
        A tag cannot be used, or there would be too many.
    RunBusyError
        Others write at the same time and do not come to an end.
    StorageError
        It cannot be written.
    """
    new, gone = check_tags(list(add)), {tag.strip() for tag in remove}
    with (
        storage_errors(run.path / "tags.json"),
        hold_lock(run.path / ".tags.lock", f"The tags of {run.name} are busy; try again."),
    ):
        tags = check_tags([tag for tag in (*read_tags(run), *new) if tag not in gone])
        write_atomic(run.path / "tags.json", json.dumps(tags))
    return tags


def check_tags(tags: object) -> tuple[str, ...]:
    """Return tags sorted, each once, stripped of blanks.

    Raises
    ------
    RunError
        They are not a list of texts, or one is empty, too long, or holds a comma or a character that cannot be seen.
    """
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RunError("Tags are a list of words; write each as a text of its own.")
    found = sorted({tag.strip() for tag in tags}, key=lambda tag: (tag.casefold(), tag))
    for tag in found:
        if not tag or len(tag) > LONGEST_TAG or "," in tag or not tag.isprintable():
            raise RunError(
                f"{tag[:60]!r} cannot be a tag; use 1 to {LONGEST_TAG} characters that can be seen, without a comma."
            )
    if len(found) > MOST_TAGS:
        raise RunError(f"{len(found)} tags are more than the {MOST_TAGS} that a run may have; remove some.")
    return tuple(found)
