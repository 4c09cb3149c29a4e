"""Images that are not there: pointers of git-annex and Git LFS without their content, broken links, sidecars alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

POINTER_BYTES = 512
LFS_START = b"version https://git-lfs.github.com/spec/"
ANNEX = "annex/objects/"
REMEDIES = {
    "git-annex": "pointers of git-annex without their content; fetch it there with: datalad get -r . (or git annex get .)",
    "lfs": "pointers of Git LFS without their content; fetch it there with: git lfs pull",
    "link": "links to files that are not there; copy these too, or name the folder that they lie in",
    "sidecar": "sidecars (.json) of images that are not there; fetch these with: datalad get -r . (or from where the data came)",
}
MOST_FILES = 20_000


def describe_missing(folder: Path) -> str:
    """Say why a folder without images has none, and what fetches them; an empty text where nothing tells."""
    counts: Counter[str] = Counter()
    for number, path in enumerate(folder.rglob("*")):
        if number >= MOST_FILES:
            break
        kind = _kind_of(path)
        if kind:
            counts[kind] += 1
    kinds = [kind for kind in REMEDIES if counts[kind]]
    return f"{counts[kinds[0]]} {REMEDIES[kinds[0]]}." if kinds else ""


def describe_pointer(path: Path) -> str:
    """Say that a file is a pointer, and what fetches its content; an empty text where it is none."""
    kind = _kind_of(path)
    return REMEDIES[kind] if kind in ("git-annex", "lfs", "link") else ""


def _kind_of(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "git-annex" if ANNEX in path.readlink().as_posix() else "link"
    try:
        start = path.read_bytes() if path.is_file() and path.stat().st_size <= POINTER_BYTES else b""
    except OSError:
        return ""
    if start.startswith(LFS_START):
        return "lfs"
    if ANNEX.encode() in start.partition(b"\n")[0]:
        return "git-annex"
    return "sidecar" if path.suffix == ".json" and path.name.startswith("sub-") else ""
