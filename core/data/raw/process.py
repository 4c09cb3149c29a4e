"""One raw study in, the same study bias-corrected, co-registered and without its skull out: as NIfTI with a record."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.config import PrepConfig
from core.data.index.series import scan_series
from core.data.raw.bias import correct_bias
from core.data.raw.brain_mask import check_brain, find_brain
from core.data.raw.config import RAW_VERSION, RawConfig, Step
from core.data.raw.images import Image, make_even, smooth_to, to_image, voxels_of, with_voxels
from core.data.raw.registration import assess, register
from core.data.raw.similarity import Pair
from core.data.select import compare_frames, select_sources
from core.data.study import Series, Study
from core.data.volume import read_volume
from core.errors import DataError, FrameOfReferenceError, LimitError, RawStepError
from core.files import read_document, storage_errors, write_atomic
from core.mri import MRSequence
from core.progress import Progress, silent
from core.settings import Settings, load_settings

REFERENCES = (MRSequence.T1WCE, MRSequence.T1W, MRSequence.FLAIR, MRSequence.T2W)
"""What the others are registered to: the first that a study has."""
RECORD = "processing.json"
PREVIEWS = "previews.npz"
PREVIEW_MM, PREVIEW_PX = 1.4, 176
"""Of the axial slice that is kept of every sequence before and after each step."""
KEYS = ("source", "version", "steps", "grid_mm")
"""Entries of a record that say whether it is still what would be computed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProcessedStudy:
    """A study after the steps."""

    study: Study
    """With series of kind "nifti" in `folder`; everything else as it was."""
    folder: Path
    record: dict[str, Any]
    """Steps, versions, parameters, transforms and the figures of each check, as :data:`RECORD` holds them."""
    reused: bool
    """Whether it was there already."""


def process_study(
    study: Study,
    config: RawConfig,
    folder: Path,
    settings: Settings | None = None,
    *,
    synthetic: bool = False,
    progress: Progress = silent,
) -> ProcessedStudy:
    """Return a study processed from raw; what was computed before of the same files is read again.

    Parameters
    ----------
    study
        Of its series the best of each sequence is taken.
    config
        Which steps.
    folder
        Where the images and the record go; it is there whole or not at all.
    settings
        The limits; this installation's by default.
    synthetic
        Whether the scan is synthetic, which the result then says too.
    progress
        Called after each series that was corrected or registered, and after brain extraction; may raise to cancel, and
        nothing is kept then.

    Raises
    ------
    RawStepError
        The check of a step failed; the message names the study, the step and why. Nothing is kept.
    FrameOfReferenceError
        The series lie in different frames of reference, and are not to be registered.
    ConfigError
        Brain extraction is asked for and not installed.
    DataError
        A series cannot be read, or has no place in the patient.
    """
    settings = settings or load_settings()
    series = {source[0].sequence: source[0] for source in select_sources(study, PrepConfig())}
    pictures = [one for one in series.values() if one.kind == "picture"]
    if pictures or not series:
        raise DataError(
            f"Study {study.study_id} holds {'loose images' if pictures else 'none of the four sequences'}; from raw are "
            "processed DICOM and NIfTI volumes."
        )
    key = {
        "source": _digest_files(series.values()),
        "version": RAW_VERSION,
        "steps": list(config.steps),
        "grid_mm": config.grid_mm,
    }
    kept = read_record(folder)
    if kept is not None and {name: kept.get(name) for name in KEYS} == key:
        return _reopen(study, folder, kept, settings, reused=True)
    work = _Work(study=study, config=config, series=series, limit=settings.file_pixels, progress=progress)
    started = time.process_time()
    work.run(settings)
    seconds = time.process_time() - started
    record = {
        **key,
        "study_id": study.study_id,
        "processing": config.name,
        "reference": str(work.reference),
        "series": work.describe_sources(),
        "checks": work.checks,
        "cpu_seconds": round(seconds, 2),
        "software": {"SimpleITK": sitk.__version__},
    }
    work.write(folder, record, synthetic)
    return _reopen(study, folder, record, settings, reused=False)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a processed study, or None where there is none that can be read."""
    try:
        content = read_document(folder / RECORD)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_previews(folder: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Return one axial slice (rows, columns) of every sequence, by step and sequence; "came" is before the first step."""
    found: dict[str, dict[str, NDArray[np.uint8]]] = {}
    with np.load(folder / PREVIEWS) as stored:
        for name in stored.files:
            step, _, sequence = name.partition(".")
            found.setdefault(step, {})[sequence] = stored[name]
    return found


