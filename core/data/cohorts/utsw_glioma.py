"""UTSW-Glioma: skull-stripped, in SRI24 space. Source: gliostitch's manifest."""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

UTSW_GLIOMA = CohortAdapter(
    name="utsw-glioma",
    title="UTSW-Glioma",
    study=r"(?P<person>BT\d{4})",
    files=(
        (rf"brain_t1_ants{NIFTI}", MRSequence.T1W),
        (rf"brain_t1ce_ants{NIFTI}", MRSequence.T1WCE),
        (rf"brain_t2_ants{NIFTI}", MRSequence.T2W),
        (rf"brain_fl_ants{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"rtumorseg_manual_correction{NIFTI}",
    tables=("UTSW_Glioma_Metadata*.tsv", "UTSW_Glioma_Metadata*.csv"),
    unverified=("the MGMT column of the table",),
)
