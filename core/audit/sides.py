"""What stands on both sides of a split: patients, series, and images that occur twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from core.audit.duplicates import Match
from core.audit.findings import Finding, find
from core.audit.pixels import SeriesPixels
from core.audit.split_source import Parts
from core.audit.structure import series_name
from core.data.select import identify_series, number_series
from core.data.study import Cohort, Series
from core.dataset.split import PARTS, Split
from core.errors import SplitError


class Sides:
    """Where each slice of a cohort stands: "train", "val", "test", or nowhere.

    Parameters
    ----------
    cohort
        The cohort.
    split
        A run's split, or the parts of each study or person; None takes the phases of an ImageFolder tree.

    Raises
    ------
    SplitError
        The split names nobody of this cohort.
    """

    def __init__(self, cohort: Cohort, split: Split | Parts | None) -> None:
        drawn = {part: split.units(part) for part in PARTS} if isinstance(split, Split) else {}
        units = {unit: frozenset((str(part),)) for part, members in drawn.items() for unit in members}
        by_slice = isinstance(split, Split) and split.unit == "slice"
        self._of_slice = {unit: part for part, members in drawn.items() for unit in members} if by_slice else {}
        self._of_study: dict[str, frozenset[str]] = {}
        if split is not None and not isinstance(split, Split):
            units = split
        for study in cohort:
            phase = study.phase.lower() if study.phase and split is None else None
            # The study's own id first: its person may have come into the identity table after the split was made.
            parts = frozenset((phase,)) if phase else units.get(study.study_id) or units.get(study.person)
            if parts:
                self._of_study[study.study_id] = parts
        self._starts = _key_starts(cohort)
        self._of_start: dict[str, set[str]] = defaultdict(set)
        for key, part in self._of_slice.items():
            self._of_start[key[: key.rfind("|") + 1]].add(part)
        if split is not None and not any(self.parts(series) for series in cohort.series):
            described = (
                f"(cohort {split.cohort_digest}) names no {split.unit}" if isinstance(split, Split) else "names nobody"
            )
            raise SplitError(
                f"The split {described} of {cohort.root} (cohort {cohort.digest}); audit the data that the run was trained on, or the split made of."
            )

    def part(self, series: Series, index: int) -> str | None:
        """Return where one slice stands; `index` is its place in the volume, or among the series' images."""
        if self._of_slice:
            return self._of_slice.get(f"{self._starts[identify_series(series)]}{index}")
        parts = self._of_study.get(series.study_id, frozenset())
        return next(iter(parts)) if len(parts) == 1 else None

    def parts(self, series: Series) -> set[str]:
        """Return every part in which a slice of a series stands."""
        if self._of_slice:
            return self._of_start.get(self._starts[identify_series(series)], set())
        return set(self._of_study.get(series.study_id, ()))


def find_both_sides(
    cohort: Cohort, sides: Sides, pairs: Sequence[tuple[Series, SeriesPixels]], matches: Iterable[Match]
) -> Iterator[Finding]:
    """Yield every patient, every series, and every pair of series sharing an image that stands in two parts."""
    parts: dict[str, set[str]] = defaultdict(set)
    studies: dict[str, list[str]] = defaultdict(list)
    for study in cohort:
        studies[study.person].append(study.study_id)
        parts[study.person].update(*(sides.parts(series) for series in study.series))
    for person, found in parts.items():
        if len(found) > 1:
            text = f"Patient {person} ({_list(studies[person], 'study', 'studies')}) stands in {_parts(found)}."
            yield find("patient-on-both-sides", studies[person], text)
    for series in cohort.series:
        if len(sides.parts(series)) > 1:
            text = f"Slices of {series_name(series)} stand in {_parts(sides.parts(series))}."
            yield find("series-on-both-sides", [series_name(series)], text)
    torn: dict[tuple[int, int, frozenset[str]], list[str]] = defaultdict(list)
    for match in matches:
        found = {part for number, index in (match.first, match.second) if (part := sides.part(pairs[number][0], index))}
        if len(found) > 1:
            files = [pairs[number][1].files[index] for number, index in (match.first, match.second)]
            torn[match.first[0], match.second[0], frozenset(found)] += files
    for (first, second, found_in), files in torn.items():
        one, other = series_name(pairs[first][0]), series_name(pairs[second][0])
        unique = list(dict.fromkeys(files))
        text = (
            f"{_list(unique, 'image', 'images')} of {one} and {other} that show the same stand in {_parts(found_in)}."
        )
        yield find("duplicate-on-both-sides", unique, text)


def _key_starts(cohort: Cohort) -> dict[tuple[str, ...], str]:
    """Return how the keys of each series' slices begin, as :func:`core.dataset.table.build_table` writes them."""
    numbers = number_series(cohort.series)
    return {key: f"{key[0]}|{key[1]}|{number}|" for key, number in numbers.items()}


def _parts(parts: Iterable[str]) -> str:
    return " and ".join(part for part in PARTS if part in set(parts))


def _list(names: Sequence[str], one: str, many: str) -> str:
    return f"{one} {names[0]}" if len(names) == 1 else f"{len(names)} {many}"
