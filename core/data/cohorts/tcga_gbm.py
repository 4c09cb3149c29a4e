"""TCGA-GBM and -LGG in BraTS form (BraTS-TCGA). Source: gliostitch's manifest; the folder names are those of TCIA."""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

PREFIX = r"TCGA-\d{2}-[A-Z0-9]{4}(?:_\d{4}\.\d{2}\.\d{2})?_"
TCGA_GBM = CohortAdapter(
    name="tcga-gbm",
    title="TCGA-GBM and -LGG in BraTS form",
    study=r"(?P<id>(?P<person>TCGA-\d{2}-[A-Z0-9]{4})(?:_(?P<session>\d{4}\.\d{2}\.\d{2}))?)",
    files=(
        (rf"(?i){PREFIX}t1{NIFTI}", MRSequence.T1W),
        (rf"(?i){PREFIX}t1(?:gd|ce){NIFTI}", MRSequence.T1WCE),
        (rf"(?i){PREFIX}t2{NIFTI}", MRSequence.T2W),
        (rf"(?i){PREFIX}flair{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{PREFIX}GlistrBoost.*{NIFTI}",
    bases=("", "Pre-operative_TCGA_GBM_NIfTI_and_Segmentations"),
    tables=("*MGMT*", "*mgmt*", "*clinical*.csv", "*clinical*.tsv", "*clinical*.xlsx"),
    unverified=("the name of the clinical table",),
)
