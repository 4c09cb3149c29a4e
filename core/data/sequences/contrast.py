"""Which of a study's T1-weighted series were acquired after contrast, and how that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.data.formats.acquisition import Acquisition
from core.data.sequences.evidence import SURENESS, Confidence, Finding
from core.data.sequences.names import AGENTS, read_name, split_words

ONE_SESSION_SECONDS = 90 * 60
"""Series further apart than this are not of one session, or their times are not to be trusted."""
DAY_SECONDS = 24 * 3600
LARGEST_SERIES_NUMBER = 100_000
"""Larger ones are made up by an archive, and say nothing of the order."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Whether a series was acquired after contrast, how sure that is, and a reason to be added to the series' own."""

    enhanced: bool
    confidence: Confidence
    reason: str = ""


def decide_contrast(findings: Sequence[Finding]) -> list[Contrast | None]:
    """Decide for every T1-weighted series of one study whether it was acquired after contrast.

    Names decide; then, for a series whose names do not say it, the injection time, the contrast agent of some series
    and not of others, a twin of the same name but for the word for contrast, a series after a marked one, and where no
    series is marked the order of acquisition, which alone is never more than likely.

    Parameters
    ----------
    findings
        All series of the study, without reformats; the T2-weighted and FLAIR ones tell what came last.

    Returns
    -------
    list
        One entry per finding; None for what is not T1-weighted.
    """
    t1 = [one for one in findings if one.weighting == "T1"]
    marked = [one for one in t1 if one.mark == "post" or (one.mark == "post?" and _has_unmarked_twin(one, t1))]
    decided = {id(one): _by_own_word(one, marked, t1) for one in t1}
    decided |= {id(one): _by_agent(one, t1) for one in t1 if decided[id(one)] is None}
    unmarked = [one for one in t1 if decided[id(one)] is None]
    enhanced = [(one, found) for one in t1 if (found := decided[id(one)]) and found.enhanced]
    plain = [one for one in t1 if one.mark == "pre"]
    if enhanced:
        decided |= {id(one): _beside_enhanced(one, enhanced, plain) for one in unmarked}
    elif plain or len(unmarked) > 1:
        decided |= _by_order(unmarked, plain)
    else:
        decided |= {id(one): _alone(one, findings) for one in unmarked}
    return [decided.get(id(one)) for one in findings]


def compare_order(one: Acquisition, other: Acquisition) -> int:
    """Return 1 where `other` was acquired after `one`, -1 where before, 0 where that is not known.

    Acquisition time and series number must not contradict each other; times are of one session, past midnight too.
    """
    times = one.acquired_seconds, other.acquired_seconds
    by_time = 0
    if times[0] is not None and times[1] is not None:
        later = (times[1] - times[0]) % DAY_SECONDS
        if ONE_SESSION_SECONDS < later < DAY_SECONDS - ONE_SESSION_SECONDS:
            return 0
        by_time = 0 if later == 0 else 1 if later <= ONE_SESSION_SECONDS else -1
    numbers = one.series_number, other.series_number
    by_number = 0
    if numbers[0] is not None and numbers[1] is not None and max(numbers[0], numbers[1]) < LARGEST_SERIES_NUMBER:
        by_number = (numbers[1] > numbers[0]) - (numbers[1] < numbers[0])
    if by_time and by_number and by_time != by_number:
        return 0
    return by_time or by_number


def is_twin(one: Finding, other: Finding) -> bool:
    """Whether two series have the same name but for what it says about contrast."""
    return one is not other and bool(one.base) and one.base == other.base


def _has_unmarked_twin(finding: Finding, t1: Sequence[Finding]) -> bool:
    return any(is_twin(finding, other) and not other.mark for other in t1)


def _by_own_word(finding: Finding, marked: Sequence[Finding], t1: Sequence[Finding]) -> Contrast | None:
    if any(finding is one for one in marked):
        return Contrast(True, "certain")
    if finding.mark == "pre":
        return Contrast(False, "likely" if finding.acquisition.contrast_agent else "certain")
    if finding.mark == "post?":
        return Contrast(True, "likely")
    if finding.stated:
        alone = sum(one.stated and not one.mark for one in t1) == 1
        return Contrast(False, "certain" if alone else "likely")
    return None


def _by_agent(finding: Finding, t1: Sequence[Finding]) -> Contrast | None:
    """Judge by the injection time and by the agent; an agent in every series says nothing of one, unless it is alone."""
    acquisition = finding.acquisition
    injected, acquired = acquisition.injected_seconds, acquisition.acquired_seconds
    if injected is not None and acquired is not None and acquisition.contrast_agent:
        later = (acquired - injected) % DAY_SECONDS <= ONE_SESSION_SECONDS
        return Contrast(later, "likely", f"acquired {'after' if later else 'before'} the injection")
    if acquisition.contrast_agent and (len(t1) == 1 or any(not one.acquisition.contrast_agent for one in t1)):
        return Contrast(True, "likely", "with a contrast agent")
    return None


