"""Numbers and foreign text as they stand on a page."""

from __future__ import annotations

import math
import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=@])")
_LINK = re.compile(r"(?<=www)(?=\.)|(?<=:)(?=//)|(?<=@)(?=\S)", re.IGNORECASE)
"""Where a bare address becomes a link even though its characters have lost their meaning."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

WORD_JOINER = "\u2060"
"""Is not seen, and ends an address."""


def plain(text: object, limit: int = 200) -> str:
    """Text from a file, a header or a URL, made safe to stand inside markdown.

    Markdown, HTML, bare addresses, Streamlit's colour and icon directives and control characters lose their meaning; what is
    longer than `limit` characters is cut.
    """
    clean = _CONTROL.sub(" ", str(text))
    if len(clean) > limit:
        clean = clean[: limit - 1] + "…"
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(WORD_JOINER, clean))


def duration_text(seconds: float | None) -> str:
    """Seconds as a person says them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds is None or math.isnan(seconds):
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rough_duration_text(seconds: float) -> str:
    """Seconds of an estimate, without a precision that it lacks: ``1 minute``, ``46 minutes``, ``5 hours``."""
    minutes = max(1, round(seconds / 60))
    if minutes < 100:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{round(minutes / 60)} hours"


def bytes_text(count: int | None) -> str:
    """``1.3 GiB`` or ``640 MiB``, or a dash where it is not known."""
    if count is None:
        return "–"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def rate_text(per_second: float | None, what: str) -> str:
    """``27.3 images/s``, or a dash before the first measurement."""
    return "–" if per_second is None else f"{per_second:.3g} {what}/s"
