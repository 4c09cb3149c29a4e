"""Which MR sequence a series is, and why we think so: by what it is called, then by how it was acquired.

Names decide before physics: folder, file, Series Description (0008,103E), Protocol Name (0018,1030). Only then
are TR, TE, TI and the contrast agent read, and only where they leave one answer. What remains is unknown.

How sure an answer is, is said with it: what a person stated or the name of a folder or file says is *certain*, and
so is a description that the timing bears out; a description alone is *likely*; the timing alone, or a name that the
timing or the contrast agent contradicts, is a *guess*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from core.mri import MRSequence

if TYPE_CHECKING:
    from core.data.formats.header import InstanceHeader


Confidence = Literal["certain", "likely", "guess", ""]
"""How sure a recognition is; empty where nothing was recognised."""

PLANE_PREFIX = re.compile(r"\b(?:ax|axial|sag|sagittal|cor|coronal|tra)(?=t1|t2|flair|mprage)")
WEIGHTING = re.compile(r"\b(t[12])(?:wi|w)?(?:eighted)?(?=[^0-9]|$)")
MPRAGE = re.compile(r"\bmp ?rage|\bi?r?f?spgr|\bbravo")
CONTRAST = frozenset(
    {"ce", "+c", "gd", "gad", "gado", "gadolinium", "post", "postgd", "postcontrast", "contrast", "km", "enhanced"}
)
NO_CONTRAST = frozenset({"pre", "precontrast", "without", "no", "non", "native"})
OTHER_KINDS = frozenset(
    {"*", "star", "swi", "swan", "adc", "dwi", "dti", "trace", "tracew", "diff", "diffusion", "asl", "perf"}
    | {"perfusion", "dsc", "dce", "bold", "fmri", "epi", "ep2d", "tof", "mra", "mip", "pd", "pdw", "seg", "mask"}
    | {"loc", "localizer", "localiser", "scout", "survey"}
)
LOCALISERS = frozenset({"loc", "localizer", "localiser", "localizers", "localisers", "scout", "scouts", "survey"})
CONTRASTS = {"T1": MRSequence.T1W, "T2": MRSequence.T2W, "FLUID_ATTENUATED": MRSequence.FLAIR}
"""Values of Acquisition Contrast (0008,9209) that name one of the four."""
"""Series of a brain examination that are none of the four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """A sequence, and what it was recognised by."""

    sequence: MRSequence
    reason: str
    confidence: Confidence = ""


def recognise_name(text: str) -> MRSequence | None:
    """Recognise a sequence in a name such as ``T1wCE``, ``t2f``, ``AX_T1_POST`` or ``Sag 3D FLAIR``.

    Returns
    -------
    MRSequence or None
        UNKNOWN where the name says that it is something else (``t2*``, ``DWI``, ``localizer``), None where it
        says nothing.
    """
    words = _split(text)
    tokens = set(words)
    following = set(pairwise(words))
    t1 = "t1" in tokens or MPRAGE.search(" ".join(words)) is not None
    flair = bool(tokens & {"flair", "tirm"}) or bool(following & {("t2", "f"), ("dark", "fluid")})
    t2 = "t2" in tokens
    if tokens & OTHER_KINDS or (t1 and t2):
        return MRSequence.UNKNOWN
    if t1:
        enhanced = bool(tokens & CONTRAST) or ("t1", "c") in following
        return MRSequence.T1WCE if enhanced and not tokens & NO_CONTRAST else MRSequence.T1W
    if flair:
        return MRSequence.FLAIR
    return MRSequence.T2W if t2 else None


def recognise_sequence(*, folder: str = "", file: str = "", header: InstanceHeader | None = None) -> Recognition:
    """Recognise the sequence of a series.

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
    for kind, name in (("folder name", folder), ("file name", file)):
        sequence = recognise_name(name)
        if sequence is not None:
            return _named(sequence, f"{kind} {name!r}", "certain")
    if header is None:
        return Recognition(sequence=MRSequence.UNKNOWN, reason="nothing says which sequence it is")
    physics = _recognise_physics(header)
    for kind, name in (("SeriesDescription", header.series_description), ("ProtocolName", header.protocol_name)):
        sequence = recognise_name(name)
        if sequence is not None:
            return _compare(_named(sequence, f"{kind} {name!r}", "likely"), physics)
    return physics


def is_localiser_name(name: str) -> bool:
    """Whether a folder or a description is that of a localiser (scout, survey): a scan for planning others."""
    return bool(LOCALISERS & set(_split(name)))


def strip_sequence(stem: str) -> str:
    """Take the sequence off the end of a file's stem: ``BraTS-GLI-00001-000-t2f`` -> ``BraTS-GLI-00001-000``."""
    head, _, tail = stem.replace("_", "-").rpartition("-")
    return stem[: len(head)] if head and recognise_name(tail) is not None else stem


def _named(sequence: MRSequence, reason: str, confidence: Confidence) -> Recognition:
    known = sequence is not MRSequence.UNKNOWN
    return Recognition(sequence=sequence, reason=reason, confidence=confidence if known else "")


def _compare(named: Recognition, physics: Recognition) -> Recognition:
    """Weigh a description against the acquisition: borne out, contradicted, or neither."""
    if MRSequence.UNKNOWN in (named.sequence, physics.sequence):
        return named
    if named.sequence is physics.sequence:
        return _named(named.sequence, f"{named.reason}, borne out by {physics.reason}", "certain")
    return _named(named.sequence, f"{named.reason}, though {physics.reason} speaks for {physics.sequence}", "guess")


def _split(text: str) -> list[str]:
    """Split a name into lower-case words, with planes and weightings taken apart: axt1post -> ax, t1, post."""
    plain = re.sub(r"[^a-z0-9*+]+", " ", text.lower())
    plain = PLANE_PREFIX.sub(lambda match: f"{match[0]} ", plain)
    plain = WEIGHTING.sub(r"\1 ", plain)
    return plain.replace("+", " +").split()


def _recognise_physics(header: InstanceHeader) -> Recognition:
    """Recognise the weighting from the timing, in milliseconds, with margins on the side of not knowing."""
    tr, te, ti = header.repetition_time_ms, header.echo_time_ms, header.inversion_time_ms or 0
    kinds = set(header.scanning_sequence.upper().split("\\"))
    sequence = MRSequence.UNKNOWN
    if tr and te and "EP" not in kinds:
        gradient = "GR" in kinds
        if ti >= 1500 and te >= 60 and tr >= 4000:
            sequence = MRSequence.FLAIR
        elif (gradient and te < 10 and (tr < 100 or 300 <= ti <= 1400)) or (not gradient and te <= 30 and tr <= 900):
            sequence = MRSequence.T1WCE if header.contrast_agent else MRSequence.T1W
        elif not gradient and te >= 70 and tr >= 2000 and not ti:
            sequence = MRSequence.T2W
    if sequence is MRSequence.UNKNOWN and header.acquisition_contrast in CONTRASTS:
        sequence = CONTRASTS[header.acquisition_contrast]
        if sequence is MRSequence.T1W and header.contrast_agent:
            sequence = MRSequence.T1WCE
        return _named(sequence, f"AcquisitionContrast {header.acquisition_contrast!r}", "likely")
    timing = ", ".join(f"{name} {value:g} ms" for name, value in (("TR", tr), ("TE", te), ("TI", ti)) if value)
    agent = ", contrast agent" if header.contrast_agent else ""
    reason = f"timing ({timing}{agent})" if timing else "neither name nor timing say which sequence it is"
    return _named(sequence, reason, "guess")
