"""Tags of a run: ``tags.json`` in its folder, which any process may change."""

from __future__ import annotations

import json
from collections.abc import Iterable

from core.errors import RunError
from core.files import storage_errors, write_atomic
from core.runs.folder import RunFolder
from core.runs.lock import hold_lock

LONGEST_TAG = 40
"""Characters."""
MOST_TAGS = 20


def read_tags(run: RunFolder) -> tuple[str, ...]:
    """Return a run's tags, sorted; none where the file is damaged. Never raises."""
    try:
        content = json.loads((run.path / "tags.json").read_text())
        return check_tags(content)
    except (OSError, ValueError, TypeError, RecursionError, RunError):
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
