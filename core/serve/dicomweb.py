"""A client of DICOMweb servers that trusts none: every answer is bounded in time and bytes, and what it says is checked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
import urllib3
from pydicom import dcmread
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from core.data.formats.dicom import PARSER_ERRORS
from core.data.formats.untrusted_files import Budget
from core.errors import DataError, DocumentError, ServerError
from core.files import parse_document
from core.settings import MEBIBYTE, Settings

CONNECT_SECONDS, SILENT_SECONDS, WHOLE_SECONDS = 10.0, 30.0, 600.0
"""Until there is a connection, between two pieces of an answer, and for the whole of one."""
ANSWER_BYTES = 32 * MEBIBYTE
"""A list of studies or series may take so much."""
PAGE = 200
"""Studies that are asked for at once."""
TRIES = 4
"""Of a request; all may be repeated, for what is pushed has the same UIDs each time."""
LONGEST_WAIT_SECONDS = 20.0
CHUNK = 64 * 1024
UID = re.compile(r"[0-9](?:[0-9.]{0,62}[0-9])?")
STUDY, SERIES, MODALITY, COUNT, DESCRIPTION = "0020000D", "0020000E", "00080060", "00201209", "0008103E"
FAILED, STORED, REFERENCED, REASON = "00081198", "00081199", "00081155", "00081197"
DUPLICATE = 0x0111
"""Failure Reason of an instance that is there already: what is pushed has the same UID only if it is the same."""

Found = dict[str, Any]
"""A study or series that a server lists: "uid" and "attributes" (DICOM JSON); of a series "modality" and "count", too."""


class DicomWeb:
    """One server.

    Parameters
    ----------
    url
        Where QIDO, WADO and STOW begin, such as http://host:8042/dicom-web.
    auth
        User and password, where the server asks for them.
    wait
        Called with seconds between two tries.
    """

    def __init__(
        self,
        url: str,
        settings: Settings,
        *,
        auth: tuple[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._settings, self._wait = url.rstrip("/"), settings, wait
        self._session = requests.Session()
        self._session.auth = auth
        self._failing = False

    def list_studies(self, query: dict[str, str], most: int | None = None) -> list[Found]:
        """Return the studies that match (QIDO), asked for page by page; no more pages once there are `most`."""
        seen: dict[str, Found] = {}
        while True:
            page = {"includefield": "00081030", "limit": str(PAGE), "offset": str(len(seen))}
            found = self._list("/studies", {**query, **page})
            before = len(seen)
            for one in found:
                uid = _uid(one, STUDY)
                seen.setdefault(uid, {"uid": uid, "attributes": one})
            if len(seen) == before or len(found) < PAGE or (most is not None and len(seen) >= most):
                return list(seen.values())[:most]

    def list_series(self, study: str) -> list[Found]:
        """Return the series of a study; the count of one is None where the server does not say it."""
        found = self._list(f"/studies/{study}/series", {"includefield": DESCRIPTION})
        return [
            {"uid": _uid(one, SERIES), "modality": first_value(one, MODALITY), "count": _count(one), "attributes": one}
            for one in found
        ]

    def fetch_series(self, study: str, series: str, count: int | None, folder: Path, budget: Budget) -> int:
        """Write the instances of a series (WADO) into a folder, one file each, and return how many came.

        Raises
        ------
        ServerError
            It could not be fetched whole, or what came belongs to another study or series.
        LimitError
            It holds more than a scan that is handed in may.
        """

        def read(response: requests.Response) -> int:
            for file in folder.glob("*.dcm"):
                file.unlink()
            return self._write_parts(response, folder, budget)

        folder.mkdir(parents=True, exist_ok=True)
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        self._ask("GET", f"/studies/{study}/series/{series}", read, headers={"Accept": accept})
        found = {_check_instance(path, study, series) for path in sorted(folder.glob("*.dcm"))}
        if count is not None and len(found) != count:
            raise ServerError(
                f"{self._url} sent {len(found)} of {count} instances of a series, which may still be arriving; ask again later."
            )
        if not found:
            raise ServerError(f"{self._url} sent no instance of a series that it lists; ask again later.")
        return len(found)

    def store(self, study: str, files: Sequence[Path]) -> None:
        """Push instances (STOW); raises ServerError unless the server says of each that it has it."""
        boundary, parts = uuid4().hex, []
        for path in files:
            parts += [f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), path.read_bytes(), b"\r\n"]
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        answer = self._ask(
            "POST", f"/studies/{study}", self._read_json, headers=headers, data=body, accepted=(200, 202, 409)
        )
        answer = answer[0] if isinstance(answer, list) and answer else answer
        there = [one for one in _sequence(answer, FAILED) if first_value(one, REASON) == DUPLICATE]
        kept = {first_value(one, REFERENCED) for one in (*_sequence(answer, STORED), *there)}
        wanted = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files}
        if not wanted <= kept:
            raise ServerError(
                f"{self._url} stored {len(wanted & kept)} of {len(wanted)} results and refused "
                f"{len(_sequence(answer, FAILED))}; its log says why. Push them again: none is doubled."
            )

    def _list(self, path: str, query: dict[str, str]) -> list[Found]:
        headers = {"Accept": "application/dicom+json"}
        found = self._ask("GET", path, self._read_json, headers=headers, params=query, accepted=(200, 204))
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._refused("its list is no DICOM JSON")
        return found

    def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[requests.Response], Any],
        *,
        accepted: tuple[int, ...] = (200,),
        **rest: Any,
    ) -> Any:
        """Ask, and read the answer, again where that may help; raises ServerError.

        After a request that was given up the next are asked once, until one is answered: of a server that is away, hundreds
        of studies do not each wait for all tries.
        """
        tries = 1 if self._failing else TRIES
        for attempt in range(tries):
            seconds = min(LONGEST_WAIT_SECONDS, 0.5 * 2**attempt)
            try:
                with self._session.request(
                    method,
                    self._url + path,
                    timeout=(CONNECT_SECONDS, SILENT_SECONDS),
                    stream=True,
                    allow_redirects=False,
                    **rest,
                ) as response:
                    self._failing = response.status_code >= 500
                    if response.status_code in accepted:
                        return read(response)
                    if response.status_code in (401, 403):
                        raise self._refused("it does not let us in: check user and password", response.status_code)
                    if response.status_code != 429 and response.status_code < 500:
                        raise self._refused("it refuses the request", response.status_code)
                    stated = response.headers.get("Retry-After", "")
                    seconds = min(LONGEST_WAIT_SECONDS, float(stated)) if stated.isdigit() else seconds
                    said, remedy = f"it answers {response.status_code}", ""
            except (requests.RequestException, urllib3.exceptions.HTTPError, _CutOffError) as error:
                said, remedy = _describe_failure(error)
            if attempt < tries - 1:
                self._wait(seconds)
        self._failing = True
        raise self._refused(f"{said}, {tries} times{remedy}" if tries > 1 else f"{said}{remedy}")

    def _refused(self, why: str, status: int | None = None) -> ServerError:
        return ServerError(f"{self._url}: {why}{f' ({status})' if status else ''}.")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """What comes, as it comes: iter_content waits for whole chunks, and a server that drips would hold it for days."""
        ends = time.monotonic() + WHOLE_SECONDS
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            if time.monotonic() > ends:
                raise _CutOffError
            yield chunk

    def _read_json(self, response: requests.Response) -> Any:
        if response.status_code == 204:
            return None
        if "json" not in response.headers.get("Content-Type", ""):
            raise self._refused(f"its answer is {response.headers.get('Content-Type', 'untyped')[:60]}, not DICOM JSON")
        content = bytearray()
        for chunk in self._chunks(response):
            content += chunk
            if len(content) > ANSWER_BYTES:
                raise self._refused(f"its list is larger than {ANSWER_BYTES // MEBIBYTE} MB")
        try:
            return parse_document(bytes(content))
        except DocumentError as error:
            raise _CutOffError from error

    def _write_parts(self, response: requests.Response, folder: Path, budget: Budget) -> int:
        """Write each part of a multipart answer to a file, as it comes."""
        kind, options = parse_options_header(response.headers.get("Content-Type", ""))
        if kind != b"multipart/related" or not options.get(b"boundary"):
            raise self._refused(
                f"its answer is {kind.decode(errors='replace')[:60] or 'untyped'}, not multipart/related"
            )
        files: list[Any] = []
        state = {"ended": False}

        def begin() -> None:
            budget.take_file()
            files.append((folder / f"{len(files):05d}.dcm").open("wb"))

        def write(data: bytes, start: int, end: int) -> None:
            budget.take_bytes(end - start)
            files[-1].write(data[start:end])

        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": begin,
                "on_part_data": write,
                "on_part_end": lambda: files[-1].close(),
                "on_end": lambda: state.update(ended=True),
            },
        )
        try:
            for chunk in self._chunks(response):
                parser.write(chunk)
        except MultipartParseError as error:
            raise _CutOffError from error
        finally:
            for file in files:
                file.close()
        if not state["ended"]:
            raise _CutOffError
        return len(files)


class _CutOffError(Exception):
    """An answer ended before its end, or is none."""


def _describe_failure(error: Exception) -> tuple[str, str]:
    """Why there is no whole answer, and what to look at."""
    if isinstance(error, _CutOffError):
        return "the answer was cut off", ""
    kind = type(error).__name__
    if isinstance(error, requests.Timeout):
        return f"no answer in time ({kind})", "; see that it runs and is not overloaded"
    if isinstance(error, requests.ConnectionError):
        return f"nothing answers there ({kind})", "; check the address, and that it runs"
    return kind, ""


def _uid(one: Found, tag: str) -> str:
    uid = first_value(one, tag)
    if not isinstance(uid, str) or not UID.fullmatch(uid):
        raise ServerError("The server lists something without a valid UID; it is not asked further.")
    return uid


def first_value(one: Found, tag: str) -> Any:
    """The first value of an attribute in DICOM JSON; None where there is none."""
    element = one.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _count(one: Found) -> int | None:
    count = first_value(one, COUNT)
    return count if isinstance(count, int) else None


def _sequence(answer: Any, tag: str) -> list[dict[str, Any]]:
    element = answer.get(tag) if isinstance(answer, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _check_instance(path: Path, study: str, series: str) -> str:
    """Return an instance's UID; raises ServerError where it is none, or of another study or series."""
    try:
        header = dcmread(
            path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        )
        found = str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID)
    except (*PARSER_ERRORS, DataError) as error:
        raise ServerError("The server sent something that is no DICOM instance; nothing of it is used.") from error
    if found[:2] != (study, series):
        raise ServerError("The server sent an instance of another study or series; nothing of it is used.")
    return found[2]
