"""Export a run as one zip: what another machine needs to show it, compare it and predict with it.

The zip holds, each with its SHA-256 in ``manifest.json``: configuration, data description, split, environment, learning
curves, predictions, digests of its patients, best weights with their card as text, stored evaluations, tags, and the evaluations of the test
patients. Left out are ``resume.pt`` (large, and of use only where the run trained), the log, and any other file. Home
folders in paths become ``~``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from pydantic import BaseModel, ConfigDict

from core.errors import DocumentError, RunBusyError, RunError, StorageError
from core.files import read_document, replace_atomically
from core.home_folder import hide_home, hide_homes
from core.models.card import copy_checkpoint, read_card
from core.models.card_text import describe_card
from core.runs.environment import list_versions
from core.runs.folder import VALIDATION, RunFolder, now
from core.runs.ledger import list_evaluations
from core.runs.persons import FILE as PERSONS
from core.runs.tags import read_tags
from core.settings import Settings

BUNDLE_SCHEMA = 1
KIND = "mgmt-lab-run"
MANIFEST = "manifest.json"
DOCUMENTS = ("config.json", "data.json", "split.json", "environment.json", "status.json")
"""JSON files that are rewritten without home folders."""
COPIED = ("epochs.jsonl", "predictions.parquet", VALIDATION, PERSONS)
CARD, TAGS, TEST_EVALUATIONS, WEIGHTS = "card.md", "tags.json", "looks.json", "best.safetensors"
MOMENT = (1980, 1, 1, 0, 0, 0)
"""Every member's date, so that the same run gives the same members."""


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundledFile(_Manifest):
    """One member of the zip."""

    sha256: str
    bytes: int


class BundleManifest(_Manifest):
    """manifest.json."""

    kind: str = KIND
    schema_version: int = BUNDLE_SCHEMA
    name: str
    """The run's name where it was made."""
    exported: str
    versions: dict[str, str]
    """Of what wrote the zip."""
    files: dict[str, BundledFile]


def is_bundled(name: str) -> bool:
    """Whether a file of that name may be in such a zip, besides the manifest."""
    fixed = (*DOCUMENTS, *COPIED, CARD, TAGS, TEST_EVALUATIONS, WEIGHTS)
    evaluation = name.startswith("evaluation-") and name.endswith((".json", ".parquet"))
    return name in fixed or (evaluation and "/" not in name)


def export_run(run: RunFolder, destination: Path, settings: Settings, *, replace: bool = False) -> BundleManifest:
    """Write a run as one zip.

    Parameters
    ----------
    run
        A run that is not being trained.
    destination
        The .zip file to write.
    settings
        Where evaluations of the test patients are counted: they are exported with the run.
    replace
        Whether a file that is there may be overwritten.

    Raises
    ------
    RunError
        The destination does not end in .zip, or the run's configuration is damaged.
    RunBusyError
        It is being trained: its files would not belong together.
    StorageError
        The destination exists, or cannot be written.
    """
    if destination.suffix != ".zip":
        raise RunError(f"{destination} does not end in .zip; name it so.")
    if destination.exists() and not replace:
        raise StorageError(f"{destination} exists; name another file, or remove it first.")
    with replace_atomically(destination) as beside, beside.open("wb") as stream:
        return write_bundle(run, stream, settings)


def write_bundle(run: RunFolder, stream: IO[bytes], settings: Settings) -> BundleManifest:
    """Write the zip to a seekable stream; see :func:`export_run`."""
    with _not_training(run):
        _ = run.config  # raises for a damaged run before anything is written
        files: dict[str, BundledFile] = {}
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, content in _texts(run, settings):
                files[name] = _add(archive, name, content.encode())
            for path in _whole_files(run):
                files[path.name] = _add_file(archive, path)
            if run.checkpoint.exists():
                files[WEIGHTS] = _add_weights(archive, run.checkpoint)
            manifest = BundleManifest(name=run.name, exported=now(), versions=list_versions(), files=files)
            archive.writestr(_member(MANIFEST), manifest.model_dump_json(indent=1))
    return manifest


@contextmanager
def _not_training(run: RunFolder) -> Iterator[None]:
    """Keep a trainer from starting in the meantime; one that is running is not disturbed."""
    try:
        with run.lock(timeout_seconds=0.2):
            yield
    except RunBusyError as error:
        raise RunBusyError(f"{run.name} is being trained; stop it or wait, then export it.") from error


def _texts(run: RunFolder, settings: Settings) -> Iterator[tuple[str, str]]:
    for name in (*DOCUMENTS, *sorted(path.name for path in run.path.glob("evaluation-*.json"))):
        path = run.path / name
        if path.is_file():
            content = _document(path)
            if name == "status.json":
                # The visitor's name stays here.
                content = content | {"owner": ""}
            yield name, json.dumps(hide_homes(content), indent=1)
    if tags := read_tags(run):
        yield TAGS, json.dumps(tags)
    if (run.path / "split.json").is_file():
        yield TEST_EVALUATIONS, json.dumps(list_evaluations(run.split().test_digest, settings))
    if run.checkpoint.exists():
        yield CARD, hide_home(describe_card(read_card(run.checkpoint)))


def _document(path: Path) -> dict[str, Any]:
    try:
        content = read_document(path)
    except (OSError, DocumentError) as error:
        raise RunError(
            f"{path} is damaged ({type(error).__name__}); restore it, or delete it if it may lack."
        ) from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged (no JSON object); restore it, or delete it if it may lack.")
    return content


def _whole_files(run: RunFolder) -> list[Path]:
    evaluations = sorted(run.path.glob("evaluation-*.parquet"))
    return [path for path in (*(run.path / name for name in COPIED), *evaluations) if path.is_file()]


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, MOMENT)
    member.external_attr = 0o644 << 16
    # Weights and parquet do not compress.
    dense = name.endswith((".safetensors", ".parquet"))
    member.compress_type = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
    return member


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> BundledFile:
    archive.writestr(_member(name), content)
    return BundledFile(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _add_file(archive: zipfile.ZipFile, path: Path) -> BundledFile:
    with path.open("rb") as source, _hashed(archive, path.name) as target:
        shutil.copyfileobj(source, target)
    return target.summary()


def _add_weights(archive: zipfile.ZipFile, path: Path) -> BundledFile:
    card = read_card(path)
    config = card.config.model_copy(update={"weights": hide_home(card.config.weights)})
    hidden = card.model_copy(update={"config": config, "weights_origin": hide_home(card.weights_origin)})
    with _hashed(archive, WEIGHTS) as target:
        copy_checkpoint(path, cast("IO[bytes]", target), None if hidden == card else hidden)
    return target.summary()


class _Hashing:
    """Writes to a member of the zip and computes its SHA-256."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, content: bytes) -> int:
        """Write, hash and count."""
        self._sha256.update(content)
        self._bytes += len(content)
        return self._target.write(content)

    def summary(self) -> BundledFile:
        """Return SHA-256 and size of what was written."""
        return BundledFile(sha256=self._sha256.hexdigest(), bytes=self._bytes)


@contextmanager
def _hashed(archive: zipfile.ZipFile, name: str) -> Iterator[_Hashing]:
    with archive.open(_member(name), "w", force_zip64=True) as opened:
        yield _Hashing(opened)