def _beside_enhanced(
    finding: Finding, enhanced: Sequence[tuple[Finding, Contrast]], plain: Sequence[Finding]
) -> Contrast:
    """Judge a series without a mark beside series that are after contrast; it is no surer than the surest of them.

    A twin that came after its marked one is never certain (its mark may have been forgotten), nor, where others are named as
    before contrast, one that did not come before them.
    """
    twins = [(one, found.confidence) for one, found in enhanced if is_twin(finding, one)]
    if twins:
        later = any(compare_order(one.acquisition, finding.acquisition) == 1 for one, _ in twins)
        sure = "likely" if later else max((confidence for _, confidence in twins), key=SURENESS.index)
        return Contrast(False, sure, "its twin is the one after contrast")
    orders = [compare_order(one.acquisition, finding.acquisition) for one, _ in enhanced]
    if 1 in orders:
        return Contrast(True, "likely", "acquired after a series with contrast")
    if all(order == -1 for order in orders):
        first = all(compare_order(one.acquisition, finding.acquisition) == -1 for one in plain)
        sure = max((found.confidence for _, found in enhanced), key=SURENESS.index) if first else "likely"
        return Contrast(False, sure, "acquired before the series with contrast")
    return Contrast(False, "likely", "another series is the one after contrast")


def _by_order(unmarked: Sequence[Finding], before: Sequence[Finding]) -> dict[int, Contrast]:
    """Judge several series of which none is marked as after contrast."""
    given = _speak_of_contrast([*unmarked, *before])
    if given == "without":
        return {id(one): Contrast(False, "likely", "the examination was without contrast") for one in unmarked}
    sure: Confidence = "likely" if given == "with" or before else "guess"
    if before:
        return {id(one): _after_plain(one, before, sure) for one in unmarked}
    split = _split_by_time(unmarked)
    if split:
        reasons = "the first acquired of several T1w", "acquired after the other T1w"
        return {id(one): Contrast(later, sure, reasons[later]) for one, later in split}
    for trait, words in TRAITS:
        having = [trait(one, unmarked) for one in unmarked]
        if any(having) and not all(having):
            return {
                id(one): Contrast(has, "guess", f"of several T1w {'' if has else 'not '}one {words}")
                for one, has in zip(unmarked, having, strict=True)
            }
    untold = Contrast(False, "guess", "nothing tells which of several T1w is after contrast")
    return {id(one): untold if given == "with" else Contrast(False, "likely") for one in unmarked}


def _after_plain(finding: Finding, before: Sequence[Finding], sure: Confidence) -> Contrast:
    """Judge a series beside one that says that it is without contrast."""
    orders = [compare_order(one.acquisition, finding.acquisition) for one in before]
    if all(order == 1 for order in orders):
        return Contrast(True, sure, "acquired after the T1w without contrast")
    if -1 in orders:
        return Contrast(False, "likely", "acquired before a T1w without contrast")
    twin = any(is_twin(finding, one) for one in before)
    return Contrast(twin, "guess", "its twin is without contrast" if twin else "another T1w is without contrast")


def _split_by_time(unmarked: Sequence[Finding]) -> list[tuple[Finding, bool]]:
    """Split series at the largest gap in time, each with whether it lies after; empty where their order is not known."""
    places = [
        (sum(compare_order(other.acquisition, one.acquisition) == 1 for other in unmarked), one) for one in unmarked
    ]
    places.sort(key=lambda pair: pair[0])
    if [place for place, _ in places] != list(range(len(places))):
        return []
    ordered = [one for _, one in places]
    gaps = [
        ((after.acquisition.acquired_seconds or 0) - (first.acquisition.acquired_seconds or 0)) % DAY_SECONDS
        for first, after in pairwise(ordered)
    ]
    first_after = 1 + max(range(len(gaps)), key=gaps.__getitem__)
    return [(one, place >= first_after) for place, one in enumerate(ordered)]


def _alone(finding: Finding, findings: Sequence[Finding]) -> Contrast:
    """Judge the only T1-weighted series: plain, unless it is a volume acquired last in an examination with contrast."""
    others = [one for one in findings if one is not finding and one.weighting]
    last = bool(others) and all(compare_order(one.acquisition, finding.acquisition) == 1 for one in others)
    if last and _is_volume(finding) and _speak_of_contrast([finding]) == "with":
        return Contrast(True, "guess", "the only T1w, acquired last in an examination with contrast")
    return Contrast(False, "likely")


def _is_volume(finding: Finding, _: Sequence[Finding] = ()) -> bool:
    return finding.acquisition.acquisition_type == "3D"


def _is_fat_saturated(finding: Finding, _: Sequence[Finding]) -> bool:
    return "FS" in finding.acquisition.scan_options


def _has_further_words(finding: Finding, fellows: Sequence[Finding]) -> bool:
    """Whether a series is named as another is, and something more."""
    base = finding.base
    return any(one.base and one.base != base and set(one.base) < set(base) for one in fellows)


TRAITS: tuple[tuple[Callable[[Finding, Sequence[Finding]], bool], str], ...] = (
    (_has_further_words, "with a further word in its name"),
    (_is_volume, "acquired as a volume"),
    (_is_fat_saturated, "with fat saturation"),
)
"""What a series after contrast often has and one before often has not; tried in order, and never more than a guess."""


def _speak_of_contrast(findings: Sequence[Finding]) -> str:
    """Return "with" or "without" as the description of the examination says; empty where it says neither."""
    said = {one.acquisition.examination for one in findings}
    words = {word for text in said for word in split_words(text)}
    if not words.intersection(AGENTS):
        return ""
    return "without" if all(read_name(text).mark == "pre" for text in said) else "with"
