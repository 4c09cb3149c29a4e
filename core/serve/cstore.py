"""C-STORE, by pynetdicom: what a node sends is kept, and listed and fetched as a DICOMweb server's; results are sent to a node."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context

from core.data.formats.dicom import PARSER_ERRORS
from core.data.formats.untrusted_files import Budget
from core.errors import ServerError, StorageError
from core.files import storage_errors, write_atomic
from core.serve.dicomweb import CONNECT_SECONDS, DESCRIPTION, DUPLICATE, SILENT_SECONDS, UID, Found

STORED, NO_SPACE, NOT_OURS = 0x0000, 0xA700, 0xA900
"""Of a C-STORE: kept; the disk is full, so it may be sent again; no image that could be kept."""
CHANGED = (0xB000, 0xB006, 0xB007)
"""Kept, with changes to elements or with doubts."""


class Inbox:
    """Studies that were sent here, in a folder: STUDY/SERIES/INSTANCE.dcm; stands where a DICOMweb client may.

    An instance is on the disk before its sender is told that it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._writing = folder, threading.Lock()
        self._arriving: dict[object, set[str]] = {}  # by association
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def listen(self, address: str, title: str, senders: Sequence[str]) -> Iterator[None]:
        """Take images at "host:port" while the block runs, of all nodes or of those of the titles named.

        Raises
        ------
        ServerError
            The port is taken.
        """
        node = AE(ae_title=title)
        node.require_calling_aet = list(senders)
        node.add_supported_context("1.2.840.10008.1.1")
        for context in AllStoragePresentationContexts:
            node.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        host, _, port = address.rpartition(":")
        handlers: list[Any] = [(evt.EVT_C_STORE, self._keep), (evt.EVT_CONN_CLOSE, self._end)]
        try:
            server = node.start_server((host, int(port)), block=False, evt_handlers=handlers)
        except OSError as error:
            raise ServerError(f"{address} cannot be listened at ({error.strerror}); name another port.") from error
        assert server is not None  # it does not block
        try:
            yield
        finally:
            server.shutdown()

    def list_studies(self, query: dict[str, str], most: int | None = None) -> list[Found]:
        """Return the studies of which a series' first header matches, by the names of its attributes, case ignored.

        One that a node is still sending is not listed.
        """
        with self._writing:
            arriving = set().union(*self._arriving.values())

        def fits(header: Dataset) -> bool:
            names = {name: "Modality" if name == "ModalitiesInStudy" else name for name in query}
            try:
                stated = {asked: str(header.get(name, "")).lower() for asked, name in names.items()}
            except PARSER_ERRORS:
                return False
            return all(fnmatchcase(stated[asked], wanted.lower()) for asked, wanted in query.items())

        whole = [study for study in sorted(self._folder.iterdir()) if study.name not in arriving]
        found = [study.name for study in whole if any(map(fits, self._headers(study).values()))]
        return [{"uid": uid, "attributes": {}} for uid in found][:most]

    def list_series(self, study: str) -> list[Found]:
        """Return the series of a study that have come so far."""
        return [
            {
                "uid": series.name,
                "modality": header.get("Modality"),
                "count": len(list(series.glob("*.dcm"))),
                "attributes": {DESCRIPTION: {"Value": [str(header.get("SeriesDescription", ""))]}},
            }
            for series, header in self._headers(self._folder / study).items()
        ]

    def fetch_series(self, study: str, series: str, count: int | None, folder: Path, budget: Budget) -> int:
        """Copy the instances of a series; raises LimitError where they are more than a scan that is handed in may hold."""
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted((self._folder / study / series).glob("*.dcm"))
        if count is not None and len(files) != count:
            raise ServerError("More images of a series came while it was looked at; it is tried again later.")
        for path in files:
            budget.take_file()
            budget.take_bytes(path.stat().st_size)
            shutil.copyfile(path, folder / path.name)
        return len(files)

    def forget(self, study: str, before: float) -> None:
        """Remove a study that is done with, unless something came after a time of :func:`time.time`."""
        with self._writing:
            place = self._folder / study
            if all(path.stat().st_mtime < before for path in place.glob("*/*.dcm")):
                shutil.rmtree(place, ignore_errors=True)

    def _headers(self, study: Path) -> dict[Path, Dataset]:
        """The first header of each series."""
        first = {series: min(series.glob("*.dcm"), default=None) for series in sorted(study.glob("*"))}
        return {series: dcmread(path, stop_before_pixels=True) for series, path in first.items() if path}

    def _end(self, event: Event) -> None:
        with self._writing:
            self._arriving.pop(event.assoc, None)

    def _keep(self, event: Event) -> int:
        """Write what came, and say so."""
        try:
            content = event.encoded_dataset()
            sent = dcmread(BytesIO(content), stop_before_pixels=True)
            uids = [str(sent.StudyInstanceUID), str(sent.SeriesInstanceUID), str(sent.SOPInstanceUID)]
            if not all(map(UID.fullmatch, uids)) or not isinstance(sent.get("SeriesDescription", ""), str):
                return NOT_OURS
            path = self._folder.joinpath(*uids[:2], f"{uids[2]}.dcm")
            with self._writing:
                self._arriving.setdefault(event.assoc, set()).add(uids[0])
                write_atomic(path, content)
        except StorageError:
            return NO_SPACE
        except PARSER_ERRORS:
            return NOT_OURS
        return STORED


class Node:
    """Another node that takes results: "TITLE@host:port"."""

    def __init__(self, name: str, own_title: str) -> None:
        self._name, self._own_title = name, own_title

    def store(self, study: str, files: Sequence[Path]) -> None:
        """Send instances; raises ServerError unless the node says of each that it has it."""
        title, _, address = self._name.partition("@")
        host, _, port = address.rpartition(":")
        node = AE(ae_title=self._own_title)
        node.connection_timeout = node.acse_timeout = CONNECT_SECONDS
        node.dimse_timeout = node.network_timeout = SILENT_SECONDS
        headers = [dcmread(path, stop_before_pixels=True) for path in files]
        kinds = {(header.SOPClassUID, header.file_meta.TransferSyntaxUID) for header in headers}
        link = node.associate(host, int(port), [build_context(*kind) for kind in sorted(kinds)], ae_title=title)
        if not link.is_established:
            raise ServerError(
                f"{self._name} does not take results: it is not there, or does not know {self._own_title}."
            )
        kept = 0
        try:
            for path in files:
                kept += link.send_c_store(path).get("Status") in (STORED, DUPLICATE, *CHANGED)
        except (ValueError, RuntimeError) as error:
            raise ServerError(f"{self._name} took {kept} of {len(files)} results: {error}") from error
        finally:
            link.release()
        if kept < len(files):
            raise ServerError(
                f"{self._name} took {kept} of {len(files)} results; its log says why. Push them again: none is doubled."
            )
