"""MU-Glioma-Post: post-operative time points of one patient each in a folder. Source: TCIA's page."""

from __future__ import annotations

from core.data.cohorts.adapter import NIFTI, CohortAdapter
from core.mri import MRSequence

MU_GLIOMA_POST = CohortAdapter(
    name="mu-glioma-post",
    title="MU-Glioma-Post",
    study=r"(?P<person>PatientID_\d{4})",
    visit=r"(?P<session>Timepoint_\d+)",
    files=(
        (rf"(?:.*[_-])?t1n{NIFTI}", MRSequence.T1W),
        (rf"(?:.*[_-])?t1c{NIFTI}", MRSequence.T1WCE),
        (rf"(?:.*[_-])?t2w{NIFTI}", MRSequence.T2W),
        (rf"(?:.*[_-])?t2f{NIFTI}", MRSequence.FLAIR),
    ),
    masks=rf"(?i)(?:.*[_-])?tumor-?mask{NIFTI}",
    tumour_labels=(1, 3),
    tables=("MU-Glioma-Post_ClinicalData*.xlsx",),
    post_operative=True,
    unverified=("the names of the images", "the values of the column MGMT methylation"),
)
