"""The attributes of one DICOM object after the Basic Application Level Confidentiality Profile (PS3.15 annex E).

The profile's table is that of dicom-anonymizer (2026c). It is applied to nested items too, with two of the profile's
options: dates are moved, not removed (Retain Longitudinal Temporal Information With Modified Dates), and the series'
description becomes its MR sequence (Clean Descriptors). Text that the table does not know is removed unless it is listed
here, and so is any text that holds a word of the object's own identifying attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

from dicomanonymizer.simpledicomanonymizer import (
    delete,
    delete_or_empty_or_replace_UID,
    initialize_actions,
    replace_UID,
)
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from core.data.identifying import IDENTIFYING
from core.data.synthetic import SYNTHETIC_MARK
from core.deidentify.pseudonyms import Pseudonyms, shift_date

TABLE = "dicomfields_2026c"
SHIFTED = frozenset(
    {
        "StudyDate",
        "SeriesDate",
        "AcquisitionDate",
        "ContentDate",
        "InstanceCreationDate",
        "AcquisitionDateTime",
        "FrameAcquisitionDateTime",
        "FrameReferenceDateTime",
        "PerformedProcedureStepStartDate",
    }
)
"""Dates that tell how far examinations lie apart."""
KEPT_TIMES = frozenset({"StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "ContrastBolusStartTime"})
"""Times of day: the order of acquisition tells the series before and after contrast."""
TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
FREE_VRS = TEXT_VRS - {"CS"} | {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
"""What may hold anything; code strings are a few capitals."""
KEPT_TEXTS = frozenset({"Manufacturer", "ManufacturerModelName", "SequenceName", "PulseSequenceName"})
NUMBER_VRS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
WRITTEN_AS = {
    "DS": re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"),
    "IS": re.compile(r"[-+]?\d+"),
    "TM": re.compile(r"\d{2}:?(\d{2}:?(\d{2}(\.\d{1,6})?)?)?"),
}
"""How values of these representations are written; anything else in them is a text (PS3.5 section 6.2)."""
FIRST_GROUP = 0x0008
"""Groups below are of file meta information, commands and directories, and stand in no image."""
EMPTIED = frozenset({"AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate", "PatientSex"})
"""Attributes that an MR image must have, be it without a value (type 2)."""
REMOVED = frozenset(
    {"PixelData", "FloatPixelData", "DoubleFloatPixelData", "DataSetTrailingPadding", "ContrastBolusAgent"}
)
"""The pixels are written anew; contrast is in the series' description."""
REPEATING = frozenset({0x50, 0x60})
"""Groups 50xx (curves) and 60xx (overlays)."""
SHORTEST_WORD = 4
"""Shorter ones, which "SE" and "IR" may be, are looked for as whole words in names only; numbers as whole values."""
LONGEST_CHANCE_NUMBER = 5
"""Digits up to which a number may be an id's by chance."""
METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
"""Codes of PS3.16 CID 7050."""


def deidentify_dataset(
    original: Dataset, person: str, number: str, description: str, pseudonyms: Pseudonyms
) -> Dataset:
    """Return a copy of an object's attributes, without its pixels, that does not tell whose it is.

    Parameters
    ----------
    original
        The object; it is not changed.
    person
        Whose it is, as the cohort knows it: it chooses the shift of the dates.
    number
        Patient ID and name of the copy.
    description
        Series Description of the copy: its MR sequence, or nothing.
    pseudonyms
        What replaces UIDs and dates.
    """
    words = list(naming_words(original))
    synthetic = original.get("ImageComments") == SYNTHETIC_MARK
    copy = Dataset()
    for element in original:
        if element.keyword not in REMOVED:
            copy.add(deepcopy(element))
    _clean(copy, pseudonyms, pseudonyms.shift_days(person), words)
    copy.PatientID = copy.PatientName = number
    for keyword in EMPTIED:
        setattr(copy, keyword, "")
    copy.SeriesDescription = description
    if synthetic:
        copy.ImageComments = SYNTHETIC_MARK
    copy.SpecificCharacterSet = "ISO_IR 192"
    copy.PatientIdentityRemoved = "YES"
    copy.LongitudinalTemporalInformationModified = "MODIFIED"
    copy.DeidentificationMethod = "MGMT Lab, after the Basic Profile of DICOM PS3.15"
    copy.DeidentificationMethodCodeSequence = Sequence([_code(*method) for method in METHODS])
    return copy


