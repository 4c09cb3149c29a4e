"""A git commit as the witness of a seal: its message or a file in it holds the seal's hash, and others have the commit."""

from __future__ import annotations

import subprocess

from pydantic import BaseModel, ConfigDict

from core.errors import SealError


class Anchor(BaseModel):
    """Where a text stands in a repository."""

    model_config = ConfigDict(frozen=True)

    repository: str
    commit: str
    date: str
    """ISO 8601, as the commit states it: who commits can set his clock, who has a copy of the commit cannot be deceived."""
    where: str
    """"message", or the path of a file in the commit's tree."""


def find_anchor(text: str, place: str) -> Anchor:
    """Return where a text stands in a commit.

    Parameters
    ----------
    text
        A seal's hash.
    place
        ``REPO`` or ``REPO@COMMIT``; the commit by any name that git knows, HEAD by default.

    Raises
    ------
    SealError
        There is no git, no such repository or commit, or the commit does not hold the text.
    """
    repository, _, name = place.rpartition("@") if "@" in place else (place, "", "HEAD")
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    if not commit:
        raise SealError(f"{repository} has no commit {name}; name a repository and one of its commits, REPO@COMMIT.")
    date, _, message = _git(repository, "show", "-s", "--no-color", "--format=%cI%n%B", commit).partition("\n")
    found = ["message"] if text in message else _git(repository, "grep", "-lF", "-e", text, commit).splitlines()
    if not found:
        raise SealError(
            f"Commit {commit[:12]} of {repository} holds the hash {text[:12]}... neither in its message nor in a file. "
            f"Commit it first: git commit --allow-empty -m {text}"
        )
    return Anchor(repository=repository, commit=commit, date=date.strip(), where=found[0].removeprefix(f"{commit}:"))


def _git(repository: str, *words: str) -> str:
    """Return what git says; nothing where it finds nothing."""
    try:
        done = subprocess.run(
            ["git", "--no-pager", "-C", repository, *words], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError as error:
        raise SealError(
            "There is no git program here to verify the commit with; install git, then ask again."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SealError(f"git did not answer in {repository} ({type(error).__name__}); try again.") from error
    if done.returncode not in (0, 1):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SealError(f"git cannot read {repository}: {reason}")
    return done.stdout if done.returncode == 0 else ""
