"""UPENN-GBM: baseline (_11) and follow-up (_21), skull-stripped, in SRI24 space. Source: brainmarks-smri scripts/upenn_gbm."""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

PREFIX = r"UPENN-GBM-\d{5}_[12]1_"
UPENN_GBM = CohortAdapter(
    name="upenn-gbm",
    title="UPENN-GBM",
    study=r"(?P<person>UPENN-GBM-\d{5})_(?P<session>[12]1)",
    files=(
        (rf"{PREFIX}T1{NIFTI}", MRSequence.T1W),
        (rf"{PREFIX}T1GD{NIFTI}", MRSequence.T1WCE),
        (rf"{PREFIX}T2{NIFTI}", MRSequence.T2W),
        (rf"{PREFIX}FLAIR{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"{PREFIX}(?:automated_approx_)?segm{NIFTI}",
    mask_folders=("../../images_segm", "../../automated_segm"),
    bases=("images_structural", "NIfTI-files/images_structural", ""),
    session_words={"11": "baseline", "21": "follow-up"},
    tables=("UPENN-GBM_clinical_info*.csv",),
)
