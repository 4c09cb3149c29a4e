"""Which MR sequence each series of a study is, and why: by names, by how it was acquired, and by its fellow series.

A name says the weighting (T1, T2, FLAIR) before the timing does; Image Type and pulse sequence tell what is none of the
four. Whether a T1-weighted series was acquired after contrast is decided for the study as a whole
(:mod:`core.data.sequences.contrast`).

How sure an answer is, is said with it. *certain*: a folder or a file is named as the sequence, or the timing bears a
name out and, for T1, a name or a twin says whether contrast was given. *likely*: one of these alone. *guess*: the timing
alone, the order of acquisition alone, or a name that the timing contradicts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.data.sequences.contrast import Contrast, decide_contrast
from core.data.sequences.evidence import (
    SURENESS,
    Confidence,
    Finding,
    SeriesEvidence,
    find_shared_protocols,
    read_evidence,
)
from core.data.sequences.names import Weighting, read_name
from core.mri import MRSequence

if TYPE_CHECKING:
    from core.data.formats.header import InstanceHeader

SEQUENCES: dict[Weighting, MRSequence] = {"T1": MRSequence.T1W, "T2": MRSequence.T2W, "FLAIR": MRSequence.FLAIR}

TIME_OR_WEIGHTING = re.compile(r"(?:^|[_\-. ])t1[_\-. ](?:.*[_\-. ])?flair(?![a-z])", re.IGNORECASE)
"""A file's name in which T1 may be a time point: P01_T1_flair."""
BIDS_STEM = re.compile(r"(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """A sequence, and what it was recognised by."""

    sequence: MRSequence
    reason: str
    confidence: Confidence = ""
    none_of_the_four: bool = False
    """It is known to be something else, and no word about unnamed series is meant for it."""


def recognise_name(text: str) -> MRSequence | None:
    """Recognise a sequence in a name such as ``T1wCE``, ``t2f``, ``AX_T1_POST`` or ``Sag 3D FLAIR``.

    Returns
    -------
    MRSequence or None
        UNKNOWN where the name says that it is something else (``t2*``, ``DWI``, ``localizer``), None where it
        says nothing.
    """
    name = read_name(text, file=True)
    if name.other:
        return MRSequence.UNKNOWN
    if name.weighting == "T1" and name.mark in ("post", "post?"):
        return MRSequence.T1WCE
    return SEQUENCES[name.weighting] if name.weighting else None


def recognise_sequence(*, folder: str = "", file: str = "", header: InstanceHeader | None = None) -> Recognition:
    """Recognise the sequence of a series of which no fellow is known; see :func:`recognise_study`.

    Parameters
    ----------
    folder, file
        Names (not paths) of the series' folder and of one of its files.
    header
        One of its DICOM headers, where it has any.

    Returns
    -------
    Recognition
        With sequence UNKNOWN where nothing says what it is.
    """
    acquisition = header.acquisition if header else None
    return recognise_study([SeriesEvidence(folder=folder, file=file, acquisition=acquisition)])[0]


def recognise_study(series: Sequence[SeriesEvidence]) -> list[Recognition]:
    """Recognise the sequences of all series of one study together.

    Parameters
    ----------
    series
        The series, in any order: the answer does not depend on it.

    Returns
    -------
    list of Recognition
        One for each series; UNKNOWN, with the reason, for what is none of the four, for what nothing tells, and for
        a reformat of a series that is there.
    """
    shared = find_shared_protocols([one.acquisition for one in series if one.acquisition])
    findings = [read_evidence(one, shared) for one in series]
    originals = [one for one in findings if not one.reformat]
    answers = dict(zip(map(id, originals), map(_answer, originals, decide_contrast(originals)), strict=True))
    pairs = [(one, answers[id(one)]) for one in originals]
    found = [answers.get(id(one)) or _answer_reformat(one, pairs) for one in findings]
    return list(map(_doubt_weighting, series, found))


def is_localiser_name(name: str) -> bool:
    """Whether a folder or a description is that of a localiser (scout, survey): a scan for planning others."""
    return read_name(name).other == "a localiser"


def strip_sequence(stem: str) -> str:
    """Take the sequence off the end of a file's stem: ``BraTS-GLI-00001-000-t2f`` -> ``BraTS-GLI-00001-000``.

    Of a name of BIDS the subject and the session are left: ``sub-1_ses-2_run-01_T1w`` -> ``sub-1_ses-2``.
    """
    bids = BIDS_STEM.match(stem)
    if bids and recognise_name(stem) is not None:
        return bids[1]
    head, _, tail = stem.replace("_", "-").rpartition("-")
    return stem[: len(head)] if head and recognise_name(tail) is not None else stem


def _doubt_weighting(evidence: SeriesEvidence, found: Recognition) -> Recognition:
    """Return an answer as a guess where T1 in the file's name may be a time point and no timing tells."""
    timed = evidence.acquisition is not None and evidence.acquisition.echo_time_ms is not None
    named = TIME_OR_WEIGHTING.search(evidence.file) and found.sequence in (MRSequence.T1W, MRSequence.T1WCE)
    if timed or not named:
        return found
    return replace(
        found,
        confidence="guess",
        reason=f"{found.reason}: a T1-weighted FLAIR, or else FLAIR at a time point T1",
    )


def _answer(finding: Finding, contrast: Contrast | None) -> Recognition:
    """Put what a series says by itself and what the study says of contrast into one answer."""
    if finding.weighting is None:
        other = finding.none_of_the_four and not finding.reason.startswith("several weightings")
        return Recognition(sequence=MRSequence.UNKNOWN, reason=finding.reason, none_of_the_four=other)
    if contrast is None:
        return Recognition(sequence=SEQUENCES[finding.weighting], reason=finding.reason, confidence=finding.confidence)
    return Recognition(
        sequence=MRSequence.T1WCE if contrast.enhanced else MRSequence.T1W,
        reason=f"{finding.reason}; {contrast.reason}" if contrast.reason else finding.reason,
        confidence=min(finding.confidence, contrast.confidence, key=SURENESS.index),
    )


def _answer_reformat(finding: Finding, originals: Sequence[tuple[Finding, Recognition]]) -> Recognition:
    """Set a reformat aside where the study holds an original; else it stands for its sequence, and that is no more than likely."""
    answer = _answer(finding, decide_contrast([finding])[0])
    if finding.weighting == "T1" and not finding.mark:
        replaced = any(one.weighting == "T1" for one, _ in originals)
    else:
        replaced = any(other.sequence is answer.sequence for _, other in originals)
    if finding.weighting is None or not replaced:
        return Recognition(
            sequence=answer.sequence,
            reason=f"{finding.reason}; a reformat, whose original is not there",
            confidence=min(answer.confidence, "likely", key=SURENESS.index),
        )
    reason = f"{finding.reason}, a reformat of another series of the study"
    return Recognition(sequence=MRSequence.UNKNOWN, reason=reason, none_of_the_four=True)
