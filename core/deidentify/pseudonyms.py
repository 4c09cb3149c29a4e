"""Pseudonyms, UIDs and dates of a de-identified copy: all from one secret key, so that equal things stay equal.

The key is made for one copy and kept in MGMT_LAB_HOME until the copy is complete; without it nobody can go back from a
UID or a date, nor try ids until one fits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.uid import UID

LONGEST_SHIFT_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What replaces ids, UIDs and dates."""

    key: bytes

    def number_persons(self, persons: Iterable[str]) -> dict[str, str]:
        """Return five digits for each person, in an order that says nothing."""
        shuffled = sorted(set(persons), key=lambda person: self._digest("person", person))
        return {person: f"{number:05}" for number, person in enumerate(shuffled, 1)}

    def shift_days(self, person: str) -> int:
        """Return by how many days all dates of a person move: 1 to 3,650 back, so that intervals stay as they are."""
        return -1 - int.from_bytes(self._digest("days", person)[:8], "big") % LONGEST_SHIFT_DAYS

    def replace_uid(self, uid: str) -> str:
        """Return what stands for a UID in all files of the copy; one that DICOM itself defines stays (PS3.6 annex A)."""
        if not uid or UID(uid).name != uid:
            return uid
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{kind}:{text}".encode(), hashlib.sha256)


def shift_date(text: str, days: int) -> str:
    """Move a DICOM date (YYYYMMDD, or a date and time that begins so) by some days; empty where it is none."""
    try:
        day = date.fromisoformat(text[:8]) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    time_of_day = text[8:].split("&")[0].split("+")[0].split("-")[0]
    return f"{day:%Y%m%d}{time_of_day if time_of_day.replace('.', '').isdigit() else ''}"
