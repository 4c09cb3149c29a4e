"""What a series is by how it was acquired: Image Type, pulse sequence and timing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.data.formats.acquisition import Acquisition
from core.data.sequences.names import Weighting
from core.data.sequences.tables import TABLES

IMAGE_TYPES: dict[str, list[str]] = TABLES["image_types"]
"""Values of Image Type (0008,0008) or Frame Type (0008,9007) after the first two, of series that are none of the four; with
a space for an underscore."""
REFORMATTED_TYPES = frozenset(TABLES["reformatted_types"])
SEQUENCE_NAMES: list[tuple[str, str]] = TABLES["sequence_names"]
"""Patterns of Sequence Name, in lower case, that tell series which are none of the four."""
CONTRASTS: dict[str, Weighting] = TABLES["contrasts"]
"""Values of Acquisition Contrast (0008,9209) that name one of the four."""
ECHO_PLANAR_KINDS: list[str] = TABLES["echo_planar_kinds"]
"""Kinds that are read out by echo planar imaging: such a word on a series that was not is part of another name."""
OVERRULED = frozenset(map(tuple, TABLES["overruled"]))
"""A weighting as it is named, and the timing that says more: the name is right as far as it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRule:
    """A weighting, or another kind, and the times in milliseconds that tell it; both ends of a range belong to it."""

    kind: str
    pulse: Literal["echo", "gradient"]
    """Spin echoes and inversion recoveries of them, or gradient echoes."""
    tr_ms: tuple[float, float]
    te_ms: tuple[float, float]
    ti_ms: tuple[float, float] = (0, 0)
    """An inversion time that is not stated counts as 0."""
    dimensions: str = ""
    """Only series of this MR Acquisition Type, or of none stated."""
    inversion: bool = False
    """Only where Scanning Sequence states an inversion recovery."""


TIMINGS = tuple(TimingRule(**rule) for rule in TABLES["timings"])
"""Tried in order, the first that fits decides. Between them lie margins in which nothing is told."""


def tell_by_image_type(acquisition: Acquisition) -> str:
    """Return what Image Type or Complex Image Component call the image instead of a plain magnitude one; else nothing.

    A GE PROPELLER, which is reconstructed as real values, and an image that is called magnitude as well, are no real part.
    """
    values = {value.replace("_", " ") for value in acquisition.image_type[2:]}
    magnitude = bool(values & {"M", "OTHER", "PROPELLER"})
    for kind, words in IMAGE_TYPES.items():
        if values.intersection(words) and not (magnitude and kind == "a real or imaginary image"):
            return kind
    return str(TABLES["components"].get(acquisition.complex_component, ""))


def tell_by_image(acquisition: Acquisition) -> str:
    """Return what the image is instead of a plain magnitude image of one of the four; empty where nothing says so.

    Read are what :func:`tell_by_image_type` reads, Sequence Name, Echo Planar Pulse Sequence, Angio Flag and Acquisition Contrast.
    """
    by_type = tell_by_image_type(acquisition)
    if by_type:
        return by_type
    for pattern, kind in SEQUENCE_NAMES:
        if re.search(pattern, acquisition.sequence_name.lower()):
            return kind
    if acquisition.echo_planar or "EP" in acquisition.scanning_sequence:
        return "an echo-planar or functional image"
    if acquisition.angiography:
        return "an angiogram"
    return str(TABLES["other_contrasts"].get(acquisition.acquisition_contrast, ""))


def is_reformatted(acquisition: Acquisition, *, named: bool) -> bool:
    """Whether the images were computed from another series, in another plane: by Image Type, or as they are named.

    A name is not believed where Image Type says that they are original: "t1_mpr" is Siemens' MPRAGE as well.
    """
    kind = acquisition.image_type
    if kind[:1] == ("DERIVED",) and "PROJECTION IMAGE" in kind:
        return True
    return not REFORMATTED_TYPES.isdisjoint(kind) or (named and kind[:1] != ("ORIGINAL",))


def tell_by_timing(acquisition: Acquisition) -> str:
    """Return the weighting ("T1", "T2", "FLAIR") or other kind that the timing leaves; empty where it leaves several."""
    tr, te, ti = acquisition.repetition_time_ms, acquisition.echo_time_ms, acquisition.inversion_time_ms or 0
    if not tr or te is None:
        return ""
    gradient = "GR" in acquisition.scanning_sequence
    inversion = "IR" in acquisition.scanning_sequence
    for rule in TIMINGS:
        fits = (
            rule.pulse == ("gradient" if gradient else "echo")
            and rule.tr_ms[0] <= tr <= rule.tr_ms[1]
            and rule.te_ms[0] <= te <= rule.te_ms[1]
            and rule.ti_ms[0] <= ti <= rule.ti_ms[1]
            and (not rule.dimensions or acquisition.acquisition_type in ("", rule.dimensions))
            and (not rule.inversion or inversion)
        )
        if fits:
            return rule.kind
    return ""


def describe_timing(acquisition: Acquisition) -> str:
    """Return the timing in words: "TR 500 ms, TE 12 ms"; empty where none is stated."""
    times = (
        ("TR", acquisition.repetition_time_ms),
        ("TE", acquisition.echo_time_ms),
        ("TI", acquisition.inversion_time_ms),
    )
    return ", ".join(f"{name} {value:g} ms" for name, value in times if value)
