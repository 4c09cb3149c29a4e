"""Which DICOM attributes can tell who a patient is, or where and by whom he or she was examined.

A choice of the direct identifiers among the attributes that the Basic Application Level Confidentiality Profile
(DICOM PS3.15 Annex E, table E.1-1) removes or replaces, with the dates.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword

from core.files import load_table

_WORDS = load_table(__file__)
KEYWORDS = tuple(_WORDS["keywords"])
IDENTIFYING: dict[int, str] = {tag: keyword for keyword in KEYWORDS if (tag := tag_for_keyword(keyword)) is not None}
"""Tag to keyword."""
