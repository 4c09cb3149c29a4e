"""The licences of what is installed to run: ``python -m core.licences`` lists them, and fails where one binds what uses it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

from core.settings import PROJECT_ROOT

RUNTIME = (
    "requirements.txt",
    "requirements-demo.txt",
    "requirements-dicom.txt",
    "requirements-serve.txt",
    "requirements-raw.txt",
)
WITHOUT_DEPENDENCIES = ("requirements-raw.txt",)
"""Installed with --no-deps: what they would bring is not followed."""
COPYLEFT = re.compile(r"\bA?L?GPL|GNU ", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def list_licences() -> dict[str, tuple[str, str]]:
    """Return version and licence of every package that the pinned ones lead to and that is installed, by name."""
    found: dict[str, tuple[str, str]] = {}
    waiting = [(name, file not in WITHOUT_DEPENDENCIES) for file in RUNTIME for name in _pinned(file)]
    while waiting:
        name, follow = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[key] = (package.version, _licence(package.metadata))
        if follow:
            waiting += [(_first(text), True) for text in package.requires or () if "extra ==" not in text]
    return dict(sorted(found.items()))


def _pinned(file: str) -> Iterable[str]:
    lines = (PROJECT_ROOT / file).read_text(encoding="utf-8").splitlines()
    return [_first(line) for line in lines if _NAME.match(line)]


def _first(text: str) -> str:
    match = _NAME.match(text)
    return match[0] if match else ""


def _licence(metadata: object) -> str:
    """Return what a package states: the expression, else its classifiers, else the first line of its text."""
    fields = metadata.json  # type: ignore[attr-defined]
    if fields.get("license_expression"):
        return str(fields["license_expression"])
    named = [one.rsplit("::", 1)[-1].strip() for one in fields.get("classifier", []) if one.startswith("License ::")]
    return "; ".join(named) or str(fields.get("license", "")).partition("\n")[0][:80] or "not stated"


if __name__ == "__main__":
    rows = list_licences()
    for name, (version, licence) in rows.items():
        print(f"{name} {version}: {licence}")
    bound = [name for name, (_, licence) in rows.items() if COPYLEFT.search(licence)]
    print(f"{len(rows)} packages; under the GPL or its like: {', '.join(bound) or 'none'}")
    sys.exit(bool(bound))
