"""A checklist: its items from a table beside this module, each answered by evidence, contradicted by it, or the author's.

Numbers and topics follow the publications, in words of our own. Of PROBAST+AI the parts and domains are here; its 34 single
questions are not, and no overall rating is given: that is a reader's judgement.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from core.errors import RunError
from core.files import write_atomic
from core.runs.folder import RunFolder

State = Literal["shown here", "contradicted here", "not shown here", "only the author can say"]
STATES: tuple[State, ...] = ("contradicted here", "not shown here", "only the author can say", "shown here")
"""The gravest first: an item with several pieces of evidence is in the gravest state of one."""
Answers = dict[str, dict[str, str]]
"""The author's words by checklist and number."""
TABLES = Path(__file__).parent
ANSWERS = "claim-answers.json"
"""In the run's folder: what the author filled in, merged whenever the sheet is made anew."""
PUBLISHED = {
    "claim_2024": ("CLAIM 2024", "Tejani et al. 2024, doi 10.1148/ryai.240300; numbers and topics after a summary by others, not checked against the table itself"),
    "tripod_ai": ("TRIPOD+AI", "Collins et al. 2024, doi 10.1136/bmj-2023-078378; numbers and topics checked against a filled-in form"),
    "metrics": ("METRICS", "Kocak et al. 2024, doi 10.1186/s13244-023-01572-w; items and weights checked against its table"),
    "probast_ai": (
        "PROBAST+AI",
        "Moons et al. 2025, doi 10.1136/bmj-2024-082505; by part and domain, its 34 single questions could not be checked",
    ),
}  # fmt: skip
"""Title and source of each table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run shows of one matter."""

    state: State
    text: str
    """The evidence; or, where it is not there, what would show it."""
    anchor: str = ""
    """Part of the sheet where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a checklist."""

    number: str
    section: str
    topic: str
    state: State
    evidence: tuple[Evidence, ...]
    answer: str = ""
    """The author's own words."""
    weight: float = 0.0
    """In METRICS' score; 0 where it does not apply, and in the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """One checklist with its answers."""

    name: str
    title: str
    source: str
    items: tuple[Item, ...]

    def count(self, state: State) -> int:
        """How many items are in a state."""
        return sum(item.state == state for item in self.items)

    @property
    def score(self) -> str:
        """METRICS' score as far as it goes, in words; empty for the others."""
        total = sum(item.weight for item in self.items)
        if not total:
            return ""
        shown = sum(item.weight for item in self.items if item.state == "shown here")
        said = sum(item.weight for item in self.items if item.state == "only the author can say" and item.answer)
        open_ = sum(item.weight for item in self.items if item.state == "only the author can say" and not item.answer)
        return (
            f"METRICS score: {shown / total:.0%} by what is shown here, {(shown + said) / total:.0%} with the author's word "
            f"(taken as yes wherever it was given), {(shown + said + open_) / total:.0%} at most; of the items that apply."
        )


def fill_checklists(
    evidence: Mapping[str, Evidence], answers: Answers, conditions: Iterable[str]
) -> tuple[Checklist, ...]:
    """Return every checklist with its items answered.

    Parameters
    ----------
    evidence
        By the keys that the tables' column "evidence" names.
    answers
        The author's words.
    conditions
        What of METRICS' conditional items applies: "segmentation", "handcrafted", "tabular", "deep".
    """
    apply = {"", *conditions}
    return tuple(
        Checklist(
            name=name,
            title=title,
            source=source,
            items=tuple(_fill(row, evidence, answers.get(name, {}), apply) for row in read_table(name)),
        )
        for name, (title, source) in PUBLISHED.items()
    )


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a checklist's table: number, section, topic, evidence and, of METRICS, weight and condition."""
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_answers(run: RunFolder) -> Answers:
    """Return what the author filled in; empty where nothing was.

    Raises
    ------
    RunError
        The file in the run's folder is damaged.
    """
    path = run.path / ANSWERS
    return parse_answers(path.read_bytes(), str(path)) if path.exists() else {}


def parse_answers(content: bytes, name: str) -> Answers:
    """Return an author's answers from JSON, alone or as "answers" of a claim sheet's JSON.

    Raises
    ------
    RunError
        It is no such document, or names a checklist or number that there is not.
    """
    try:
        document = TypeAdapter(dict[str, object]).validate_json(content)
        answers = TypeAdapter(Answers).validate_python(document.get("answers", document))
    except ValidationError as error:
        raise RunError(
            f'{name} holds no answers; expected JSON such as {{"claim_2024": {{"5": "retrospective"}}}}.'
        ) from error
    for checklist, items in answers.items():
        known = {row["number"] for row in read_table(checklist)} if checklist in PUBLISHED else set()
        strange = sorted(set(items) - known)
        if not known or strange:
            raise RunError(
                f"{name} answers {checklist} {', '.join(strange)}, which there is not; checklists: {', '.join(PUBLISHED)}."
            )
    return answers


def keep_answers(run: RunFolder, answers: Answers) -> Answers:
    """Merge an author's answers into those in the run's folder, and return them all; an empty one takes an old one back."""
    kept = read_answers(run)
    for checklist, items in answers.items():
        merged = {**kept.get(checklist, {}), **{number: text.strip() for number, text in items.items()}}
        kept[checklist] = {number: text for number, text in merged.items() if text}
    write_atomic(run.path / ANSWERS, TypeAdapter(Answers).dump_json(kept, indent=1).decode())
    return kept


def _fill(row: dict[str, str], evidence: Mapping[str, Evidence], answers: dict[str, str], apply: set[str]) -> Item:
    found = tuple(evidence[key] for key in row["evidence"].split())
    states = {one.state for one in found} or {"only the author can say"}
    return Item(
        number=row["number"], section=row["section"], topic=row["topic"], state=next(one for one in STATES if one in states), evidence=found,
        answer=answers.get(row["number"], ""),
        weight=float(row.get("weight") or 0) if row.get("condition", "") in apply else 0.0,
    )  # fmt: skip
