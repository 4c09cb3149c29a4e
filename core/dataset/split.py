"""The split of a cohort into training, validation and test parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config import SplitConfig
from core.dataset.slice_table import SliceTable
from core.errors import SplitError, SplitOverlapError
from core.files import parse_document

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

MORE_PATIENTS = "Add patients, or choose other fractions (--set val_fraction=... --set test_fraction=...)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A partition of a cohort.

    ``train``, ``val`` and ``test`` hold person ids where ``unit`` is "patient" and slice keys where it is
    "slice" (leaky; it exists to reproduce what papers do).

    Raises
    ------
    SplitOverlapError
        A unit stands in two parts.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    unit: Literal["slice", "patient"]
    seed: int
    cohort_digest: str
    source: Literal["drawn", "folders"] = "drawn"
    kept: tuple[str, ...] = ()
    """Keys of the only slices that take part, in whichever part their patient stands; empty keeps all."""

    def __post_init__(self) -> None:
        parts = [set(self.train), set(self.val), set(self.test)]
        shared = sorted((parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2]))
        if shared:
            raise SplitOverlapError(
                f"A split by {self.unit} must keep each {self.unit} in one part, but {_name_some(shared)} "
                f"{'stands' if len(shared) == 1 else 'stand'} in two. Move all of each to one part, or say that the "
                "split leaks with --set split_unit=slice."
            )

    @property
    def leaky(self) -> bool:
        """Whether one person's slices may stand on both sides."""
        return self.unit == "slice"

    @property
    def test_digest(self) -> str:
        """Twelve hex digits over the sorted test units: the key of the ledger of test-set evaluations."""
        return _digest(self.unit, sorted(self.test))

    @property
    def digest(self) -> str:
        """Twelve hex digits over all three parts: ``CheckpointCard.split_digest``."""
        lines = [f"{part}|{unit}" for part in PARTS for unit in sorted(self.units(part))]
        return _digest(self.unit, [*lines, *(f"kept|{key}" for key in sorted(self.kept))])

    def units(self, part: Part) -> tuple[str, ...]:
        """Person ids or slice keys of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[part]

    def indices(self, table: SliceTable, part: Part) -> NDArray[np.int64]:
        """Row numbers of `table` that belong to a part, ascending; unlabelled rows belong to none."""
        column = "person" if self.unit == "patient" else "key"
        member = table.rows[column].isin(self.units(part)) & (table.rows["label"] >= 0)
        if self.kept:
            member &= table.rows["key"].isin(self.kept)
        return np.flatnonzero(member.to_numpy()).astype(np.int64)

    def to_json(self) -> str:
        """Write the split as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Split:
        """Read a split back.

        Raises
        ------
        SplitError
            The text is damaged; SplitOverlapError where a unit stands in two parts.
        """
        try:
            content = parse_document(text)
            if content["unit"] not in ("slice", "patient") or content["source"] not in ("drawn", "folders"):
                raise ValueError(f"unit {content['unit']!r} or source {content['source']!r} is not known")
            parts = {part: _texts(content[part]) for part in PARTS}
            return cls(
                **parts,
                unit=content["unit"],
                seed=int(content["seed"]),
                cohort_digest=str(content["cohort_digest"]),
                source=content["source"],
                kept=_texts(content.get("kept", [])),
            )
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SplitError(
                f"The split cannot be read ({type(error).__name__}: {error}); restore split.json, or start the run anew."
            ) from error


def make_split(table: SliceTable, config: SplitConfig, cohort_digest: str) -> Split:
    """Split by patient or by slice, stratified by label, independent of the order of the input.

    A drawn split by patient depends on persons, their labels, the seed and the fractions only, not on how the scans are prepared;
    its test part not on val_fraction either (``SplitConfig.split_version`` 2). Where the cohort came in TRAIN and VAL or TEST
    folders these are used; a missing VAL is then drawn from TRAIN. Unlabelled rows are left out.

    Parameters
    ----------
    table
        The prepared cohort.
    config
        Unit, fractions and seed.
    cohort_digest
        ``Cohort.digest``, written into the split.

    Raises
    ------
    SplitError
        Two ids of one person have different labels, or a part would lack a class; counts are named.
    SplitOverlapError
        The unit is "patient" and the folders hold one person in two phases.
    """
    rows = table.rows[table.rows["label"] >= 0]
    unit = config.split_unit
    column = "person" if unit == "patient" else "key"
    labels = label_units(rows, column)
    names = table.class_names
    phases = {str(phase) for phase in rows["phase"].unique()} - {""}
    if phases & {"VAL", "TEST"}:
        parts = _take_folders(rows, column, phases, labels, config, names)
    else:
        fractions = {"test": config.test_fraction, "val": config.val_fraction}
        if config.split_version == 1:
            fractions = dict(reversed(fractions.items()))
        parts = _draw(labels, fractions, config.split_seed, names, unit)
    split = Split(
        **{part: tuple(sorted(parts[part])) for part in PARTS},
        unit=unit,
        seed=config.split_seed,
        cohort_digest=cohort_digest,
        source="folders" if phases & {"VAL", "TEST"} else "drawn",
    )
    for part in ("train", "val"):
        _require_classes(part, parts[part], labels, names, unit)
    return split


