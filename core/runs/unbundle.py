"""Take in a run that was exported elsewhere: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from core.data.formats.archive import ZIP_ERRORS, check_directory, unpack
from core.data.formats.discovery import detect_archive
from core.data.formats.untrusted_files import is_litter
from core.errors import ArchiveError, HostedModeError, LimitError, RunError
from core.files import digest_file, parse_document, storage_errors, write_atomic
from core.home_folder import hide_home
from core.runs.bundle import BUNDLE_SCHEMA, CARD, KIND, MANIFEST, TEST_EVALUATIONS, BundleManifest, is_bundled
from core.runs.bundle_check import check_contents, member_errors, read_small
from core.runs.cohort import open_cohort
from core.runs.folder import NAME_PATTERN, RunFolder, now
from core.runs.ledger import merge_evaluations
from core.runs.records import UNNAMED, DataSource, RunStatus
from core.settings import Settings

MOST_FILES = 64
"""Members of such a zip: a dozen, and two for each cohort that the run was evaluated on."""
IMPORTED = "imported.json"
MOST_EVALUATIONS = 10_000


class ImportNote(BaseModel):
    """imported.json: where a run came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    imported: str
    """When, ISO 8601, UTC."""
    name: str
    """Its name where it was made."""
    exported: str
    data: str
    """Where its data were there; shown, never opened."""
    manifest_sha256: str


def import_run(archive: Path, settings: Settings, *, name: str | None = None) -> RunFolder:
    """Unpack a run's zip among the runs, after everything in it has been checked.

    Figures are computed again from the logits, the weights are loaded once, nothing is unpickled. Its data have to be
    named (:func:`name_data`) before its test patients can be evaluated here.

    Parameters
    ----------
    archive
        A zip that :func:`core.runs.bundle.export_run` wrote.
    settings
        Where runs live, and the limits on bytes.
    name
        Its new name; by default its name there, with a number where that is taken.

    Raises
    ------
    ArchiveError
        It is no such zip: damaged, encrypted, with links, names that lead out, stand twice, or are no run's.
    LimitError
        Too many files or bytes.
    RunError
        Its manifest, or a file in it, is not what it should be; or the name cannot be used or is taken.
    HostedModeError
        The installation is a public demo.
    StorageError
        The disk is full.
    """
    if settings.hosted:
        raise HostedModeError("This demo takes in no runs; run MGMT Lab on a machine of your own.")
    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise RunError(f"{name!r} cannot name a run; use up to 80 letters, digits, dots, dashes and underscores.")
    if name is not None and (settings.runs / name).exists():
        raise RunError(f"There is a run {name} already; choose another name.")
    limits = replace(settings, upload_files=MOST_FILES)
    _check_members(archive, limits)
    staging = RunFolder(settings.runs / f".{secrets.token_hex(8)}.new")
    try:
        with storage_errors(staging.path):
            staging.path.mkdir(parents=True)
            unpack(archive, staging.path, limits)
        try:
            manifest = _check_manifest(staging.path)
            status, source = check_contents(staging)
            evaluations = _read_test_evaluations(staging)
        except RunError as error:
            raise RunError(f"{archive.name} cannot be imported: {error}") from error
        _localise(staging, manifest, status, source)
        if evaluations:
            merge_evaluations(staging.split().test_digest, evaluations, settings)
        return _rename(staging, name or manifest.name, settings, exact=name is not None)
    finally:
        shutil.rmtree(staging.path, ignore_errors=True)


def read_import(run: RunFolder) -> ImportNote | None:
    """Return where a run came from, or None where it was made here. Never raises."""
    try:
        return ImportNote.model_validate_json((run.path / IMPORTED).read_text())
    except (OSError, ValueError):
        return None


def name_data(
    run: RunFolder, root: str, settings: Settings, labels: str | None = None, identity: str | None = None
) -> DataSource:
    """Set where a run's data are here: those of an imported run, or data that were moved. It must be the same cohort.

    Parameters
    ----------
    run
        A run with a split.
    root
        The cohort's folder.
    settings
        For the cache of headers.
    labels
        Its label table, where it lies elsewhere.
    identity
        The table of ids that are one patient, where the run had one.

    Raises
    ------
    RunError
        The cohort there is not the one that the run was split on.
    RunBusyError
        The run is being trained.
    DataError
        The folder cannot be read.
    """
    places = {"root": root, "labels": labels, "identity": identity}
    absolute = {key: str(Path(place).expanduser().resolve()) if place else None for key, place in places.items()}
    source = run.source.model_copy(update=absolute)
    split = run.split()
    cohort = open_cohort(source, settings=settings)
    if cohort.digest != split.cohort_digest:
        raise RunError(
            f"{source.root} is not the cohort that {run.name} was split on (digest {cohort.digest}, not "
            f"{split.cohort_digest}); name the folder that holds the same studies, labels and series."
        )
    with run.lock():
        write_atomic(run.path / "data.json", source.model_dump_json(indent=1))
    return source


