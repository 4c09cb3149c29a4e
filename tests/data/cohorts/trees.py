"""Miniature copies of public cohorts: the folders, files and tables as they are distributed, with tiny volumes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from openpyxl import Workbook

VOLUME = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(4, 5, 3), np.diag([1.0, 1.0, 3.0, 1.0])).to_bytes()
LABELS = nibabel.Nifti1Image(np.ones((4, 5, 3), np.uint8), np.diag([1.0, 1.0, 3.0, 1.0])).to_bytes()


def put(folder: Path, names: Iterable[str], content: bytes = VOLUME) -> None:
    """Write the files of these names, and the folders above them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_table(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",", end: str = "\n") -> Path:
    """Write a text table, or a workbook by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".xlsx":
        book = Workbook()
        for row in rows:
            book.active.append(list(row))
        book.save(path)
    else:
        path.write_text("\n".join(delimiter.join(map(str, row)) for row in rows) + end, encoding="utf-8-sig")
    return path


def write_upenn(root: Path) -> Path:
    """Three patients, one of them with a follow-up, one of them indeterminate."""
    for study in ("UPENN-GBM-00001_11", "UPENN-GBM-00002_11", "UPENN-GBM-00002_21", "UPENN-GBM-00003_11"):
        put(root / "images_structural" / study, [f"{study}_{kind}.nii" for kind in ("T1", "T1GD", "T2", "FLAIR")])
        put(root / "images_segm", [f"{study}_segm.nii"], LABELS)
    rows = [
        ("UPENN-GBM-00001_11", "M", 61.5, "Methylated", "Wildtype", "Not Available"),
        ("UPENN-GBM-00002_11", "F", 48, "Unmethylated", "Mutated", "GTR"),
        ("UPENN-GBM-00002_21", "F", 49, "Unmethylated", "Mutated", "GTR"),
        ("UPENN-GBM-00003_11", "F", 55, "Indeterminate", "NOS/NEC", "Y"),
    ]
    write_table(
        root / "UPENN-GBM_clinical_info_v2.1.csv",
        [("ID", "Gender", "Age_at_scan_years", "MGMT", "IDH1", "GTR_over90percent"), *rows],
    )
    return root


def write_ucsf(root: Path) -> Path:
    """Four patients of three digits in the table and four in the folders, raw and corrected volumes, other maps, a follow-up."""
    for number in (4, 5, 7, 12):
        study = f"UCSF-PDGM-{number:04d}"
        kinds = [f"{kind}{bias}" for kind in ("T1", "T1c", "T2", "FLAIR") for bias in ("", "_bias")]
        put(root / f"{study}_nifti", [f"{study}_{kind}.nii" for kind in (*kinds, "ADC", "ASL", "DWI_bias", "SWI")])
        put(root / f"{study}_nifti", [f"{study}_tumor_segmentation.nii"], LABELS)
    put(root / "UCSF-PDGM-0004_FU003d_nifti", [f"UCSF-PDGM-0004_FU003d_{kind}.nii" for kind in ("T1", "FLAIR")])
    head = ("ID", "Sex", "Age at MRI", "WHO CNS Grade", "MGMT status", "MGMT index", "IDH", "BraTS21 ID", "EOR")
    rows = [
        ("UCSF-PDGM-004", "M", 66, 4, "negative", 0, "wildtype", "BraTS2021_00097", "STR"),
        ("UCSF-PDGM-005", "F", 80, 4, "indeterminate", "", "wildtype", "", "biopsy"),
        ("UCSF-PDGM-007", "M", 70, 4, "positive", 17, "mutated (NOS)", "", "GTR"),
        ("UCSF-PDGM-012", "F", 33, 3, "unknown", "", "IDH1 p.R132H", "", "GTR"),
    ]
    write_table(root / "UCSF-PDGM-metadata_v5.csv", [head, *rows])
    return root


def write_brats21(root: Path) -> Path:
    """Three cases with the competition's table."""
    for number in (0, 2, 557):
        study = f"BraTS2021_{number:05d}"
        put(root / study, [f"{study}_{kind}.nii" for kind in ("t1", "t1ce", "t2", "flair")])
        put(root / study, [f"{study}_seg.nii"], LABELS)
    write_table(root / "train_labels.csv", [("BraTS21ID", "MGMT_value"), ("00000", 1), (2, 0), ("557", 1)])
    return root


DS007045_PARTICIPANTS = (
    *(("sub-BA2", 1, 74, 0, "1,5", "Philips Achieva"), ("sub-BO1", 1, 55, 1, "1,5", "Siemens Magnetom Essenza")),
    *(("sub-NSK9", 0, 61, 0, "3", "Philips Ingenia"), ("sub-TO015", 0, 47, 1, "3", "Siemens Skyra")),
)


