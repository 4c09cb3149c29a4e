"""The label table: which study is methylated, which is not, and which is excluded and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from core.data.clinical.label_words import (
    BRACKETS,
    KNOWN_SPELLINGS,
    NOT_KNOWN_CODES,
    Status,
    is_not_known,
    is_turned,
    names_methylation,
    read_codes,
    read_number,
    read_status,
)
from core.data.clinical.spreadsheet import Sheet, read_levels, read_sheets
from core.errors import LabelError
from core.mri import CLASS_NAMES

ID_COLUMN = "BraTS21ID"
LABEL_COLUMN = "MGMT_value"
ID_COLUMNS = (
    *("brats21id", "participant_id", "patient_id", "subject_id", "study_id", "case_id", "patientid", "subjectid", "id"),
    *("patient", "subject", "case", "participant", "caseid", "studyid", "brats21_id", "brats_id"),
)
"""Names that a column of ids has, the likelier first; as :func:`normalise_column` writes them."""
PROTEIN = ("expression", "protein", "ihc", "immuno", "mrna", "loss")
"""Words in the name of a column of what the gene makes: less of it where the promoter is methylated."""
NO_STATUS = (
    *PROTEIN,
    *("index", "quant", "percent", "method", "date", "comment", "score", "confidence", "source", "assay"),
)
"""Words in the name of a column that is about MGMT and does not hold its status."""
LABEL_COLUMNS = ("mgmt_value", "mgmt", "mgmt_status", "mgmt_methylation", "mgmt_promoter_status", "mgmt_qualitative")
ID_PATTERN = re.compile(r"[^\W_][\w. \-]{0,63}")
FLOAT_ID = re.compile(r"(\d+)(?:\.0+|,0)")
GENERIC_WORDS = frozenset(
    {"sub", "subject", "subj", "patient", "patientid", "patients", "pat", "case", "id", "brats", "gli", "bratsid"}
)
"""Words before a number that name no cohort; a number after them is the same person with or without."""
BRATS_2021 = re.compile(r"(?i)brats(?:20)?21[-_ ]?")
VALUES_SHOWN = 6
MINUS = frozenset("-\u2212\u2013")

IdKey = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which column is predicted, and which of its values is the positive class.

    By default the MGMT status. Of a column of numbers, such as UCSF-PDGM's MGMT index, a cut-off makes two
    classes: numbers from `cutoff` on are positive.
    """

    column: str | None = None
    positive: str | None = None
    cutoff: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """What a table says of one id."""

    row_id: str
    line: int
    label: int | None
    reason: str = ""
    """Why there is no label."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """Every cell by the name of its column."""


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """The rows of a label table, found by id however it is written."""

    name: str
    column: str
    """Name of the label column."""
    rows: Mapping[str, LabelRow]
    """By id, as :func:`normalise_id` writes it."""
    class_names: tuple[str, str] = CLASS_NAMES
    notes: tuple[str, ...] = ()
    """How its values were read, where a person should know."""

    @cached_property
    def _by_key(self) -> dict[IdKey, LabelRow | None]:
        found: dict[IdKey, LabelRow | None] = {}
        for row_id, row in self.rows.items():
            found[id_key(row_id)] = None if id_key(row_id) in found else row  # None: two ids are written alike
        return found

    def find(self, *ids: str) -> LabelRow | None:
        """Return the row of the first of some ids that has one: as written, else with other zeros or generic words."""
        exact = (self.rows.get(normalise_id(one)) for one in ids)
        return next((row for row in exact if row), None) or next(
            filter(None, map(self._by_key.get, map(id_key, ids))), None
        )


LONGEST_NUMBER = 40
"""Digits of an id that are compared as a number."""


def normalise_id(text: str) -> str:
    """Return a study id as it is written everywhere: a number is padded with zeros to five digits."""
    text = FLOAT_ID.sub(r"\1", text.strip()) if FLOAT_ID.fullmatch(text.strip()) else text.strip()
    return text.zfill(5) if text.isascii() and text.isdigit() else text


def normalise_column(text: str) -> str:
    """Return a column's name in lower case, its words joined by underscores: ``MGMT.promoter.status`` is ``mgmt_promoter_status``."""
    return "_".join(re.findall(r"[^\W_]+", text.lower()))


