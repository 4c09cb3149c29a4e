"""UCSF-PDGM v5: skull-stripped, 1 mm; each image raw and with its bias field corrected, of which one is read.

The table writes ids with three digits, the folders with four. Sources: brainmarks-smri scripts/ucsf_pdgm, a public copy of
the table's header.
"""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

PREFIX = r"UCSF-PDGM-\d{3,4}(?:_FU\d+d)?_"
UCSF_PDGM = CohortAdapter(
    name="ucsf-pdgm",
    title="UCSF-PDGM",
    study=r"(?P<person>UCSF-PDGM-\d{3,4})(?:_(?P<session>FU\d+d))?_nifti",
    files=(
        (rf"{PREFIX}T1(?P<variant>_bias)?{NIFTI}", MRSequence.T1W),
        (rf"{PREFIX}T1c(?P<variant>_bias)?{NIFTI}", MRSequence.T1WCE),
        (rf"{PREFIX}T2(?P<variant>_bias)?{NIFTI}", MRSequence.T2W),
        (rf"{PREFIX}FLAIR(?P<variant>_bias)?{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{PREFIX}tumor_segmentation{NIFTI}",
    bases=("", "UCSF-PDGM-v5", "UCSF-PDGM-v3"),
    variants=("", "_bias"),
    tables=("UCSF-PDGM-metadata*.csv",),
    unverified=("the folder names of follow-ups (_FU003d)",),
)
