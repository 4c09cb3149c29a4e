"""BraTS 2021 as on TCIA and Synapse: 1 mm, skull-stripped, in atlas space.

Its ids are the competition's (BraTS21ID), so that its persons are those of RSNA-MICCAI. Sources: brainmarks-smri
scripts/brats2021, TCIA.
"""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

PREFIX = r"BraTS2021_\d{5}_"
BRATS21 = CohortAdapter(
    name="brats21",
    title="BraTS 2021",
    study=r"(?P<id>BraTS2021_(?P<person>\d{5}))",
    files=(
        (rf"{PREFIX}t1{NIFTI}", MRSequence.T1W),
        (rf"{PREFIX}t1ce{NIFTI}", MRSequence.T1WCE),
        (rf"{PREFIX}t2{NIFTI}", MRSequence.T2W),
        (rf"{PREFIX}flair{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{PREFIX}seg{NIFTI}",
    tables=("train_labels.csv",),
)
