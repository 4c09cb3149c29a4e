"""Which sections the Validity page has, in which order, and what each asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    seal,
    shortcuts,
    specification,
    thresholds,
    twin,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question that a figure must answer."""

    name: str
    """In the page's address."""
    title: str
    question: str
    """What it asks, in one sentence."""
    group: str
    draw: Callable[[], None]


BEFORE, FIGURE, CONTROL, CLAIM = "Before you look", "The figure", "Controls", "The claim"
GROUPS = (BEFORE, FIGURE, CONTROL, CLAIM)

SECTIONS: tuple[Section, ...] = (
    Section(
        name="power",
        title="Power",
        question="Could this many patients have told the truth at all?",
        group=BEFORE,
        draw=power.draw_section,
    ),
    Section(
        name="seal",
        title="Sealed plan",
        question="Was it fixed what would count as success before anybody looked?",
        group=BEFORE,
        draw=seal.draw_section,
    ),
    Section(
        name="intervals",
        title="Intervals",
        question="How far could the same model have landed on other patients?",
        group=FIGURE,
        draw=intervals.draw_section,
    ),
    Section(
        name="optimism",
        title="Optimism",
        question="How much of it comes from choosing the best epoch?",
        group=FIGURE,
        draw=optimism.draw_section,
    ),
    Section(
        name="calibration",
        title="Calibration",
        question="When it says 70%, is it 70%? And does it know when it cannot tell?",
        group=FIGURE,
        draw=calibration.draw_section,
    ),
    Section(
        name="thresholds",
        title="Thresholds",
        question="What follows from a yes or a no at each threshold, and is acting on it worth anything?",
        group=FIGURE,
        draw=thresholds.draw_section,
    ),
    Section(
        name="leak",
        title="Leak meter",
        question="How far does a copy of the most similar slice get, with nothing trained?",
        group=CONTROL,
        draw=leak_meter.draw_section,
    ),
    Section(
        name="twin",
        title="Twin run",
        question="How much of the figure is owed to siblings of the evaluated slices in training?",
        group=CONTROL,
        draw=twin.draw_section,
    ),
    Section(
        name="random",
        title="Random labels",
        question="What does the same network reach where nothing can be learnt?",
        group=CONTROL,
        draw=twin.draw_random_labels,
    ),
    Section(
        name="permutation",
        title="Permutation test",
        question="Is it better than with labels shuffled among the patients?",
        group=CONTROL,
        draw=permutation.draw_section,
    ),
    Section(
        name="shortcuts",
        title="Shortcuts",
        question="Does something other than the tumour give the label away?",
        group=CONTROL,
        draw=shortcuts.draw_section,
    ),
    Section(
        name="maps",
        title="Are the maps true?",
        question="Does the map point at the tumour, and does it depend on what was learnt?",
        group=CONTROL,
        draw=maps.draw_section,
    ),
    Section(
        name="audit",
        title="Audit of a split",
        question="Does a patient, or the same image, stand in training and in test?",
        group=CONTROL,
        draw=audit.draw_section,
    ),
    Section(
        name="specification",
        title="Specification curve",
        question="Does the result hold for other choices that were just as reasonable?",
        group=CLAIM,
        draw=specification.draw_section,
    ),
    Section(
        name="claim",
        title="Claim sheet",
        question="What may be claimed, and what was not checked?",
        group=CLAIM,
        draw=claim.draw_section,
    ),
)


def find_section(name: str | None) -> Section:
    """The section of a name, or the first one."""
    return next((section for section in SECTIONS if section.name == name), SECTIONS[0])
