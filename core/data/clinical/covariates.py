"""What a clinical table says of a person beside the label: an allow-list, under one name each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from core.data.clinical.label_words import is_not_known, read_number
from core.data.clinical.labels import normalise_column
from core.data.study import Cohort, Study

COVARIATES = {
    "age": re.compile(
        r"(?!\w*(?:month|week|day))(?:age|age_(?:at|in|years)\w*|patient_age|alter|edad|idade|eta|leeftijd)"
    ),
    "sex": re.compile(r"sex|gender|sex_\w+|sexe|sexo|sesso|geschlecht|geslacht"),
    "site": re.compile(r"site|cent(?:er|re)|hospital|institution|data_collection|site_\w+"),
    "manufacturer": re.compile(r"manufacturer"),
    "scanner": re.compile(r"scanner|scanner_model|manufacturer_?s?_?model(?:_?name)?"),
    "field_strength": re.compile(r"(?:magnetic_?)?field_?strength\w*"),
    "idh": re.compile(r"idh(?!.*(?:method|date))\w*"),
    "extent": re.compile(r"eor|extent\w*resection|gtr\w*|resection_(?:status|extent|type)"),
}
"""Name of each covariate, and the columns that hold it, as :func:`core.data.clinical.labels.normalise_column` writes them.
Whatever is not on the list stays in the table: a clinical table may hold dates, notes and names."""
NUMBERS = {
    "age": re.compile(r"0*(\d{1,3}(?:[.,]\d+)?) ?(?:y|yrs?|years?( old)?)?", re.IGNORECASE),
    "field_strength": re.compile(r"(\d+(?:[.,]\d+)?) ?(?:t|tesla)?", re.IGNORECASE),
}
"""Covariates that are numbers, and how they are written; DICOM's 061Y is an age in years."""
OLDEST = 120
"""Years; 999 is a code for a missing age."""
SEXES = {"m": "male", "male": "male", "f": "female", "female": "female", "w": "female"} | {
    **dict.fromkeys(("man", "männlich", "mann", "homme", "masculin", "hombre", "masculino", "maschio", "uomo"), "male"),
    **dict.fromkeys(
        ("woman", "weiblich", "frau", "femme", "féminin", "mujer", "femenino", "feminino", "femmina"), "female"
    ),
}
MOST_CHARACTERS = 60
NOMINAL_TESLA = (0.2, 0.35, 0.5, 1.0, 1.5, 3.0, 7.0)
"""Field strengths of scanners; a header may state 1.494 or 2.89362."""
GAUSS = 10_000
"""In a tesla; some headers state the field in gauss."""


def add_scanners(cohort: Cohort) -> Cohort:
    """Return the cohort with what the headers or sidecars of its series say of the scanner, among the covariates.

    These are ``manufacturer``, ``scanner``, ``field_strength`` (nominal, in tesla) and, of a sidecar, ``site``; of a study
    whose series differ, what most of them say. What is known of a study already is kept.
    """
    return replace(
        cohort,
        studies=tuple(_with_scanner(study) for study in cohort.studies),
        excluded=tuple(_with_scanner(study) for study in cohort.excluded),
    )


def _with_scanner(study: Study) -> Study:
    stated: dict[str, list[str | float]] = {"manufacturer": [], "scanner": [], "field_strength": [], "site": []}
    for series in study.series:
        strength = _nominal_tesla(series.field_strength_tesla)
        values = (series.manufacturer, series.scanner, strength, series.site)
        for found, value in zip(stated.values(), values, strict=True):
            found += [value] if value else []
    known = {name: Counter(values).most_common(1)[0][0] for name, values in stated.items() if values}
    return replace(study, covariates={**known, **study.covariates}) if known else study


def _nominal_tesla(stated: float | None) -> float | None:
    if stated is None or stated <= 0:
        return None
    tesla = stated / GAUSS if stated >= GAUSS / 10 else stated
    nearest = min(NOMINAL_TESLA, key=lambda nominal: abs(nominal - tesla))
    return nearest if abs(nearest - tesla) <= nearest / 10 else round(tesla, 2)


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
        Those of :data:`COVARIATES` that the row holds and that are known; numbers may have a comma and a unit.
    """
    found: dict[str, str | float] = {}
    for name, pattern in COVARIATES.items():
        for column, cell in cells.items():
            if name in found or is_not_known(cell) or not pattern.fullmatch(normalise_column(column)):
                continue
            text = (levels or {}).get(column, {}).get(cell, cell)
            value = _read_measure(name, text) if name in NUMBERS else SEXES.get(text.lower(), text)[:MOST_CHARACTERS]
            if value is not None:
                found[name] = value
    return found


def _read_measure(name: str, text: str) -> float | None:
    """Return an age in years or a field strength in tesla; None for what is neither, a code for a missing value too."""
    written = NUMBERS[name].fullmatch(text.strip())
    number = read_number(written[1]) if written else None
    if number is None or name == "field_strength":
        return _nominal_tesla(number)
    return number if number <= OLDEST else None