def label_units(rows: pd.DataFrame, column: str) -> dict[str, int]:
    """Return the label of each unit, in sorted order of the units.

    Parameters
    ----------
    rows
        Labelled rows of a slice table.
    column
        What the unit is: "person", or "key" for single slices.

    Raises
    ------
    SplitError
        One unit has two labels.
    """
    pairs = rows[[column, "label"]].drop_duplicates()
    conflicting = sorted(pairs.loc[pairs[column].duplicated(), column].unique())
    if conflicting:
        ids = sorted(rows.loc[rows[column] == conflicting[0], "study_id"].unique())
        raise SplitError(
            f"Person {conflicting[0]} (studies {', '.join(ids)}) has two different labels; one person has one MGMT status. "
            "Correct the label table, or take one of the studies out."
        )
    return {str(unit): int(label) for unit, label in sorted(zip(pairs[column], pairs["label"], strict=True))}


def _draw(
    labels: Mapping[str, int], fractions: Mapping[str, float], seed: int, names: Sequence[str], unit: str
) -> dict[str, list[str]]:
    """Draw the parts class by class, in the fractions' order; each with a fraction above 0 gets one of each class at least.

    Who is drawn into a part does not depend on the fractions after it.
    """
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    classes = sorted(set(labels.values()))
    if len(classes) < 2:
        raise SplitError(
            f"A split needs two classes, but the labelled {unit}s have {_count(labels, labels, names) or 'no label at all'}. "
            "Add labelled studies of the other class (--labels names a label table)."
        )
    for label in classes:
        members = np.array([name for name, of in labels.items() if of == label])
        members = np.random.default_rng([seed, label]).permutation(members)
        start = 0
        for part, fraction in fractions.items():
            count = max(round(fraction * len(members)), 1) if fraction > 0 else 0
            parts[part] += [str(name) for name in members[start : start + count]]
            start += count
        if start >= len(members):
            wanted = ", ".join(f"{part} {fraction:g}" for part, fraction in fractions.items() if fraction > 0)
            raise SplitError(
                f"{len(members)} {unit}s of class {names[label]} are too few for {wanted} and a training part "
                f"that each hold every class (labelled: {_count(labels, labels, names)}). {MORE_PATIENTS}"
            )
        parts["train"] += [str(name) for name in members[start:]]
    return parts


def _take_folders(
    rows: pd.DataFrame,
    column: str,
    phases: set[str],
    labels: Mapping[str, int],
    config: SplitConfig,
    names: Sequence[str],
) -> dict[str, list[str]]:
    """Use the phases of an ImageFolder tree; an overlap of persons is left to Split to find."""
    if "TRAIN" not in phases:
        raise SplitError(
            f"The folders hold {' and '.join(sorted(phases))} but no TRAIN, so there is nothing to train on. "
            "Name the folder above TRAIN, VAL and TEST, or one of plain class folders."
        )
    parts: dict[str, list[str]] = {
        part: [str(name) for name in rows.loc[rows["phase"] == part.upper(), column].unique()] for part in PARTS
    }
    if "VAL" not in phases:
        held = set(parts["test"])
        train = {name: labels[name] for name in sorted(parts["train"]) if name not in held}
        drawn = _draw(train, {"val": config.val_fraction}, config.split_seed, names, config.split_unit)
        overlap = [name for name in parts["train"] if name in held]
        parts |= {"train": drawn["train"] + overlap, "val": drawn["val"]}
    return parts


def _require_classes(
    part: str, units: Iterable[str], labels: Mapping[str, int], names: Sequence[str], unit: str
) -> None:
    if len({labels[name] for name in units}) < 2:
        raise SplitError(
            f"The {part} part must hold at least two classes, but has {_count(units, labels, names) or 'nobody'} "
            f"({unit}s; labelled in all: {_count(labels, labels, names)}). {MORE_PATIENTS}"
        )


def _count(units: Iterable[str], labels: Mapping[str, int], names: Sequence[str]) -> str:
    found = [labels[name] for name in units]
    return ", ".join(f"{found.count(label)} {names[label]}" for label in sorted(set(found)))


def _digest(unit: str, lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([unit, *lines]).encode()).hexdigest()[:12]


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a part is not a list of names")
    return tuple(values)


def _name_some(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
