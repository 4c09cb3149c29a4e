"""What a series is by how it was acquired: Image Type, pulse sequence and timing. Tables of plain values, and their readers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from core.data.formats.acquisition import Acquisition
from core.data.index.sequence_names import Weighting

Range = tuple[float, float]
Pulse = Literal["echo", "gradient", "any"]
"""Which scanning sequence a rule is for: spin echoes (and inversion recoveries of them), gradient echoes, or both."""

IMAGE_TYPES: dict[str, tuple[str, ...]] = {
    "a phase image": ("P", "PHASE", "PHASE MAP", "VELOCITY MAP", "PCA", "PC"),
    "a real or imaginary image": ("R", "REAL", "I", "IMAGINARY"),
    "a map": (
        *("T1 MAP", "T2 MAP", "T2_STAR MAP", "T2 STAR MAP", "R2 MAP", "R2_STAR MAP", "B0 MAP", "B1 MAP", "FIELD_MAP"),
        *("FIELD MAP", "FIELDMAP", "MAP", "T1_MAP", "T2_MAP", "RELCBF", "PBP", "CBF", "CBV", "RCBV", "RCBF", "MTT"),
        *("TTP", "TMAX", "GBP", "QSM"),
    ),
    "a subtraction": ("SUBTRACTION", "SUBTRACT", "SUB"),
    "a diffusion image": ("DIFFUSION", "ADC", "FA", "TRACEW", "TRACE", "TENSOR", "DIFF", "EADC", "MEAN_DIFFUSIVITY"),
    "a perfusion image": ("PERFUSION", "ASL", "DSC", "PERFUSION_ASL"),
    "an echo-planar or functional image": ("FMRI", "EPI", "BOLD", "MOSAIC"),
    "a projection": ("MIP", "MIN IP", "MINIP", "MNIP", "MAX_IP", "MIN_IP", "VRT", "VOLUME_RENDER"),
    "an angiogram": ("ANGIO", "TOF", "FLOW_ENCODED"),
    "a fat or opposed-phase image": ("FAT", "OP", "OUT_PHASE", "OPP_PHASE", "FAT_FRACTION"),
    "a localiser": ("LOCALIZER",),
    "a picture of a screen": ("SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE"),
}
"""Values of Image Type (0008,0008) or Frame Type (0008,9007) after the first two, of series that are none of the four."""
WEIGHTING_OF_TIMING: dict[str, Weighting] = {"T1": "T1", "T2": "T2", "FLAIR": "FLAIR"}
"""Results of :func:`tell_by_timing` that are one of the weightings."""
REFORMATTED_TYPES = frozenset({"MPR", "REFORMATTED", "RESAMPLED", "CSA MPR", "CURVED_MPR", "MPVR", "CSA RESAMPLED"})
SEQUENCE_NAMES: tuple[tuple[str, str], ...] = (
    (r"ep2d|epse|epfid|epi|dwi|ep_b", "an echo-planar or functional image"),
    (r"swi3d|swan", "a susceptibility or T2* image"),
    (r"tof", "an angiogram"),
)
"""Patterns of Sequence Name, in lower case, that tell series which are none of the four."""
COMPONENTS = {
    "PHASE": "a phase image", "REAL": "a real or imaginary image", "IMAGINARY": "a real or imaginary image",
}  # fmt: skip
CONTRASTS: dict[str, Weighting] = {"T1": "T1", "T2": "T2", "FLUID_ATTENUATED": "FLAIR"}
"""Values of Acquisition Contrast (0008,9209) that name one of the four."""
OTHER_CONTRASTS = {
    "DIFFUSION": "a diffusion image", "PERFUSION": "a perfusion image", "T2_STAR": "a susceptibility or T2* image",
    "PROTON_DENSITY": "a proton-density image", "FLOW_ENCODED": "an angiogram", "TOF": "an angiogram",
    "STIR": "a fat-nulled or double inversion image",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRule:
    """A weighting, or another kind, and the times in milliseconds that tell it; both ends of a range belong to it."""

    kind: str
    pulse: Pulse
    tr_ms: Range
    te_ms: Range
    ti_ms: Range = (0, 0)
    """An inversion time that is not stated counts as 0."""
    dimensions: str = ""
    """Only series of this MR Acquisition Type, or of none stated."""
    inversion: bool = False
    """Only where Scanning Sequence states an inversion recovery."""


TIMINGS: tuple[TimingRule, ...] = (
    TimingRule(kind="FLAIR", pulse="echo", tr_ms=(3500, 30000), te_ms=(60, 700), ti_ms=(1400, 3500)),
    TimingRule(kind="FLAIR", pulse="echo", tr_ms=(4000, 30000), te_ms=(60, 700), inversion=True),
    TimingRule(kind="T1", pulse="echo", tr_ms=(200, 1100), te_ms=(0, 35)),
    TimingRule(kind="T1", pulse="echo", tr_ms=(1000, 3500), te_ms=(0, 40), ti_ms=(400, 1300)),
    TimingRule(kind="T1", pulse="gradient", tr_ms=(3, 6000), te_ms=(0, 10), ti_ms=(200, 1500)),
    TimingRule(kind="T1", pulse="gradient", tr_ms=(3, 60), te_ms=(0, 10), ti_ms=(0, 200), dimensions="3D"),
    TimingRule(kind="T1", pulse="gradient", tr_ms=(100, 400), te_ms=(0, 8), dimensions="2D"),
    TimingRule(kind="T2", pulse="echo", tr_ms=(1800, 30000), te_ms=(65, 700)),
    TimingRule(kind="a proton-density image", pulse="echo", tr_ms=(1500, 30000), te_ms=(0, 50)),
    TimingRule(kind="a fat-nulled or double inversion image", pulse="echo", tr_ms=(1500, 20000), te_ms=(0, 150), ti_ms=(80, 350)),
    TimingRule(kind="a susceptibility or T2* image", pulse="gradient", tr_ms=(15, 3000), te_ms=(12, 80)),
)  # fmt: skip
"""Tried in order, the first that fits decides. Between them lie margins in which nothing is told."""


def tell_by_image(acquisition: Acquisition) -> str:
    """Return what the image is instead of a plain magnitude image of one of the four; empty where nothing says so.

    Read are Image Type, Sequence Name, Complex Image Component, Echo Planar Pulse Sequence, Angio Flag and Acquisition Contrast. A GE
    PROPELLER, which is reconstructed as real values, and an image that is called magnitude as well, are no real part.
    """
    values = set(acquisition.image_type[2:])
    magnitude = bool(values & {"M", "PROPELLER"})
    for kind, words in IMAGE_TYPES.items():
        if values.intersection(words) and not (magnitude and kind == "a real or imaginary image"):
            return kind
    if acquisition.image_type[:1] == ("DERIVED",) and "PROJECTION IMAGE" in values:
        return "a projection"
    for pattern, kind in SEQUENCE_NAMES:
        if re.search(pattern, acquisition.sequence_name.lower()):
            return kind
    if acquisition.complex_component in COMPONENTS:
        return COMPONENTS[acquisition.complex_component]
    if acquisition.echo_planar or "EP" in acquisition.scanning_sequence:
        return "an echo-planar or functional image"
    if acquisition.angiography:
        return "an angiogram"
    return OTHER_CONTRASTS.get(acquisition.acquisition_contrast, "")


def is_reformatted(acquisition: Acquisition, *, named: bool) -> bool:
    """Whether the images were computed from another series, in another plane: by Image Type, or as they are named.

    A name is not believed where Image Type says that they are original: "t1_mpr" is Siemens' MPRAGE as well.
    """
    original = acquisition.image_type[:1] == ("ORIGINAL",)
    return bool(REFORMATTED_TYPES.intersection(acquisition.image_type)) or (named and not original)


def tell_by_timing(acquisition: Acquisition) -> str:
    """Return the weighting ("T1", "T2", "FLAIR") or other kind that the timing leaves; empty where it leaves several."""
    tr, te, ti = acquisition.repetition_time_ms, acquisition.echo_time_ms, acquisition.inversion_time_ms or 0
    if not tr or te is None:
        return ""
    gradient = "GR" in acquisition.scanning_sequence
    inversion = "IR" in acquisition.scanning_sequence
    for rule in TIMINGS:
        fits = (
            rule.pulse in ("any", "gradient" if gradient else "echo")
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