def id_key(text: str) -> IdKey:
    """Return what two spellings of one id share: words in lower case and numbers without zeros, generic words left out.

    ``UCSF-PDGM-004`` and ``UCSF-PDGM-0004`` are equal, and so are ``sub-BO1`` and ``BO1``, ``BraTS2021_00012`` and ``12``.
    """
    parts = re.findall(r"\d+|[^\W\d_]+", BRATS_2021.sub("", normalise_id(text)).lower())
    words = [
        int(part) if part.isdecimal() and len(part) < LONGEST_NUMBER else part
        for part in parts
        if part not in GENERIC_WORDS
    ]
    return tuple(words or parts)


def read_labels(path: Path, *, target: Target | None = None, known_ids: Iterable[str] = ()) -> LabelTable:
    """Read a label table: CSV (commas, semicolons, tabs), or xlsx, of any cohort.

    Parameters
    ----------
    path
        The table.
    target
        The column that is predicted; by default the one of the MGMT status.
    known_ids
        Ids of the studies: of several columns of ids, the one that holds most of them is used.

    Returns
    -------
    LabelTable
        Label 1 is methylated (or `target.positive`), 0 is not; None is excluded, with a reason. Ids that lost
        their leading zeros are padded again; blank rows are left out.

    Raises
    ------
    LabelError
        The file cannot be read, is empty or lacks one of the columns; or a row (which is named) has a bad id, a
        label that cannot be told, or contradicts another.
    """
    target = target or Target()
    known = {id_key(one) for one in known_ids}
    sheet, label_at = _choose_sheet(read_sheets(path), path.name, target, known)
    id_at = _find_ids(sheet, label_at, known)
    if not sheet.rows:
        raise LabelError(f"{path.name} holds no row below its header; expected one study and label a row.")
    column = sheet.header[label_at]
    reader = LabelReader(sheet, label_at, target, read_levels(path).get(column, {}))
    rows: dict[str, LabelRow] = {}
    for line, cells in sheet.rows:
        where = f"{path.name}, line {line}"
        row_id = normalise_id(cells[id_at])
        if not ID_PATTERN.fullmatch(row_id):
            if row_id and sum(map(bool, cells)) == 1:  # a remark below the table
                continue
            raise LabelError(
                f"{where}: {cells[id_at]!r} is not a study id; expected digits, or letters, digits, '_', '-' and '.'."
            )
        label, reason = reader.read(cells[label_at], row_id, where)
        row = LabelRow(
            row_id=row_id, line=line, label=label, reason=reason, cells=dict(zip(sheet.header, cells, strict=True))
        )
        before = rows.setdefault(row_id, row)
        if label is not None and before.label is None:
            rows[row_id] = row
        elif label not in (None, before.label):
            raise LabelError(
                f"{where}: study {row_id} is {label} here and {before.label} further up; keep one of the two rows."
            )
    return LabelTable(name=path.name, column=column, rows=rows, class_names=reader.class_names, notes=reader.notes)


MOST_KNOWN = 1024
"""Different cells whose meaning is remembered: most columns have a handful, in any number of rows."""


