"""LUMIERE: the weeks of one patient each in a folder; a table of ratings says which are before the operation.

Source: one public repository's copy.
"""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

SUFFIX = rf"(?:_skull_strip)?{NIFTI}"
LUMIERE = CohortAdapter(
    name="lumiere",
    title="LUMIERE",
    study=r"(?P<person>Patient-\d{3})",
    visit=r"(?P<session>week-\d{3}(?:-\d+)?)",
    files=(
        (rf"(?i)t1{SUFFIX}", MRSequence.T1W),
        (rf"(?i)ct1{SUFFIX}", MRSequence.T1WCE),
        (rf"(?i)t2{SUFFIX}", MRSequence.T2W),
        (rf"(?i)flair{SUFFIX}", MRSequence.FLAIR),
    ),
    bases=("", "Imaging"),
    required=rf"(?i)ct1{SUFFIX}",
    tables=("LUMIERE-Demographics_Pathology*.csv",),
    ratings="LUMIERE-ExpertRating*.csv",
    unverified=("the columns of the table of ratings", "the names of images that are not skull-stripped"),
)
