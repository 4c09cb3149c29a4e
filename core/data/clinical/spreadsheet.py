"""Rows of a table of any common kind: CSV with commas, semicolons or tabs, in UTF-8 or UTF-16, and Excel's xlsx."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.formats.archive import ZIP_ERRORS, check_entry
from core.errors import LabelError
from core.files import read_document

LARGEST_TABLE = 16 * 1024 * 1024
"""Bytes; of an xlsx file, which is packed, also what it may unpack to, five times over."""
UNPACKED = 5
DELIMITERS = ",;\t|"
TITLE_ROWS = 3
"""So many rows of one cell may stand above the header: the title of a published table."""
EXPECTED = "expected CSV (UTF-8), TSV or xlsx with a column of ids and a column of labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A header and the rows below it; blank rows are left out."""

    name: str
    """Name of the file."""
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Line (row of an xlsx sheet) and cells, stripped; as many cells as the header has columns."""


def read_sheets(path: Path) -> list[Sheet]:
    """Return the sheets of a table: one of a text file, and all that hold a header of an xlsx file.

    Raises
    ------
    LabelError
        The file is missing, too large, or none of these kinds.
    """
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise LabelError(f"{path.name} is larger than {LARGEST_TABLE:,} bytes; that is not a label table.")
        content = path.read_bytes()
    except OSError as error:
        raise LabelError(f"The label table {path} cannot be read: {error.strerror}.") from error
    if content.startswith(b"PK\x03\x04"):
        return _read_workbook(content, path.name)
    return [_to_sheet(path.name, _read_lines(_decode(content, path.name), path.name))]


def read_levels(table: Path) -> dict[str, dict[str, str]]:
    """Return what the codes of a table's columns mean, as a BIDS sidecar beside it says; empty where there is none."""
    try:
        content = read_document(table.with_suffix(".json"))
        return {
            column: {code: text for code, said in entry["Levels"].items() if (text := _text_of(said))}
            for column, entry in content.items()
            if isinstance(entry, dict) and "Levels" in entry
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _decode(content: bytes, name: str) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0" if encoding == "utf-16" else content.decode("cp1252", errors="replace")
    if "\0" in text or "\ufffd" in text:
        raise LabelError(f"{name} is not text; {EXPECTED}.")
    return text


def _read_lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    bare = re.sub(r'"[^"]*"', "", text)  # a delimiter between quotes is none
    first = next((line for line in bare.splitlines() if any(map(line.count, DELIMITERS))), "")
    stated = re.fullmatch(r"sep=(.)", first)  # Excel's own first line
    delimiter = stated[1] if stated else max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if not stated or cells != ["sep=", ""]:
                yield reader.line_num, cells
    except csv.Error as error:
        raise LabelError(f"{name}, line {reader.line_num}, is not CSV: {error}.") from error


def _read_workbook(content: bytes, name: str) -> list[Sheet]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        unpacked = _inflate(content, name)
        book = load_workbook(unpacked, read_only=True, data_only=True)
        sheets: dict[str, Sheet] = {}
        for sheet in sorted(book.worksheets, key=lambda one: one.sheet_state != "visible"):
            sheet.reset_dimensions()  # some programs write "A1" whatever the sheet holds
            rows = ((line, list(map(_cell_text, cells))) for line, cells in enumerate(sheet.rows, start=1))
            sheets[sheet.title] = _to_sheet(name, rows)
    except (*ZIP_ERRORS, InvalidFileException, SyntaxError) as error:
        raise LabelError(
            f"{name} is not text, nor an xlsx file that can be read ({type(error).__name__}); {EXPECTED}."
        ) from error
    _check_formulas(unpacked, sheets, name)
    return [sheet for sheet in sheets.values() if sheet.header] or [Sheet(name=name, header=(), rows=())]


def _check_formulas(book: io.BytesIO, sheets: Mapping[str, Sheet], name: str) -> None:
    """Refuse a workbook with a column of formulas whose values no program has stored yet: it reads as empty."""
    from openpyxl import load_workbook

    for title, sheet in sheets.items():
        blank = [
            at for at, _ in enumerate(sheet.header) if sheet.rows and not any(cells[at] for _, cells in sheet.rows)
        ]
        cells = list(load_workbook(book, read_only=True)[title].values) if blank else []
        for at in blank:
            if any(str(row[at]).startswith("=") for row in cells if at < len(row)):
                raise LabelError(
                    f"{name}: the formulas of column {sheet.header[at]!r} were not calculated; open the table in a spreadsheet "
                    "program and save it, or save it as CSV."
                )


def _inflate(content: bytes, name: str) -> io.BytesIO:
    """Copy a workbook into a zip that is not packed, counting: what is read of it later is no larger than it says."""
    copied, left = io.BytesIO(), UNPACKED * LARGEST_TABLE
    with zipfile.ZipFile(io.BytesIO(content)) as packed, zipfile.ZipFile(copied, "w") as stored:
        for entry in packed.infolist():
            check_entry(entry, name)
            with packed.open(entry) as source:
                inflated = source.read(left + 1)
            left -= len(inflated)
            if left < 0:
                raise LabelError(f"{name} unpacks to more than {UNPACKED * LARGEST_TABLE:,} bytes; save it as CSV.")
            stored.writestr(entry.filename, inflated)
    return copied


def _cell_text(cell: Any) -> str:
    """Write a cell of a workbook as it is shown: 0.45 in a cell of percentages is 45%."""
    number = isinstance(cell.value, int | float) and "%" in str(cell.number_format)
    return f"{100 * cell.value:.10g}%" if number else _text_of(cell.value)


def _text_of(value: object) -> str:
    """Write a cell as a person would: a whole number, which Excel keeps as a float, without its point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, dict):  # of a level, in newer versions of BIDS
        return _text_of(value.get("Description"))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _to_sheet(name: str, lines: Iterator[tuple[int, list[str]]]) -> Sheet:
    """Take the first row as the header that is neither blank, a comment nor a title; rows of other lengths are cut or filled up."""
    filled = [(line, [cell.strip() for cell in cells]) for line, cells in lines if any(map(str.strip, cells))]
    longest = max((len(cells) for _, cells in filled), default=0)
    while len(filled) > 1 and filled[0][1][0].startswith("#") and len(filled[0][1]) != longest:
        filled = filled[1:]
    wide = [at for at, (_, cells) in enumerate(filled) if sum(map(bool, cells)) > 1]
    titled = wide and wide[0] <= TITLE_ROWS and 2 * len(wide) > len(filled) - wide[0]
    start = wide[0] if titled else 0
    _, header = filled[start] if filled else (0, [])
    below = (
        max((at for at, cell in enumerate(filled[start + 1][1], start=1) if cell), default=0)
        if filled[start + 1 :]
        else 0
    )
    width = max(len(header), below)
    return Sheet(
        name=name,
        header=(*header, *[""] * (width - len(header))),
        rows=tuple((line, (*cells[:width], *[""] * (width - len(cells)))) for line, cells in filled[start + 1 :]),
    )
