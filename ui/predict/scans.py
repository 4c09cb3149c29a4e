"""The study that is shown: the sample, an upload, a path on this computer, or one of the cohort's."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.runtime.caching import clear_session_resource_cache
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.data.study import Cohort
from core.errors import DataError, HostedModeError, may_pass
from core.files import write_atomic
from core.mri import MRSequence
from core.phantom.sample import keep_sample_study
from ui.server.workspace import DELETED, open_workspace
from ui.widgets.loaders import in_turn, load_chosen_cohort, sample_folder
from ui.widgets.state import Scan, choose_scan, chosen_scan, current_settings

UPLOADERS = "predict.uploaders"
"""Entry of the session's state that ends the keys of its uploaders: with another ending they begin empty."""

REFUSED = "refused.txt"
"""It stands in the folder of an upload that was refused, in the place of its bytes, and says why."""


@st.cache_resource(show_spinner="Drawing the sample study …")
def sample_cohort() -> Cohort:
    """The synthetic sample study: the one thing that can be tried without any data."""
    return _read_scan(keep_sample_study(sample_folder()), sample_folder())


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@st.cache_resource(scope="session", on_release=_remove, show_spinner=False)
def _session_folder() -> Path:
    """A temporary folder that is removed when the session ends; uploads are written nowhere else."""
    return Path(tempfile.mkdtemp(dir=open_workspace()))


def processed_folder(what: str) -> Path:
    """Return where a scan that is processed from raw lies, for as long as the session lasts."""
    return _session_folder() / "processed" / hashlib.sha256(what.encode()).hexdigest()[:16]


def keep_upload(files: Sequence[UploadedFile], sequence: MRSequence | None) -> Scan:
    """Write an upload into the session's folder, in place of the one before it.

    What is refused is not kept, and not received again: :func:`open_chosen_scan` says why.

    Raises
    ------
    StorageError, DataError
        The disk is full or fails, or memory does; the next run of the page tries again.
    """
    from core.data.upload import receive

    name = "-".join(sorted(file.file_id for file in files))
    place = _session_folder() / str(abs(hash((name, sequence))))
    if not place.exists():
        for earlier in _session_folder().iterdir():
            _remove(earlier)
        try:
            with _remember_refusal(place):
                receive([(file.name, file) for file in files], place / "files", current_settings())
        except DataError:
            if not place.exists():
                raise
    return Scan(kind="upload", place=str(place), sequence=sequence)


def keep_fetched(name: str, fetch: Callable[[Path], None]) -> Scan:
    """Have a scan fetched into the session's folder, in place of an upload; what could not be fetched whole is not kept."""
    place = _session_folder() / hashlib.sha256(name.encode()).hexdigest()[:16]
    for earlier in _session_folder().iterdir():
        _remove(earlier)
    try:
        fetch(place / "files")
    except BaseException:
        _remove(place)
        raise
    _open_folder.clear()
    return Scan(kind="upload", place=str(place))


def forget_upload(uploader: str) -> None:
    """Remove all that this session holds of an upload: the files, what was read of them, the answer and the maps.

    `uploader` is the key of the widget that received it.
    """
    context = get_script_run_ctx()
    if context is not None:
        for file in st.session_state.get(uploader) or []:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)  # type: ignore[attr-defined]
        clear_session_resource_cache(context.session_id)
        # Callbacks of what the page drew hold the page, and so the scan; what it draws next is registered anew.
        context.session_state._state._new_widget_state.widget_metadata.clear()
    choose_scan(None)
    st.session_state[UPLOADERS] = f".{secrets.token_hex(4)}"
    DELETED.set()


def forget_emptied(uploader: str) -> None:
    """Remove all of an upload whose last file the visitor took away."""
    if not st.session_state[uploader]:
        forget_upload(uploader)


@contextmanager
def _remember_refusal(place: Path) -> Iterator[None]:
    """Put the reason in the place of an upload that is refused; of one that may be read the next time nothing is left."""
    try:
        yield
    except BaseException as error:
        _remove(place)
        if isinstance(error, DataError) and not may_pass(str(error)):
            write_atomic(place / REFUSED, str(error))
        raise


@st.cache_resource(scope="session", max_entries=4, show_spinner="Reading the scan …")
def _open_folder(place: str, sequence: MRSequence | None) -> Cohort:
    folder = Path(place)
    refused = folder / REFUSED
    if refused.is_file():
        raise DataError(refused.read_text())
    with _remember_refusal(folder):
        return _read_scan(folder / "files", folder / "unpacked", sequence)


@st.cache_resource(scope="session", max_entries=4, show_spinner="Reading the scan …")
def _open_path(place: str, sequence: MRSequence | None) -> Cohort:
    return _read_scan(Path(place).expanduser(), Path(tempfile.mkdtemp(dir=_session_folder())), sequence)


def _read_scan(place: Path, workspace: Path, sequence: MRSequence | None = None) -> Cohort:
    """Read a scan; the readers are imported with the first one, so that Home's text is painted before them."""
    from core.data.upload import open_scan

    with in_turn():
        return open_scan([place], workspace, current_settings(), sequence=sequence)


def open_chosen_scan() -> Cohort | None:
    """The chosen study as a cohort of its own, or None where nothing is chosen.

    Raises
    ------
    DataError
        Nothing in it can be used.
    HostedModeError
        A path was named where strangers must not name one.
    """
    scan = chosen_scan()
    if scan is None:
        return None
    if scan.kind == "sample":
        return sample_cohort()
    if scan.kind == "upload":
        return _open_folder(scan.place, scan.sequence)
    if scan.kind == "path":
        if current_settings().hosted:
            raise HostedModeError("This demo does not read paths on its server; upload the scan.")
        return _open_path(scan.place, scan.sequence)
    cohort = load_chosen_cohort()
    if cohort is None or scan.place not in {study.study_id for study in cohort}:
        raise DataError(f"Study {scan.place!r} is not in the current cohort; choose one on the Cohort page.")
    return cohort
