"""BraTS-GLI 2023 and 2024: the id of a patient, then of a time point."""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

PREFIX = r"BraTS-GLI-\d{5}-\d{3}[-_]"
BRATS_GLI = CohortAdapter(
    name="brats-gli",
    title="BraTS-GLI",
    study=r"(?P<id>(?P<person>BraTS-GLI-\d{5})-(?P<session>\d{3}))",
    files=(
        (rf"{PREFIX}t1n{NIFTI}", MRSequence.T1W),
        (rf"{PREFIX}t1c{NIFTI}", MRSequence.T1WCE),
        (rf"{PREFIX}t2w{NIFTI}", MRSequence.T2W),
        (rf"{PREFIX}t2f{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{PREFIX}seg{NIFTI}",
    tables=("train_labels.csv",),
)
