"""Any BIDS data set: ``sub-X[/ses-Y]/anat``. Derivatives are not read.

Of a T1w without a ce- entity the file must tell whether it was taken after contrast. Source: the BIDS specification 1.10.
"""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

ENTITIES = r"(?:_[A-Za-z]+-[A-Za-z0-9+]+)*"
NAME = rf"anat/sub-[A-Za-z0-9]+{ENTITIES}?"
ODD = r"_(?:part-(?!mag_)|(?:acq|rec|desc|proc)-(?i:sub|diff|epi|loc|scout|survey|mip|minip|phase))[A-Za-z0-9+]*"
"""An entity of what may be no magnitude image: such a file must tell what it is."""
BIDS = CohortAdapter(
    name="bids",
    title="a BIDS data set",
    study=r"(?P<person>sub-[A-Za-z0-9]+)",
    visit=r"(?P<session>ses-[A-Za-z0-9]+)",
    files=(
        (rf"{NAME}{ODD}{ENTITIES}_(?:T1w|T2w|FLAIR){NIFTI}", None),
        (rf"{NAME}_ce-[A-Za-z0-9+]+(?:_[A-Za-z]+-[A-Za-z0-9+]+)*_T1w{NIFTI}", MRSequence.T1WCE),
        (rf"{NAME}_T1w{NIFTI}", None),
        (rf"{NAME}_T2w{NIFTI}", MRSequence.T2W),
        (rf"{NAME}_FLAIR{NIFTI}", MRSequence.FLAIR),
    ),
    tables=("participants.tsv",),
)