def naming_words(original: Dataset) -> Iterator[str]:
    """Yield the words of the identifying attributes, nested ones too, in small letters."""
    for element in original.iterall():
        if element.tag in IDENTIFYING and element.VR in TEXT_VRS and element.value:
            yield from (word for word in re.findall(r"\w+", str(element.value).lower()) if len(word) > 1)


def _clean(dataset: Dataset, pseudonyms: Pseudonyms, days: int, words: list[str]) -> None:
    dataset.remove_private_tags()
    for element in list(dataset):
        if element.tag.group >> 8 in REPEATING or not _is_sound(element):
            del dataset[element.tag]
            continue
        if element.VR == "SQ":
            for item in element.value:
                _clean(item, pseudonyms, days, words)
        if not _keep(dataset, element, pseudonyms, days):
            _apply_profile(dataset, element)
        if element.tag in dataset and _is_suspect(dataset[element.tag], words):
            del dataset[element.tag]


def _keep(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms, days: int) -> bool:
    """Treat what the profile's options keep in another form; False leaves an element to the profile."""
    if element.VR == "UI":
        element.value = _map(element.value, pseudonyms.replace_uid)
    elif element.VR in ("DA", "DT"):
        shifted = _map(element.value, lambda text: shift_date(text, days)) if element.keyword in SHIFTED else ""
        if shifted:
            element.value = shifted
        else:
            del dataset[element.tag]
    elif element.VR == "TM":
        if element.keyword not in KEPT_TIMES:
            del dataset[element.tag]
    elif element.VR in FREE_VRS and element.keyword not in KEPT_TEXTS:
        del dataset[element.tag]
    else:
        return False
    return True


def _map(value: Any, function: Any) -> Any:
    if isinstance(value, (list, tuple, MultiValue)):
        return [function(str(one)) for one in value]
    return function(str(value or ""))


def _apply_profile(dataset: Dataset, element: DataElement) -> None:
    """Do what the profile's table says of an element; one that it does not know stays."""
    action = _find_action(element.tag)
    if action in (None, replace_UID, delete_or_empty_or_replace_UID):  # UIDs were replaced wherever they stand
        return
    if action is delete or element.VR == "SQ":  # a sequence of dummies is of no use to anyone
        del dataset[element.tag]
    else:
        action(dataset, (element.tag.group, element.tag.element))


@cache
def _find_action(tag: BaseTag) -> Any:
    actions = initialize_actions(TABLE)
    exact = actions.get((tag.group, tag.element))
    if exact is not None:
        return exact
    ranges = (
        action
        for place, action in actions.items()
        if len(place) == 4 and tag.group & place[2] == place[0] and tag.element & place[3] == place[1] & place[3]
    )
    return next(ranges, None)


def _is_sound(element: DataElement) -> bool:
    """Whether an attribute is of the standard, of the kind that the standard says, and its values are written as that kind is."""
    if element.tag.group < FIRST_GROUP or not dictionary_has_tag(element.tag):
        return False
    kinds = dictionary_VR(element.tag).split(" or ")
    if element.VR not in kinds and not (element.VR in NUMBER_VRS and NUMBER_VRS.intersection(kinds)):
        return False
    written = WRITTEN_AS.get(element.VR)
    return written is None or all(written.fullmatch(text) for text in _texts_of(element))


def _texts_of(element: DataElement) -> list[str]:
    """Return the values of an element as they are written, blank ones left out."""
    values = element.value if isinstance(element.value, (list, tuple, MultiValue)) else [element.value]
    texts = [str(getattr(value, "original_string", value) if value is not None else "").strip() for value in values]
    return [text for text in texts if text]


def _is_suspect(element: DataElement, words: Iterable[str]) -> bool:
    """Whether a text holds a word of the identifying attributes, or a number is one."""
    if element.VR in ("DS", "IS"):
        return any(len(text) > LONGEST_CHANCE_NUMBER and text in words for text in _texts_of(element))
    if element.VR not in TEXT_VRS or not element.value:
        return False
    text = str(element.value).lower()
    whole = () if element.VR == "CS" else re.findall(r"[^\W_]+", text)
    return any(word in whole or (len(word) >= SHORTEST_WORD and word in text) for word in words)


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