class LabelReader:
    """Reads the cells of one label column."""

    def __init__(self, sheet: Sheet, label_at: int, target: Target, levels: Mapping[str, str] | None = None) -> None:
        """Find what the column's values are, what its codes mean (`levels`, of a sidecar), and which value is positive."""
        self._name, self._column, self._cutoff = sheet.name, sheet.header[label_at], target.cutoff
        self._positive = None if target.positive is None else _plain_value(target.positive)
        self._keeps_brackets = target.positive is not None and bool(BRACKETS.search(target.positive))
        self.class_names: tuple[str, str] = CLASS_NAMES
        self.notes: tuple[str, ...] = ()
        self._levels = read_codes(levels or {})
        self._codes = self._levels or read_codes(self._column)
        self._signed = any(cells[label_at].strip("() ") == "+" for _, cells in sheet.rows)
        name = normalise_column(self._column)
        self._is_mgmt = "mgmt" in name and not any(word in name for word in PROTEIN)
        self._known: dict[str, tuple[int | None, str]] = {}
        counts: Counter[str] = Counter()
        for cell, count in Counter(cells[label_at] for _, cells in sheet.rows).items():
            if not self._is_missing(cell):
                counts[self._value(cell)] += count
        if self._cutoff is not None:
            if not self._is_mgmt:
                self.class_names = (f"{self._column} below {self._cutoff:g}", f"{self._column} from {self._cutoff:g}")
        elif target.positive is not None:
            others = self._find_others(target.positive.strip(), counts)
            rest = next(iter(others)) if len(others) == 1 else f"not {target.positive}"
            said = read_status(target.positive)
            if not self._is_mgmt:
                self.class_names = (rest, target.positive)
            elif said and said.present is False and names_methylation(target.positive):
                raise LabelError(
                    f"{self._name}: {target.positive!r} cannot be the positive value of {self._column}, for methylated is the "
                    "positive class; leave out --positive, or name the value that means methylated."
                )
        elif not self._is_mgmt:
            if not all(read_status(value) for value in counts):
                raise LabelError(
                    f"{self._name}: which value of {self._column} is positive? Name it with --positive; it holds {_list(counts)}."
                )
            self.class_names = (f"{self._column} negative", f"{self._column} positive")

    def _value(self, cell: str) -> str:
        """Return a cell as it is compared: without what stands in brackets, unless the positive value has some."""
        return _plain_value(cell if self._keeps_brackets else BRACKETS.sub(" ", cell)) or _plain_value(cell)

    def _is_missing(self, cell: str) -> bool:
        """Whether a cell says that the value is not known, in words or, in a column of codes or of an MGMT index, by a number."""
        number = read_number(cell.rstrip("% "))
        coded = (self._is_mgmt and self._cutoff is not None) or read_number(self._positive or "") is not None
        negative = self._is_mgmt and self._cutoff is not None and number is not None and number < 0
        return is_not_known(cell) or negative or (coded and number in NOT_KNOWN_CODES)

    def _read_status(self, cell: str) -> Status | None:
        """Return what a cell says of the marker; a minus is a negative where another cell is a plus."""
        if self._signed and cell.strip("() ") in MINUS:
            return Status(present=False)
        return read_status(self._codes.get(_code_of(cell), cell))

    def _lacks_cutoff(self, cell: str) -> bool:
        return self._cutoff is None and read_number(cell.rstrip("% ")) is not None

    def _is_positive(self, value: str) -> bool:
        number = read_number(self._positive or "")
        return value == self._positive or (number is not None and read_number(value) == number)

    def _find_others(self, positive: str, counts: Counter[str]) -> Counter[str]:
        """Count the values that are not the positive one; several are named in a note."""
        others = Counter({value: count for value, count in counts.items() if not self._is_positive(value)})
        if len(others) == len(counts):
            raise LabelError(
                f"{self._name}: no row has {self._column} {positive!r}; it holds {_list(counts) or 'no value'}."
            )
        if len(others) > 1:
            same = counts.total() - others.total()
            self.notes = (
                f"{self._column}: {same} rows are {positive!r}, the positive class; negative are {_list(others)}.",
            )
        return others

    def read(self, cell: str, row_id: str, where: str) -> tuple[int | None, str]:
        """Return a cell's label, or None and the reason."""
        if cell in self._known:
            return self._known[cell]
        found = self._interpret(cell, row_id, where)
        if len(self._known) < MOST_KNOWN:
            self._known[cell] = found
        return found

    def _interpret(self, cell: str, row_id: str, where: str) -> tuple[int | None, str]:
        if self._cutoff is None and self._positive is None:
            status = self._read_status(cell)
            turned = _code_of(cell) not in self._levels and is_turned(self._column, cell, self._codes)
            if self._is_mgmt and status and status.present is not None and turned:
                raise LabelError(
                    f"{where}: study {row_id} has {self._column} {cell!r}; the column's name says unmethylated, so that this "
                    "can mean either: name the value that means methylated with --positive."
                )
        elif self._is_missing(cell):
            status = Status(present=None, reason=f"is {cell!r}" if cell else "is empty")
        elif self._cutoff is not None:
            number = read_number(cell.rstrip("% "))
            status = None if number is None else Status(present=number >= self._cutoff)
        else:
            status = Status(present=self._is_positive(self._value(cell)))
        if status is None:
            expected = "a number" if self._cutoff is not None else KNOWN_SPELLINGS
            expected += "; of a column of numbers state the cut-off (--cutoff)" if self._lacks_cutoff(cell) else ""
            raise LabelError(f"{where}: study {row_id} has {self._column} {cell!r}; expected {expected}.")
        label = None if status.present is None else int(status.present)
        return label, f"{self._column} {status.reason}" if label is None else ""