def _check_members(archive: Path, settings: Settings) -> None:
    """Refuse a zip that is not a run's by its directory alone, before anything is written."""
    if not archive.is_file():
        raise RunError(f"There is no file {archive}; name the zip that export run wrote.")
    if detect_archive(archive) != "zip":
        raise ArchiveError(f"{archive.name} is no zip; hand in what export run wrote, as it is.")
    try:
        check_directory(archive, settings)
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
    except LimitError as error:
        raise LimitError(f"{archive.name} lists more than {MOST_FILES} files, which no exported run has.") from error
    except ZIP_ERRORS as error:
        raise ArchiveError(f"{archive.name} is damaged or not a zip: {error}.") from error
    names = [entry.filename for entry in entries if not is_litter(entry.filename)]
    if len(names) > MOST_FILES:
        raise LimitError(f"{archive.name} lists more than {MOST_FILES} files, which no exported run has.")
    for place, found in enumerate(names):
        if found != MANIFEST and not is_bundled(found):
            raise ArchiveError(
                f"{archive.name} holds {found[:80]!r}, which is no part of an exported run; nothing of it is kept."
            )
        if found in names[:place]:
            raise ArchiveError(f"{archive.name} holds {found!r} twice; nothing of it is kept.")


def _check_manifest(folder: Path) -> BundleManifest:
    with member_errors(MANIFEST):
        text = read_small(folder / MANIFEST)
        content = parse_document(text)
        if content.get("kind") != KIND:
            raise ValueError("it is not the manifest of a run that MGMT Lab exported")
        version = content.get("schema_version")
        if version != BUNDLE_SCHEMA:
            raise ValueError(
                f"it is of schema {version}, this version reads schema {BUNDLE_SCHEMA}; export the run with this version"
            )
        manifest = BundleManifest.model_validate(content)
        if not NAME_PATTERN.fullmatch(manifest.name):
            raise ValueError(f"{manifest.name[:80]!r} cannot name a run")
    there = {path.name for path in folder.iterdir()} - {MANIFEST}
    if there != set(manifest.files):
        odd = sorted(there ^ set(manifest.files))
        raise RunError(f"{MANIFEST} and the zip do not agree on which files there are: {', '.join(odd)[:200]}.")
    for name, stated in manifest.files.items():
        found = digest_file(folder / name)
        if found != stated.sha256:
            raise RunError(f"{name} is not what {MANIFEST} says (SHA-256 {found[:12]}…, not {stated.sha256[:12]}…).")
    return manifest


def _read_test_evaluations(run: RunFolder) -> list[dict[str, str]]:
    path = run.path / TEST_EVALUATIONS
    if not path.exists():
        return []
    with member_errors(TEST_EVALUATIONS):
        evaluations = TypeAdapter(list[dict[str, str]]).validate_json(read_small(path))
        if len(evaluations) > MOST_EVALUATIONS:
            raise ValueError(f"it has more than {MOST_EVALUATIONS} entries")
        if not (run.path / "split.json").exists():
            raise ValueError("there is no split.json beside it that says which patients were evaluated")
        return [{"run": one["run"][:120], "when": one["when"][:40]} for one in evaluations]


def _localise(run: RunFolder, manifest: BundleManifest, status: RunStatus, source: DataSource) -> None:
    """Make the unpacked folder a run of this installation: its state, no path of elsewhere, and where it came from."""
    digest = hashlib.sha256((run.path / MANIFEST).read_bytes()).hexdigest()
    note = ImportNote(
        imported=now(), name=manifest.name, exported=manifest.exported, data=hide_home(source.root)[:500],
        manifest_sha256=digest,
    )  # fmt: skip
    message = ""
    if status.state != "finished":
        message = "Imported before it had finished, without what resuming needs: resuming it begins at epoch 1."
    changes = {"state": "finished" if status.state == "finished" else "stopped", "message": message, "owner": ""}
    write_atomic(run.path / IMPORTED, note.model_dump_json(indent=1))
    unnamed = {"root": UNNAMED, "labels": None, "identity": None}
    joined = tuple(one.model_copy(update=unnamed) for one in source.joined)
    here = source.model_copy(update={**unnamed, "joined": joined})
    write_atomic(run.path / "data.json", here.model_dump_json(indent=1))
    run.write_status(status.model_copy(update=changes))
    with storage_errors(run.path):
        for name in (MANIFEST, CARD, TEST_EVALUATIONS):
            (run.path / name).unlink(missing_ok=True)


def _rename(staging: RunFolder, name: str, settings: Settings, *, exact: bool) -> RunFolder:
    """Give the folder its name, or the first free one with a number."""
    for number in range(1, 1000):
        end = "" if number == 1 else f"-{number}"
        target = settings.runs / f"{name[: 80 - len(end)]}{end}"
        if not target.exists():
            with storage_errors(target):
                staging.path.rename(target)
            return RunFolder(target)
        if exact:
            break
    raise RunError(f"There is a run {name} already; choose another name.")
