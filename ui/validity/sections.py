"""Which sections the Validity page has, in which order, and what each asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.evaluation.figure import ESTIMAND_OF, estimand_of
from ui.validity import (
    audit,
    calibration,
    claim,
    intervals,
    leak_meter,
    maps,
    optimism,
    permutation,
    power,
    robustness,
    seal,
    shortcuts,
    specification,
    thresholds,
    twin,
)


@dataclass(frozen=True, slots=True)
class Section:
    """One question that a figure must answer."""

    name: str
    """In the page's address."""
    title: str
    group: str
    draw: Callable[[], None]

    @property
    def question(self) -> str:
        """What it asks, in one sentence."""
        return QUESTIONS[self.name]

    @property
    def estimand(self) -> str:
        """What its figures estimate; nothing where it shows none of scans."""
        kind = KINDS.get(self.name, self.name)
        return estimand_of(kind) if kind in ESTIMAND_OF else ""


KINDS = {"leak": "leak_meter", "random": "twin", "positive": "positive_control"}
"""Sections whose kind of question has another name."""
BEFORE, FIGURE, CONTROL, CLAIM = "Before you look", "The figure", "Controls", "The claim"
GROUPS = (BEFORE, FIGURE, CONTROL, CLAIM)

QUESTIONS = {
    "power": "Could this many patients have told the truth at all?",
    "seal": "Was it fixed what would count as success before anybody looked?",
    "intervals": "How far could the same model have landed on other patients?",
    "optimism": "How much of it comes from choosing the best epoch?",
    "calibration": "When it says 70%, is it 70%? And does it know when it cannot tell?",
    "thresholds": "What follows from a yes or a no at each threshold, and is acting on it worth anything?",
    "leak": "How far does a copy of the most similar slice get, with nothing trained?",
    "twin": "How much of the figure is owed to siblings of the evaluated slices in training?",
    "random": "What does the same network reach where nothing can be learnt?",
    "permutation": "Is it better than with labels shuffled among the patients?",
    "shortcuts": "Does something other than the tumour give the label away?",
    "maps": "Does the map point at the tumour, and does it depend on what was learnt?",
    "audit": "Does a patient, or the same image, stand in training and in test?",
    "positive": "Does the same pipeline find what can be found?",
    "robustness": "How far does the answer move when the scan is disturbed?",
    "specification": "Does the result hold for other choices that were just as reasonable?",
    "claim": "What may be claimed, and what was not checked?",
}
"""What each section asks, in one sentence."""

SECTIONS = (
    Section("power", "Power", BEFORE, power.draw_section),
    Section("seal", "Sealed plan", BEFORE, seal.draw_section),
    Section("intervals", "Intervals", FIGURE, intervals.draw_section),
    Section("optimism", "Optimism", FIGURE, optimism.draw_section),
    Section("calibration", "Calibration", FIGURE, calibration.draw_section),
    Section("thresholds", "Thresholds", FIGURE, thresholds.draw_section),
    Section("leak", "Leak meter", CONTROL, leak_meter.draw_section),
    Section("twin", "Twin run", CONTROL, twin.draw_section),
    Section("random", "Random labels", CONTROL, twin.draw_random_labels),
    Section("permutation", "Permutation test", CONTROL, permutation.draw_section),
    Section("shortcuts", "Shortcuts", CONTROL, shortcuts.draw_section),
    Section("maps", "Are the maps true?", CONTROL, maps.draw_section),
    Section("audit", "Audit of a split", CONTROL, audit.draw_section),
    Section("positive", "Positive control", CONTROL, robustness.draw_positive),
    Section("robustness", "Robustness", CLAIM, robustness.draw_section),
    Section("specification", "Specification curve", CLAIM, specification.draw_section),
    Section("claim", "Claim sheet", CLAIM, claim.draw_section),
)


def find_section(name: str | None) -> Section:
    """The section of a name, or the first one."""
    return next((section for section in SECTIONS if section.name == name), SECTIONS[0])