def write_ds007045(root: Path, participants: Sequence[Sequence[object]] = DS007045_PARTICIPANTS) -> Path:
    """Raw and derived volumes; decimal commas, and no newline at the end of the table."""
    for subject, *_ in participants:
        raw = [f"{subject}/anat/{subject}_{kind}" for kind in ("run-01_T1w", "run-02_T1w", "T2w", "FLAIR")]
        put(root, [f"{name}.nii" for name in raw])
        put(root, [f"{name}.json" for name in raw], b"{}")
        derived = root / "derivatives"
        put(
            derived / "processing",
            [f"{subject}/{subject}_{kind}_MNI152_brain.nii" for kind in ("t1", "t1ce", "t2", "flair")],
        )
        put(derived / "segmentation", [f"{subject}/{subject}_MNI-152_tumor-mask.nii"], LABELS)
    head = ("participant_id", "sex", "age", "MGMT", "field_strength", "scanner_model")
    write_table(root / "participants.tsv", [head, *participants], "\t", end="")
    (root / "participants.json").write_text(
        '{"sex": {"Levels": {"1": "male", "0": "female"}}, "age": {"Units": "years"}}'
    )
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    return root


def write_utsw(root: Path) -> Path:
    """Two patients."""
    for study in ("BT0001", "BT0002"):
        put(root / study, [f"brain_{kind}_ants.nii" for kind in ("t1", "t1ce", "t2", "fl")])
        put(root / study, ["rtumorseg_manual_correction.nii"], LABELS)
    rows = [("Subject ID", "Age", "MGMT"), ("BT0001", 60, "methylated"), ("BT0002", 61, "unmethylated")]
    write_table(root / "UTSW_Glioma_Metadata-2-1.tsv", rows, "\t")
    return root


def write_mu(root: Path) -> Path:
    """Two patients, one with two time points."""
    for visit in ("PatientID_0003/Timepoint_1", "PatientID_0003/Timepoint_2", "PatientID_0004/Timepoint_1"):
        stem = visit.replace("/", "_")
        put(root / visit, [f"{stem}_brain_{kind}.nii" for kind in ("t1n", "t1c", "t2w", "t2f")])
        put(root / visit, [f"{stem}_tumorMask.nii"], LABELS)
    rows = [
        ("Patient_ID", "Age", "MGMT methylation"),
        ("PatientID_0003", 61.0, "Methylated"),
        ("PatientID_0004", 50, None),
    ]
    write_table(root / "MU-Glioma-Post_ClinicalData-July2025.xlsx", rows)
    return root


def write_lumiere(root: Path) -> Path:
    """Two patients; the first's second week is rated Pre-Op."""
    for visit in ("Patient-001/week-000-1", "Patient-001/week-000-2", "Patient-001/week-044", "Patient-002/week-003"):
        put(root / visit, [f"{kind}_skull_strip.nii" for kind in ("t1", "ct1", "t2", "flair")])
    rows = [("Patient", "MGMT qualitative"), ("Patient-001", "not methylated"), ("Patient-002", "na")]
    write_table(root / "LUMIERE-Demographics_Pathology.csv", rows)
    ratings = [
        ("Patient", "Date", "Rating"),
        ("Patient-001", "week-000-1", "CR"),
        ("Patient-001", "week-000-2", "Pre-Op"),
    ]
    write_table(root / "LUMIERE-ExpertRating-v202211.csv", ratings)
    return root


def write_tcga(root: Path) -> Path:
    """Two cases in BraTS form."""
    for study in ("TCGA-02-0006_1996.08.23", "TCGA-06-0119_2004.01.01"):
        put(root / study, [f"{study}_{kind}.nii" for kind in ("flair", "t1", "t1Gd", "t2")])
        put(root / study, [f"{study}_GlistrBoost_ManuallyCorrected.nii"], LABELS)
    rows = [("Case", "MGMT.promoter.status"), ("TCGA-02-0006", "Methylated"), ("TCGA-06-0119", "Unmethylated")]
    write_table(root / "tcga_clinical.csv", rows)
    return root


def write_bids(root: Path) -> Path:
    """A BIDS data set with sessions, a contrast entity, derivatives and series that are none of the four."""
    for session in ("sub-01/ses-post", "sub-01/ses-pre", "sub-02/ses-pre"):
        stem = session.replace("/", "_")
        kinds = ("T1w", "ce-gad_T1w", "acq-tse_T2w", "FLAIR", "PDw")
        put(root / session, [f"anat/{stem}_{kind}.nii" for kind in kinds])
        put(root / session, [f"dwi/{stem}_dwi.nii"])
    put(root / "derivatives/bet/sub-01/ses-pre/anat", ["sub-01_ses-pre_T1w.nii"])
    rows = [("participant_id", "age", "mgmt_status"), ("sub-01", 61, "positive"), ("sub-02", 50, "negative")]
    write_table(root / "participants.tsv", rows, "\t")
    return root
