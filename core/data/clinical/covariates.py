"""What a clinical table says of a person beside the label: an allow-list, under one name each."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.data.clinical.label_words import is_not_known, read_number
from core.data.clinical.labels import normalise_column

COVARIATES = {
    "age": re.compile(r"age|age_(?:at|in|years)\w*|patient_age"),
    "sex": re.compile(r"sex|gender|sex_\w+"),
    "site": re.compile(r"site|cent(?:er|re)|hospital|institution|data_collection|site_\w+"),
    "scanner": re.compile(r"scanner|scanner_model|manufacturer|manufacturer_?s?_model(?:_name)?"),
    "field_strength": re.compile(r"(?:magnetic_)?field_strength\w*"),
    "idh": re.compile(r"idh(?!.*(?:method|date))\w*"),
    "extent": re.compile(r"eor|extent\w*resection|gtr\w*|resection_(?:status|extent|type)"),
}
"""Name of each covariate, and the columns that hold it, as :func:`core.data.clinical.labels.normalise_column` writes them.
Whatever is not on the list stays in the table: a clinical table may hold dates, notes and names."""
NUMBERS = frozenset({"age", "field_strength"})
SEXES = {"m": "male", "male": "male", "f": "female", "female": "female", "w": "female"}
MOST_CHARACTERS = 60


def read_covariates(
    cells: Mapping[str, str], levels: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, str | float]:
    """Return the covariates of one row of a clinical table.

    Parameters
    ----------
    cells
        Every cell by the name of its column.
    levels
        Of columns of codes, what each code means, as a BIDS sidecar's ``Levels`` say.

    Returns
    -------
    dict
        Those of :data:`COVARIATES` that the row holds and that are known; numbers may be written with a comma.
    """
    found: dict[str, str | float] = {}
    for name, pattern in COVARIATES.items():
        for column, cell in cells.items():
            if name in found or is_not_known(cell) or not pattern.fullmatch(normalise_column(column)):
                continue
            text = (levels or {}).get(column, {}).get(cell, cell)
            number = read_number(text) if name in NUMBERS else None
            if name in NUMBERS and number is None:
                continue
            value = text if number is None else number
            found[name] = SEXES.get(text.lower(), text)[:MOST_CHARACTERS] if isinstance(value, str) else value
    return found
