"""A cohort in the competition's layout that takes a second to write, clean and with every fault planted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from core.phantom.config import LEAST_SLICES, LEAST_STUDIES
from core.phantom.faults import plant_faults
from tests.audit.images import draw_head
from tests.data.dicom_files import AXIAL, CORONAL, write_series

SEQUENCES = ("FLAIR", "T1w", "T1wCE", "T2w")


def write_study(
    folder: Path, seed: int, planes: tuple[tuple[float, ...], ...] = (CORONAL, AXIAL, AXIAL, AXIAL)
) -> Path:
    """Write a study of four series of eight slices, with shuffled file numbers."""
    rng = np.random.default_rng([7, seed])
    study_uid = generate_uid()
    for number, (sequence, orientation) in enumerate(zip(SEQUENCES, planes, strict=True)):
        scale = float(np.exp(rng.normal(0, 0.3)))
        head = np.stack([draw_head(10 * seed + number, index * 5) for index in range(LEAST_SLICES)]) * 10 * scale
        write_series(
            folder / sequence,
            head.astype(np.uint16),
            orientation=orientation,
            step_mm=float(rng.uniform(4, 6)),
            names=[f"Image-{n + 1}.dcm" for n in rng.permutation(LEAST_SLICES)],
            SeriesInstanceUID=generate_uid(),
            StudyInstanceUID=study_uid,
            FrameOfReferenceUID=study_uid,
            AccessionNumber=folder.name,
            RescaleSlope="1",
            RescaleIntercept="0",
            Manufacturer="Boreal Imaging",
        )
    return folder


@pytest.fixture(scope="session")
def clean_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four studies without a fault."""
    root = tmp_path_factory.mktemp("clean") / "cohort"
    ids = [f"{20_000 + 7 * number}" for number in range(LEAST_STUDIES)]
    for number, study in enumerate(ids):
        write_study(root / "train" / study, number)
    rows = "\n".join(f"{study},{number % 2}" for number, study in enumerate(ids))
    (root / "train_labels.csv").write_text(f"BraTS21ID,MGMT_value\n{rows}\n")
    return root


@pytest.fixture(scope="session")
def spoilt_folder(clean_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a fault of each kind."""
    root = tmp_path_factory.mktemp("spoilt") / "cohort"
    shutil.copytree(clean_folder, root)
    plant_faults(root, seed=3)
    return root
