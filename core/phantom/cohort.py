"""A synthetic cohort on disk: planned, drawn in parallel, written whole or not at all, and read again.

Each patient has a latent biomarker z ~ N(signal x label, 1) that drives one trait of the tumour, the share of it
that is necrotic, and nothing else. The best AUROC that any model can reach is therefore known:
Phi(signal / sqrt 2). A second trait, the width of the oedema (``oedema_mm`` in truth.csv), does not depend on the
label: a pipeline that cannot find it finds nothing (:mod:`core.experiments.study.positive`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from scipy.stats import rankdata

from core.data.synthetic import SYNTHETIC_FILE, SYNTHETIC_MARK
from core.errors import StorageError
from core.files import read_document
from core.parallel import run_tasks
from core.phantom.config import PhantomConfig, best_auroc
from core.phantom.faults import plant_faults
from core.phantom.fields import random_stream
from core.phantom.study import StudyPlan, write_study
from core.phantom.truth import TRUTH_FILE
from core.progress import Progress, silent
from core.settings import load_settings

LABEL_FILE = "train_labels.csv"
PLANTING = ".planting"
COHORT_INDEX = 2**31 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomReport:
    """What was made."""

    folder: Path
    studies: int
    signal: float
    auroc_of_z: float
    """AUROC of the biomarker itself on these patients: what a perfect model reaches here."""
    best_auroc: float
    """The same in expectation: Phi(signal / sqrt 2)."""


def plan_cohort(config: PhantomConfig) -> list[StudyPlan]:
    """Decide ids, labels and biomarkers of a cohort; drawing them is :func:`make_phantom`'s part.

    Ids start at 10000, above those of the real cohort, and their order says nothing.
    """
    total = config.studies + config.duplicates
    ids = 10_000 + random_stream(config.seed, COHORT_INDEX, "ids").choice(90_000, total, replace=False)
    labels = random_stream(config.seed, COHORT_INDEX, "labels").permutation(np.arange(config.studies) % 2)
    plans = []
    for index, label in enumerate(int(value) for value in labels):
        shift = float(random_stream(config.seed, index, "biomarker").standard_normal())
        plans.append(
            StudyPlan(
                study_id=f"{ids[index]:05d}",
                person=f"{ids[index]:05d}",
                seed=config.seed,
                index=index,
                mgmt_value=label,
                z=config.signal * label + shift,
                slices=config.slices,
                size=config.size,
                scanner=label if config.shortcut else None,
                scale_bar=config.scale_bar and label == 1,
            )
        )
    copies = [
        replace(plan, study_id=f"{study_id:05d}", copy=1)
        for plan, study_id in zip(plans, ids[config.studies :], strict=False)
    ]
    return plans + copies


def make_phantom(
    folder: Path, config: PhantomConfig, *, progress: Progress = silent, jobs: int | None = None
) -> PhantomReport:
    """Make a synthetic cohort in the competition's layout.

    ``train/<id>/<sequence>/Image-<n>.dcm``, ``train_labels.csv``, ``truth.csv`` (biomarker, place of the tumour, oedema),
    ``truth/<id>.npz`` (the tumour's mask with its affine), ``synthetic.json`` and, with faults, ``faults.json``.
    It is made in a hidden folder beside `folder` and moved there when it is whole; a generation that was cut off is
    taken up where it stopped.

    Parameters
    ----------
    folder
        Where it goes; must not exist, or be empty, or hold the very same cohort (which is then left as it is).
    config
        What to make.
    progress
        Called after each study; may raise to stop.
    jobs
        Processes; by default as many as this installation may use.

    Raises
    ------
    StorageError
        `folder` holds something else, another process is making it, or the disk does not take it.
    """
    folder = folder.expanduser().resolve()
    if _is_taken(folder, config):
        return read_phantom(folder)
    partial = folder.parent / f".{folder.name}.{_digest(config)}.partial"
    lock = FileLock(partial.with_suffix(".lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=0):
            if not _is_taken(folder, config):
                _fill(partial, config, progress, jobs)
                if folder.exists():
                    folder.rmdir()
                partial.replace(folder)
        Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        raise StorageError(f"{folder} is being made by another process; wait until it has finished.") from None
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror or error}); free space or name another."
        ) from error
    return read_phantom(folder)


def read_phantom(folder: Path) -> PhantomReport:
    """Read the report of a cohort that was made before; raises StorageError where it is damaged or none."""
    try:
        config = PhantomConfig.model_validate(read_document(folder / SYNTHETIC_FILE)["config"])
        truth = pd.read_csv(folder / TRUTH_FILE, dtype={"study_id": str, "person": str})
        persons = truth.drop_duplicates("person")
        positive = persons["mgmt_value"].to_numpy() == 1
        ranks = rankdata(persons["z"].to_numpy())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder} is not a whole synthetic cohort ({error}); delete it and make it again."
        ) from error
    ones, zeros = int(positive.sum()), int((~positive).sum())
    auroc = (ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    return PhantomReport(
        folder=folder,
        studies=len(truth),
        signal=config.signal,
        auroc_of_z=float(auroc),
        best_auroc=best_auroc(config.signal),
    )


def _is_taken(folder: Path, config: PhantomConfig) -> bool:
    """Whether this very cohort exists already; raises StorageError where something else does."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = read_document(folder / SYNTHETIC_FILE)["config"]
    except (OSError, ValueError, KeyError, TypeError):
        raise StorageError(f"{folder} exists and holds something else; name a folder that is empty or new.") from None
    # A cohort made before a setting existed has that setting's default.
    if {**PhantomConfig().model_dump(mode="json"), **found} != config.model_dump(mode="json"):
        raise StorageError(f"{folder} holds another synthetic cohort ({found}); name another folder or delete it.")
    return True


def _fill(partial: Path, config: PhantomConfig, progress: Progress, jobs: int | None) -> None:
    plans = plan_cohort(config)
    if (partial / PLANTING).exists():
        shutil.rmtree(partial)  # interrupted among the faults: which files are spoilt already is not known
    (partial / "train").mkdir(parents=True, exist_ok=True)
    (partial / "truth").mkdir(exist_ok=True)
    missing = [plan for plan in plans if not (partial / "train" / plan.study_id).is_dir()]
    done = len(plans) - len(missing)
    progress(done, len(plans), "")
    for study_id in _make_studies(partial, missing, jobs):
        done += 1
        progress(done, len(plans), study_id)
    _write_tables(partial, plans)
    if config.faults:
        (partial / PLANTING).touch()
        plant_faults(partial, config.seed)
        (partial / PLANTING).unlink()
    marker = {"mark": SYNTHETIC_MARK, "config": config.model_dump(mode="json")}
    (partial / SYNTHETIC_FILE).write_text(json.dumps(marker, indent=2) + "\n")


def _make_studies(root: Path, plans: list[StudyPlan], jobs: int | None) -> Iterator[str]:
    """Make studies in parallel where there are enough to pay for the processes; yield ids as they are finished."""
    jobs = jobs or min(load_settings().threads, max(1, len(plans) // 8))
    tasks = [(root / "train", plan, root / "truth") for plan in plans]
    for path in run_tasks(write_study, tasks, jobs=jobs, ordered=False):
        yield path.name


def _write_tables(root: Path, plans: list[StudyPlan]) -> None:
    labels = pd.DataFrame({"BraTS21ID": [p.study_id for p in plans], "MGMT_value": [p.mgmt_value for p in plans]})
    labels.sort_values("BraTS21ID").to_csv(root / LABEL_FILE, index=False)
    rows = []
    for plan in sorted(plans, key=lambda plan: plan.study_id):
        mask_file = f"truth/{plan.study_id}.npz"
        with np.load(root / mask_file) as known:
            centre, (low, high) = known["centre_mm"], known["box_mm"]
            oedema = float(known["oedema_mm"]) if "oedema_mm" in known else np.nan  # begun by an older version
        row = {"study_id": plan.study_id, "person": plan.person, "mgmt_value": plan.mgmt_value, "z": plan.z}
        for name, place in (("centre", centre), ("low", low), ("high", high)):
            row |= {f"{name}_{axis}_mm": round(float(value), 2) for axis, value in zip("lps", place, strict=True)}
        rows.append(row | {"oedema_mm": round(oedema, 2), "mask_file": mask_file})
    pd.DataFrame(rows).to_csv(root / TRUTH_FILE, index=False)


def _digest(config: PhantomConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
