"""RSNA-MICCAI 2021 as on Kaggle: 585 labelled patients of BraTS21 as DICOM. Source: the competition's own files."""

from __future__ import annotations

from core.data.cohorts.adapter import CohortAdapter

RSNA_MICCAI = CohortAdapter(
    name="rsna-miccai",
    title="the RSNA-MICCAI competition's layout (one folder per study, one per sequence)",
    study=r"(?P<id>(?P<person>\d{5}))",
    bases=("train", ""),
    tables=("train_labels.csv",),
)
