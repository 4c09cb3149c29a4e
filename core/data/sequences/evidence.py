"""What one series says of its sequence by itself: by its names, its Image Type, its pulse sequence and its timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.data.formats.acquisition import Acquisition
from core.data.sequences.names import WEIGHTINGS, Mark, SeriesName, Weighting, read_name, split_words
from core.data.sequences.rules import (
    CONTRASTS,
    ECHO_PLANAR_KINDS,
    OVERRULED,
    describe_timing,
    is_reformatted,
    tell_by_image,
    tell_by_image_type,
    tell_by_timing,
)

Confidence = Literal["certain", "likely", "guess", ""]
"""How sure a recognition is; empty where nothing was recognised."""
SURENESS: tuple[Confidence, ...] = ("", "guess", "likely", "certain")
"""From the least sure."""
STATED = frozenset(
    tuple(words.split())
    for words in (
        "flair",
        "t2f",
        "t2",
        "t1",
        "t1n",
        "t1 ce",
        "t1 gd",
        "t1 c",
        "t1 post",
        "t1 contrast",
        "t1 km",
        "t1 mdc",
    )
)
"""Whole names of folders and files that state a sequence, against all but an Image Type; a longer one beside DICOM is a
description, and may be wrong."""


NOTHING = SeriesName()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEvidence:
    """What is known of one series of a study."""

    folder: str = ""
    """Name, not path, of its folder."""
    file: str = ""
    """Name of one of its files, without the ending."""
    acquisition: Acquisition | None = None
    """From its header or its sidecar, where it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A weighting, or what the series is instead, and what says so."""

    weighting: Weighting | None
    reason: str
    confidence: Confidence
    acquisition: Acquisition
    base: tuple[str, ...] = ()
    """Words of its name but those about contrast."""
    mark: Mark = ""
    """What its names say of contrast."""
    reformat: bool = False
    """Computed from another series, in another plane."""
    none_of_the_four: bool = False
    """It is known to be something else."""
    stated: bool = False
    """A folder or a file is named as the sequence, and nothing else is asked."""


def find_shared_protocols(acquisitions: Sequence[Acquisition]) -> set[str]:
    """Return the protocol names that several differently named series bear: they name the examination, not a series."""
    descriptions: dict[str, set[str]] = {}
    for one in acquisitions:
        descriptions.setdefault(one.protocol_name, set()).add(one.series_description)
    return {protocol for protocol, names in descriptions.items() if len(names) > 1}


def read_evidence(series: SeriesEvidence, shared_protocols: set[str]) -> Finding:
    """Return what a series says by itself.

    The name of the folder comes before that of the file, Series Description (0008,103E) and Protocol Name (0018,1030),
    of which `shared_protocols` are not read.
    """
    acquisition = series.acquisition or Acquisition()
    protocol = "" if acquisition.protocol_name in shared_protocols else acquisition.protocol_name
    sources = (
        ("folder name", series.folder, False),
        ("file name", series.file, True),
        ("SeriesDescription", acquisition.series_description, False),
        ("ProtocolName", protocol, False),
    )
    names = [(kind, text, read_name(text, file=file)) for kind, text, file in sources if text]
    kind, text, name = next((entry for entry in names if not entry[2].says_nothing), ("", "", NOTHING))
    said = f"{kind} {text!r}"
    by_person = kind in ("folder name", "file name")
    stated = by_person and (series.acquisition is None or tuple(split_words(text)) in STATED)
    timing = tell_by_timing(acquisition)
    image = tell_by_image_type(acquisition) if stated else tell_by_image(acquisition)
    if image:
        against = f", whatever its {said} says" if stated else ""
        return _other(f"{image}, by its header{against}", acquisition)
    if name.other and not _is_anatomical(name, timing, acquisition):
        return _other(f"{name.other}, by its {said}", acquisition)
    judged: tuple[Weighting | None, Confidence, str] = name.weighting, "certain", said
    if not stated:
        judged = _weigh(name, said, timing, acquisition) if name.weighting else _judge_unnamed(timing, acquisition)
    weighting, confidence, reason = judged
    heard = [other for source, _, other in names if other.weighting or source == "SeriesDescription"]
    return Finding(
        weighting=weighting,
        reason=reason,
        confidence=confidence,
        acquisition=acquisition,
        base=next((other.base for source, _, other in reversed(names) if source == "SeriesDescription"), name.base),
        mark=next((one.mark for one in heard if one.mark), ""),
        reformat=not stated and is_reformatted(acquisition, named=name.reformat),
        none_of_the_four=weighting is None and name.weighting is not None,
        stated=stated,
    )


def describe_acquisition(acquisition: Acquisition) -> str:
    """Return the timing and the agent in words: "timing (TR 500 ms, TE 12 ms, contrast agent)"."""
    agent = ", contrast agent" if acquisition.contrast_agent else ""
    return f"timing ({describe_timing(acquisition)}{agent})"


def _other(reason: str, acquisition: Acquisition) -> Finding:
    return Finding(weighting=None, reason=reason, confidence="", acquisition=acquisition, none_of_the_four=True)


def _is_anatomical(name: SeriesName, timing: str, acquisition: Acquisition) -> bool:
    """Whether a word such as DTI belongs to something else: the series has a weighting and was not echo planar."""
    known = bool(acquisition.scanning_sequence) and name.weighting is not None
    return known and name.other in ECHO_PLANAR_KINDS and timing == name.weighting


def _weigh(
    name: SeriesName, said: str, timing: str, acquisition: Acquisition
) -> tuple[Weighting | None, Confidence, str]:
    """Weigh a name against the timing: borne out, contradicted, or neither."""
    named = name.weighting
    how = describe_acquisition(acquisition)
    if timing == named:
        return named, "likely" if name.other else "certain", f"{said}, borne out by {how}"
    if not timing:
        return named, "likely", said
    if (named, timing) in OVERRULED or (name.dual and timing == "a proton-density image"):
        return WEIGHTING_OF_TIMING.get(timing), "likely", f"{said}, and {how} makes it {DESCRIBED.get(timing, timing)}"
    return named, "guess", f"{said}, though {how} speaks for {DESCRIBED.get(timing, timing)}"


WEIGHTING_OF_TIMING: dict[str, Weighting] = {weighting: weighting for weighting in WEIGHTINGS}
"""Results of :func:`core.data.sequences.rules.tell_by_timing` that are one of the weightings."""
DESCRIBED = {"T1": "T1w", "T2": "T2w"}


def _judge_unnamed(timing: str, acquisition: Acquisition) -> tuple[Weighting | None, Confidence, str]:
    """Judge a series whose names say nothing."""
    weighting = WEIGHTING_OF_TIMING.get(timing)
    if weighting is None and acquisition.acquisition_contrast in CONTRASTS:
        said = f"AcquisitionContrast {acquisition.acquisition_contrast!r}"
        return CONTRASTS[acquisition.acquisition_contrast], "likely", said
    if not describe_timing(acquisition):
        return None, "", "neither name nor timing say which sequence it is"
    how = describe_acquisition(acquisition)
    return weighting, "guess" if weighting else "", f"{timing}, by its {how}" if timing and not weighting else how