def describe_checks(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what each check measured, one row a step and sequence: "step", "sequence", "measured"."""
    rows = []
    for step, found in record["checks"].items():
        for sequence, figures in found.items():
            measured = figures.items() if isinstance(figures, dict) else [("faults", "; ".join(figures))]
            told = [f"{name.replace('_', ' ')} {_tell(value)}" for name, value in measured if name != "matrix"]
            rows.append({"step": step, "sequence": sequence, "measured": ", ".join(told)})
    return rows


def _tell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return " then ".join(_tell(one) for one in value.values())
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)


def _reopen(study: Study, folder: Path, record: dict[str, Any], settings: Settings, *, reused: bool) -> ProcessedStudy:
    """Read what was written as any other folder is read."""
    found = scan_series(study.study_id, sorted(folder.glob("*.nii.gz")), folder, settings)
    if len(found.series) != len(record["series"]):
        reason = found.faults[0].reason if found.faults else "files are gone"
        raise DataError(f"Study {study.study_id}: {folder} cannot be read ({reason}); delete it and process again.")
    return ProcessedStudy(study=replace(study, series=found.series), folder=folder, record=record, reused=reused)


@dataclass(slots=True, kw_only=True)
class _Work:
    """One study on its way through the steps."""

    study: Study
    config: RawConfig
    series: dict[MRSequence, Series]
    images: dict[MRSequence, Image] = field(default_factory=dict)
    pixels: dict[MRSequence, str] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    previews: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    brain: Image = None
    limit: int
    progress: Progress
    done: int = 0

    @property
    def reference(self) -> MRSequence:
        """The sequence that stays where it is."""
        return next(name for name in REFERENCES if name in self.series)

    def run(self, settings: Settings) -> None:
        """Read the series and do the steps, one after the other."""
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # the sum of several differs from run to run
        apart = compare_frames(self.series.values()) == "different" and "register" not in self.config.steps
        if apart and {"brain", "grid"} & set(self.config.steps):
            raise FrameOfReferenceError(
                f"Study {self.study.study_id}: its series lie in different frames of reference, so that one mask or grid "
                "would lay different places over each other; add the step register."
            )
        for sequence, one in self.series.items():
            volume, faults = read_volume(one, settings)
            if faults:
                self.checks.setdefault("read", {})[str(sequence)] = [fault.reason for fault in faults]
            self.pixels[sequence] = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).hexdigest()[:32]
            self.images[sequence] = to_image(make_even(volume))
        self._keep_previews("came")
        steps: dict[Step, Callable[[], None]] = {
            "orient": self._orient,
            "n4": self._correct_bias,
            "register": self._register,
            "brain": self._extract_brain,
            "grid": self._lay_on_grid,
        }
        for name, step in steps.items():
            if name in self.config.steps:
                step()
                self._keep_previews(name)

    def describe_sources(self) -> dict[str, dict[str, str]]:
        """Say what each image was made from, by digests that identify it and name nobody."""
        return {
            str(sequence): {
                "series_uid_sha256": hashlib.sha256(one.series_uid.encode()).hexdigest()[:32],
                "voxels_sha256": self.pixels[sequence],
            }
            for sequence, one in self.series.items()
        }

    def write(self, folder: Path, record: dict[str, Any], synthetic: bool) -> None:
        """Write the images, a sidecar for each, the previews and the record; the folder appears at once."""
        partial = folder.with_name(f".{folder.name}.partial")
        with storage_errors(folder):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            same = compare_frames(self.series.values()) == "same" or "register" in self.config.steps
            frame = hashlib.sha256(f"{record['source']} {record['processing']}".encode()).hexdigest()
            for sequence, image in self.images.items():
                sitk.WriteImage(self._masked(image), str(partial / f"{sequence}.nii.gz"))
                sidecar = {
                    "Processing": record["processing"],
                    "FrameOfReferenceUID": f"2.25.{int(frame[:30], 16)}" if same else "",
                    "Synthetic": synthetic,
                    "SliceEncodingDirection": "k",
                    **record["series"][str(sequence)],
                }
                write_atomic(partial / f"{sequence}.json", json.dumps(sidecar, indent=1))
            np.savez_compressed(partial / PREVIEWS, **self.previews)  # type: ignore[arg-type]
            write_atomic(partial / RECORD, json.dumps(record, indent=1))
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)

    def _orient(self) -> None:
        for sequence, image in self.images.items():
            code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
            self.images[sequence] = sitk.DICOMOrient(image, "LPS")
            self.checks.setdefault("orient", {})[str(sequence)] = {"from": code, "to": "LPS"}

    def _correct_bias(self) -> None:
        for sequence, image in self.images.items():
            array, figures, reason = correct_bias(image)
            self._judge("n4", sequence, figures, reason)
            self.images[sequence] = with_voxels(image, array)

    def _register(self) -> None:
        fixed = self.images[self.reference]
        for sequence, image in self.images.items():
            if sequence is self.reference:
                continue
            pair = Pair(fixed, image)
            found = assess(pair, register(fixed, image, pair))
            self._judge("register", sequence, found.to_dict(), found.reason)
            self.images[sequence] = _moved(image, np.linalg.inv(found.matrix))

    def _extract_brain(self) -> None:
        candidates = [name for name in (MRSequence.T1W, MRSequence.T1WCE) if name in self.images]
        if not candidates:
            raise RawStepError(
                f"Study {self.study.study_id}, brain: deepbet finds the brain in T1w images, and the study has none; leave the "
                "step out."
            )
        for name in candidates:
            self.brain = find_brain(self.images[name])
            figures, reason = check_brain(self.images[name], self.brain)
            if not reason:
                break
        self._judge("brain", name, figures, reason)

    def _lay_on_grid(self) -> None:
        fixed, spacing_mm = self.images[self.reference], self.config.grid_mm
        grid = axial_grid(fixed, spacing_mm, self.limit)
        for sequence, image in self.images.items():
            smooth = smooth_to(image, spacing_mm)
            self.images[sequence] = sitk.Resample(smooth, grid, sitk.Transform(), sitk.sitkLinear, 0.0)
            self.checks.setdefault("grid", {})[str(sequence)] = {
                "voxels": list(grid.GetSize()),
                "spacing_mm": spacing_mm,
            }

    def _judge(self, step: Step, sequence: MRSequence, figures: dict[str, Any], reason: str) -> None:
        """Keep the figures of a check and report that this part is done; refuse the study where it failed."""
        if reason:
            raise RawStepError(
                f"Study {self.study.study_id}, {step} of {sequence}: {reason}. Look at the series; leave it or the step out "
                "(--assign UID=unknown, --steps), or hand in a scan that is processed already."
            )
        self.checks.setdefault(step, {})[str(sequence)] = figures
        self.done += 1
        parts = {"n4": len(self.series), "register": len(self.series) - 1, "brain": 1}
        self.progress(self.done, sum(parts.get(name, 0) for name in self.config.steps), f"{step} of {sequence}")

    def _masked(self, image: Image) -> Image:
        if self.brain is None:
            return image
        return sitk.Mask(image, sitk.Cast(_onto(self.brain, image, sitk.sitkNearestNeighbor), sitk.sitkUInt8))

    def _keep_previews(self, step: str) -> None:
        plane = _preview_plane(self.images[self.reference])
        for sequence, image in self.images.items():
            shown = _onto(self._masked(image), plane, sitk.sitkLinear)
            slice_ = voxels_of(shown)[0]
            top = max(float(np.percentile(voxels_of(image), 99.5)), 1e-6)
            self.previews[f"{step}.{sequence}"] = (np.clip(slice_ / top, 0, 1) * 255).astype(np.uint8)


def axial_grid(image: Image, spacing_mm: float, limit: int) -> Image:
    """Return an empty axial image that covers another one, its axes those of the patient.

    Raises
    ------
    LimitError
        It would have more voxels than `limit`.
    """
    last = np.array(image.GetSize()) - 1
    corners = np.array(
        [
            image.TransformIndexToPhysicalPoint([int(a), int(b), int(c)])
            for a in (0, last[0])
            for b in (0, last[1])
            for c in (0, last[2])
        ]
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    count = np.ceil((high - low) / spacing_mm).astype(int) + 1
    if count.prod() > limit:
        raise LimitError(f"A grid of {' x '.join(map(str, count))} voxels is more than the {limit:,} accepted here.")
    grid = sitk.Image(count.tolist(), sitk.sitkFloat32)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetOrigin(low.tolist())
    return grid


def _preview_plane(image: Image) -> Image:
    """Return one axial slice through the middle of an image, a little above it: through the ventricles of most heads."""
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()]))
    plane = sitk.Image([PREVIEW_PX, PREVIEW_PX, 1], sitk.sitkFloat32)
    plane.SetSpacing([PREVIEW_MM, PREVIEW_MM, PREVIEW_MM])
    plane.SetOrigin((middle - np.array([1, 1, 0]) * PREVIEW_MM * (PREVIEW_PX - 1) / 2).tolist())
    return plane


def _onto(image: Image, grid: Image, interpolator: Any) -> Image:
    return sitk.Resample(image, grid, sitk.Transform(), interpolator, 0.0)


def _moved(image: Image, matrix: NDArray[np.floating[Any]]) -> Image:
    """Return an image in another place: its geometry is moved, its voxels stay as they are."""
    moved = sitk.Image(image)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    moved.SetDirection((matrix[:3, :3] @ direction).ravel().tolist())
    moved.SetOrigin((matrix[:3, :3] @ np.array(image.GetOrigin()) + matrix[:3, 3]).tolist())
    return moved


def _digest_files(series: Any) -> str:
    """Digest of which files a study is made from, by name, size and time of change."""
    digest = hashlib.sha256()
    for one in series:
        for path in one.files:
            state = path.stat()
            digest.update(f"{one.sequence}|{path.name}|{state.st_size}|{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
