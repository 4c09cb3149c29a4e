"""How a series was acquired, as its DICOM headers or the BIDS sidecar beside its NIfTI file state it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import DataError, DocumentError
from core.files import read_document

LARGEST_SIDECAR = 4 * 2**20
"""Bytes; dcm2niix writes a few kilobytes."""
CLOCK = re.compile(r"(\d{1,2}):?(\d{1,2}):?(\d{1,2}(?:\.\d*)?)")
NO_AGENT = re.compile(
    r"(no?|none.*|n/?a|not? .*|nil|unknown|false|plain|nativ.*|w/?o|s/c|0+([.,]0+)?( ?ml)?|-*|yok|brak"
    r"|without.*|ohne.*|kein.*|nein|sans.*|aucun.*|non|sin( .*)?|ningun.*|senza.*|nessun.*|sem( .*)?|nenhum.*"
    r"|zonder.*|geen.*|bez.*|net|utan.*|uten.*|uden.*|ingen.*)",
    re.IGNORECASE,
)
"""What is typed where no agent was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """What a series says about its acquisition; what is not stated is empty or None."""

    series_description: str = ""
    """Series Description (0008,103E)."""
    protocol_name: str = ""
    """Protocol Name (0018,1030)."""
    examination: str = ""
    """Study Description (0008,1030) or Performed Procedure Step Description (0040,0254)."""
    sequence_name: str = ""
    """Sequence Name (0018,0024) or Pulse Sequence Name (0018,9005): "*spcir_284ns", "T1TFE"."""
    scanning_sequence: tuple[str, ...] = ()
    """Scanning Sequence (0018,0020): SE, GR, IR, EP, RM."""
    scan_options: tuple[str, ...] = ()
    """Scan Options (0018,0022); FS is fat saturation."""
    acquisition_type: str = ""
    """MR Acquisition Type (0018,0023): 2D or 3D."""
    image_type: tuple[str, ...] = ()
    """Image Type (0008,0008), for example ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")."""
    complex_component: str = ""
    """Complex Image Component (0008,9208): MAGNITUDE, PHASE, REAL, IMAGINARY, MIXED."""
    echo_planar: bool = False
    """Echo Planar Pulse Sequence (0018,9018) is YES."""
    angiography: bool = False
    """Angio Flag (0018,0025) is Y."""
    acquisition_contrast: str = ""
    """Acquisition Contrast (0008,9209) of enhanced MR: T1, T2, FLUID_ATTENUATED, DIFFUSION, ..."""
    contrast_agent: str = ""
    """Contrast/Bolus Agent (0018,0010); empty where it says that there was none."""
    injected_seconds: float | None = None
    """Contrast/Bolus Start Time (0018,1042), since midnight."""
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    series_number: int | None = None
    synthetic: bool = False
    """Of a sidecar: whether the scan is synthetic."""
    acquired_seconds: float | None = field(default=None, compare=False)
    """Acquisition Time (0008,0032) of one of its images, since midnight; the images of a series differ in it."""


def read_sidecar(path: Path) -> Acquisition:
    """Return what a BIDS sidecar (.json) says; raises as :func:`load_sidecar` does."""
    return acquisition_of_sidecar(load_sidecar(path))


def load_sidecar(path: Path) -> dict[str, Any]:
    """Return the fields of a BIDS sidecar (.json).

    Raises
    ------
    DataError
        It cannot be read as a JSON object; the message says to convert again.
    """
    try:
        if path.stat().st_size > LARGEST_SIDECAR:
            raise DataError(f"{path.name} is larger than a sidecar ever is; remove it or convert the scan again.")
        content = read_document(path)
    except (OSError, DocumentError) as error:
        raise DataError(f"{path.name} cannot be read as JSON ({error}); convert the scan again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path.name} holds no JSON object, so it is no sidecar; convert the scan again.")
    return content


def acquisition_of_sidecar(content: Mapping[str, Any]) -> Acquisition:
    """Return what the fields of a sidecar say; seconds become milliseconds, and odd values count as not stated.

    Older converters write an underscore between the values of ScanningSequence ("GR_IR").
    """

    def text(*keywords: str) -> str:
        values = [content[keyword] for keyword in keywords if isinstance(content.get(keyword), str)]
        return next((value.strip()[:256] for value in values if value.strip()), "")

    def parts(keyword: str, between: str = "\\") -> tuple[str, ...]:
        value = content.get(keyword)
        text = "\\".join(map(str, value)) if isinstance(value, list) else str(value or "")
        return split_values(text.replace(between, "\\"))

    def number(keyword: str) -> float | None:
        value = content.get(keyword)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def milliseconds(keyword: str) -> float | None:
        seconds = number(keyword)
        return None if seconds is None else 1000 * seconds

    series_number = number("SeriesNumber")
    return Acquisition(
        series_description=text("SeriesDescription"),
        protocol_name=text("ProtocolName"),
        examination=text("ProcedureStepDescription", "StudyDescription"),
        sequence_name=text("SequenceName", "PulseSequenceName", "PulseSequenceDetails"),
        scanning_sequence=parts("ScanningSequence", "_"),
        scan_options=parts("ScanOptions"),
        acquisition_type=text("MRAcquisitionType"),
        image_type=parts("ImageType"),
        complex_component=text("ComplexImageComponent").upper(),
        echo_planar=text("EchoPlanarPulseSequence").upper() == "YES",
        angiography=text("AngioFlag").upper() == "Y",
        acquisition_contrast=text("AcquisitionContrast").upper(),
        contrast_agent=agent_of(text("ContrastBolusAgent", "ContrastBolusIngredient")),
        injected_seconds=seconds_of(text("ContrastBolusStartTime")),
        repetition_time_ms=milliseconds("RepetitionTime"),
        echo_time_ms=milliseconds("EchoTime"),
        inversion_time_ms=milliseconds("InversionTime"),
        flip_angle_deg=number("FlipAngle"),
        series_number=None if series_number is None else int(series_number),
        synthetic=content.get("Synthetic") is True,
        acquired_seconds=seconds_of(text("AcquisitionTime")),
    )


def scanner_of_sidecar(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fields of a sidecar say of the scanner: manufacturer, scanner, field_strength_tesla and site."""

    def text(keyword: str) -> str:
        value = content.get(keyword)
        return value.strip()[:64] if isinstance(value, str) else ""

    strength = content.get("MagneticFieldStrength")
    known = isinstance(strength, int | float) and math.isfinite(strength)
    return {
        "manufacturer": text("Manufacturer"),
        "scanner": text("ManufacturersModelName"),
        "field_strength_tesla": float(strength) if known and strength is not None else None,
        "site": text("InstitutionName"),
    }


def split_values(text: str) -> tuple[str, ...]:
    """Split a multi-valued attribute ("SK\\\\SP") into its values, in capitals."""
    return tuple(part.strip().upper() for part in text.split("\\") if part.strip())


def agent_of(text: str) -> str:
    """Return the contrast agent; empty where the text says that there was none."""
    return "" if NO_AGENT.fullmatch(text.strip()) else text.strip()


def seconds_of(text: str) -> float | None:
    """Return a time of day (HHMMSS.f of DICOM, HH:MM:SS.f of a sidecar) in seconds since midnight; None for any other."""
    found = CLOCK.match(text)
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) if found else None