def _code_of(cell: str) -> str:
    """Return a cell as the code of it is written: 1.0 is 1."""
    number = read_number(cell)
    return cell if number is None else f"{number:g}"


def _plain_value(text: str) -> str:
    return " ".join(text.casefold().split())


def _list(counts: Mapping[str, int]) -> str:
    shown = [f"{value!r} ({count})" for value, count in Counter(counts).most_common(VALUES_SHOWN)]
    return ", ".join(shown) + (", ..." if len(counts) > VALUES_SHOWN else "")


def _choose_sheet(sheets: Sequence[Sheet], name: str, target: Target, known: set[IdKey]) -> tuple[Sheet, int]:
    """Return the sheet that holds the label column, and where it stands; of several, the one with most of the `known` ids.

    Where no header names it, the row below is the header if that one names the column and one of ids: cells above may be
    merged, and name groups of columns.
    """
    found = [(sheet, at) for sheet in sheets if (at := _find_labels(sheet, target)) is not None]
    if not found:
        lower = [replace(one, header=one.rows[0][1], rows=one.rows[1:]) for one in sheets if one.rows]
        named = [sheet for sheet in lower if _named(sheet.header, ID_COLUMNS)]
        found = [(sheet, at) for sheet in named if (at := _find_labels(sheet, target)) is not None]
    if found:
        return max(found, key=lambda pair: len(known & {id_key(cell) for _, cells in pair[0].rows for cell in cells}))
    wanted = target.column or LABEL_COLUMN
    lacks_ids = not _named(sheets[0].header, ID_COLUMNS)
    columns = ", ".join(repr(column) for sheet in sheets for column in sheet.header) or "nothing"
    remedy = f"expected {ID_COLUMN},{LABEL_COLUMN} or the like; name another label column with --target"
    missing = f"no column {ID_COLUMN} and no column {wanted}" if lacks_ids else f"no column {wanted}"
    raise LabelError(f"{name} has {missing}; found {columns}; {remedy}.")


def _find_labels(sheet: Sheet, target: Target) -> int | None:
    names = [normalise_column(column) for column in sheet.header]
    if target.column is not None:
        wanted = normalise_column(target.column)
        candidates = [at for at, name in enumerate(names) if name == wanted] or [
            at for at, name in enumerate(names) if name.startswith(wanted)
        ]
    else:
        about = [at for at, name in enumerate(names) if "mgmt" in name and not any(word in name for word in NO_STATUS)]
        preferred = ([at for at in about if names[at] == name] for name in LABEL_COLUMNS)
        candidates = next(filter(None, preferred), about)
    if len(candidates) > 1:
        several = ", ".join(repr(sheet.header[at]) for at in candidates)
        raise LabelError(f"{sheet.name} has several columns that could be meant: {several}; name one with --target.")
    return candidates[0] if candidates else None


def _find_ids(sheet: Sheet, label_at: int, known: set[IdKey]) -> int:
    """Return the column of ids: the one that holds most of the studies', else the one that is named so."""
    named = _named(sheet.header, ID_COLUMNS)
    hits = {
        at: len(known & {id_key(cells[at]) for _, cells in sheet.rows if cells[at]})
        for at in range(len(sheet.header))
        if at != label_at
    }
    most = max(hits.values(), default=0)
    if not named and not most:
        raise LabelError(
            f"{sheet.name} has no column {ID_COLUMN}, nor another that holds the ids of the studies; found "
            f"{', '.join(map(repr, sheet.header))}."
        )
    best = [at for at in [*named, *hits] if hits[at] == most]
    return best[0] if best else named[0]


def _named(header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    names = [normalise_column(column) for column in header]
    return [names.index(name) for name in wanted if name in names]
