"""Paths as they may leave this machine: without the home folder, which names its user."""

from __future__ import annotations

import re
from pathlib import Path

_HOMES = re.compile(
    r"(?<![\w.~-])(?:/(?:home|Users)/[^/\s\"':;,]+|/root|[A-Za-z]:[\\/]+Users[\\/]+[^\\/\s\"':;,]+)(?=[/\\\s\"':;,.]|$)"
)
"""Where home folders lie on Linux, macOS and Windows: a run may come from another machine than this one."""


def hide_home(text: str) -> str:
    """Write ``~`` for every home folder in a text; what lies below it stays, for it says which data it was.

    A name elsewhere in a path, as in ``/data/anna``, cannot be told from other words and stays.
    """
    here = str(Path("~").expanduser())
    if len(here) > 1:  # "/" is the home of some containers' users
        text = re.sub(re.escape(here) + r"(?![\w.-])", "~", text)
    return _HOMES.sub("~", text)


def hide_homes(content: object) -> object:
    """Do so in every text of a JSON document, its keys left alone; the document is not changed."""
    if isinstance(content, str):
        return hide_home(content)
    if isinstance(content, dict):
        return {key: hide_homes(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [hide_homes(value) for value in content]
    return content
