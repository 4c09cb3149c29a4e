"""OpenNeuro ds007045 (CC0): glioblastoma of eight hospitals, in BIDS, defaced; run-02_T1w is after contrast.

The letters of an id are the hospital. Source: OpenNeuroDatasets/ds007045, the whole tree.
"""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

RAW = r"anat/sub-[A-Z]+\d+"
DERIVED = r"sub-[A-Z]+\d+"
SPACE = r"_MNI-?152_brain"
DS007045 = CohortAdapter(
    name="ds007045",
    title="OpenNeuro ds007045",
    study=r"(?P<person>sub-(?P<site>BA|BO|FO|JS|KA|ME|NSK|TO)\d+)",
    files=(
        (rf"{RAW}_run-01_T1w{NIFTI}", MRSequence.T1W),
        (rf"{RAW}_run-02_T1w{NIFTI}", MRSequence.T1WCE),
        (rf"{RAW}_T2w{NIFTI}", MRSequence.T2W),
        (rf"{RAW}_FLAIR{NIFTI}", MRSequence.FLAIR),
        (rf"{DERIVED}_t1{SPACE}{NIFTI}", MRSequence.T1W),
        (rf"{DERIVED}_t1ce{SPACE}{NIFTI}", MRSequence.T1WCE),
        (rf"{DERIVED}_t2{SPACE}{NIFTI}", MRSequence.T2W),
        (rf"{DERIVED}_flair{SPACE}{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{DERIVED}_MNI-?152_tumor-mask{NIFTI}",
    mask_folders=("../../segmentation/{id}", "../../segmentation"),
    bases=("", "derivatives/processing"),
    tables=("participants.tsv",),
)
