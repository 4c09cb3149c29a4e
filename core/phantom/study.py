"""One synthetic study: planned first, from random streams that never see the label, then drawn and written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import StorageError
from core.mri import MRSequence, Plane
from core.phantom.anatomy import Brain, draw_brain, rotation_matrix
from core.phantom.contrast import IN_PLANE, Acquisition, draw_image, sample_slices
from core.phantom.dicom import SCANNERS, draw_header, draw_uid, write_series
from core.phantom.fields import FloatArray, random_stream
from core.phantom.tumour import Tumour, TumourSite, draw_site, draw_tumour

SEQUENCES = (MRSequence.FLAIR, MRSequence.T1W, MRSequence.T1WCE, MRSequence.T2W)
PLANES = (Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL)
PLANE_SHARES = (0.70, 0.15, 0.15)
MARGIN_MM = 4.0
FIELD_OF_VIEW_MM = (205.0, 255.0)
OFF_CENTRE_SD_MM = 9.0
THICKNESS_MM = (4.0, 6.0)
POSE_SD_DEGREES = 3.0
POSE_SD_MM = 6.0
SAMPLE_INDEX = 2**31
"""Number of the sample study: no cohort is so large, so it shares no patient with one."""
SAMPLE_SIGNAL = 3.0
"""Signal of the sample study: its z is the mean of its class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """All that decides one study. Two plans that differ in ``z`` alone give the same head and tumour box."""

    study_id: str
    person: str
    """The id under which this patient stands in the cohort first."""
    seed: int
    index: int
    """The patient's number in the cohort; with the seed it decides everything that the label does not."""
    mgmt_value: int
    z: float
    """The latent biomarker."""
    slices: int
    size: int
    scanner: int | None = None
    """Index into SCANNERS where it is tied to the label; None draws it."""
    scale_bar: bool = False
    """A bright bar in the margin of every slice that shows the head."""
    copy: int = 0
    """0 is the study itself; the same patient's n-th duplicate has the same pixels under other UIDs."""

    def stream(self, purpose: str) -> np.random.Generator:
        """Random numbers of one purpose."""
        return random_stream(self.seed, self.index, purpose)


def write_study(folder: Path, plan: StudyPlan, truth_folder: Path | None = None) -> Path:
    """Write one study's four series and return its folder, which is there whole or not at all.

    Parameters
    ----------
    folder
        The study goes to ``folder / plan.study_id``; it is written under a hidden name and moved there last.
    plan
        What to draw.
    truth_folder
        Where to write ``<study_id>.npz``: ``mask`` (the tumour with its oedema, cut to its box, in the BraTS
        convention: 1 necrosis, 2 oedema, 4 enhancing), ``affine`` (4, 4) from its indices to LPS millimetres,
        ``centre_mm`` (3,) of the tumour and ``box_mm`` (2, 3), the lowest and highest corner of core and ring.
    """
    partial = folder / f".{plan.study_id}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    site = draw_site(plan.stream("site"))
    brain = draw_brain(plan.stream("anatomy"), push_centre_mm=site.centre_mm, push_mm=site.push_mm)
    tumour = draw_tumour(plan.stream("tumour"), site, brain.white, brain.depth_mm, plan.z)
    pose = _draw_pose(plan.stream("pose"))
    names = plan.stream(f"names {plan.copy}")
    study_uid, frame_uid = draw_uid(names), draw_uid(names)
    drawn = int(plan.stream("scanner").integers(len(SCANNERS)))
    scanner = SCANNERS[drawn if plan.scanner is None else plan.scanner]
    for number, sequence in enumerate(SEQUENCES, start=1):
        (partial / sequence).mkdir(parents=True)
        acquisition = _draw_acquisition(plan, sequence, brain)
        image = draw_image(brain, tumour, sequence, plan.stream(f"contrast {sequence}"))
        noise = plan.stream(f"noise {sequence}")
        series = sample_slices(image, brain.mask, brain.grid, acquisition, noise)
        stored = _to_stored(series, noise)
        write_series(
            partial / sequence,
            _add_scale_bar(stored) if plan.scale_bar else stored,
            draw_header(
                names,
                study_id=plan.study_id,
                sequence=sequence,
                scanner=scanner,
                study_uid=study_uid,
                frame_uid=frame_uid,
                series_number=3 * number + int(names.integers(3)),
            ),
            plane=acquisition.plane,
            affine=pose @ _affine(acquisition),
            thickness_mm=acquisition.thickness_mm,
            rng=names,
        )
    if truth_folder is not None:
        _write_truth(truth_folder / f"{plan.study_id}.npz", tumour, site, brain, pose)
    return partial.replace(folder / plan.study_id)


def make_sample_study(
    folder: Path, *, seed: int, mgmt_value: int, z: float | None = None, slices: int = 24, size: int = 128
) -> Path:
    """Make one study with the four sequences and return its folder.

    The same seed with another `z` gives its counterfactual twin: the same head, noise, headers and tumour box,
    with nothing changed but the trait.

    Parameters
    ----------
    folder
        Where the study's folder is made; an earlier one of the same seed is replaced.
    seed
        Decides everything but the trait; shares no patient with a cohort of the same seed.
    mgmt_value
        The label it stands for; decides `z` where that is not given.
    z
        The biomarker; by default the mean of the label's class at signal 3.
    slices, size
        Slices of each series; rows and columns of each slice.
    """
    study_id = f"{10_000 + int(random_stream(seed, SAMPLE_INDEX, 'id').integers(90_000)):05d}"
    plan = StudyPlan(
        study_id=study_id,
        person=study_id,
        seed=seed,
        index=SAMPLE_INDEX,
        mgmt_value=mgmt_value,
        z=SAMPLE_SIGNAL * mgmt_value if z is None else z,
        slices=slices,
        size=size,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / study_id, ignore_errors=True)
        return write_study(folder, plan)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error.strerror or error}); name another folder.") from error


def _write_truth(path: Path, tumour: Tumour, site: TumourSite, brain: Brain, pose: NDArray[np.float64]) -> None:
    grid = brain.grid
    labels = tumour.labels()
    labels[brain.mask < 0.5] = 0
    box = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(labels))
    mask = labels[box]
    affine = np.diag([grid.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = [grid.axis_mm(axis)[box[axis].start] for axis in range(3)]
    affine = pose @ affine
    places = np.argwhere((mask == 1) | (mask == 4)) @ affine[:3, :3].T + affine[:3, 3]
    np.savez_compressed(
        path,
        centre_mm=(pose @ [*site.centre_mm, 1.0])[:3],
        box_mm=np.stack([places.min(axis=0), places.max(axis=0)]),
        oedema_mm=site.oedema_mm,
        mask=mask,
        affine=affine,
    )


def _draw_pose(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw (4, 4): the head's own axes to the scanner's; slices are laid along the head, so they are oblique."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(np.deg2rad(rng.normal(0, POSE_SD_DEGREES, 3)))
    pose[:3, 3] = rng.normal(0, POSE_SD_MM, 3)
    return pose


def _draw_acquisition(plan: StudyPlan, sequence: MRSequence, brain: Brain) -> Acquisition:
    """Lay a series over the whole brain, with some blank slices at either end."""
    rng = plan.stream(f"geometry {sequence}")
    plane = PLANES[rng.choice(len(PLANES), p=PLANE_SHARES)]
    bounds = [_extent_mm(brain, axis) for axis in IN_PLANE[plane]]
    most = max(1, plan.slices // 8)
    before, after = (int(n) for n in rng.integers(0, most + 1, 2))
    low, high = bounds[0]
    spacing = (high - low) / max(1, plan.slices - before - after)
    longest = max(b - a for a, b in bounds[1:])
    field_of_view = max(longest + 2 * MARGIN_MM, rng.uniform(*FIELD_OF_VIEW_MM))
    spare = (field_of_view - longest) / 2 - MARGIN_MM
    positions = low + (np.arange(plan.slices) - before + 0.5) * spacing
    return Acquisition(
        plane=plane,
        positions_mm=tuple(positions[::-1] if rng.random() < 0.5 else positions),
        thickness_mm=min(spacing, float(rng.uniform(*THICKNESS_MM))),
        pixel_mm=field_of_view / plan.size,
        size_px=plan.size,
        shift_mm=tuple((a + b) / 2 + np.clip(rng.normal(0, OFF_CENTRE_SD_MM), -spare, spare) for a, b in bounds[1:]),
    )


def _extent_mm(brain: Brain, axis: int) -> tuple[float, float]:
    others = tuple(other for other in range(3) if other != axis)
    inside = np.flatnonzero((brain.mask > 0.5).any(axis=others))
    places = brain.grid.axis_mm(axis)
    return float(places[inside[0]]), float(places[inside[-1]])


def _affine(acquisition: Acquisition) -> NDArray[np.float64]:
    """(4, 4): (slice, row, column, 1) indices to the head's own axes."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    places = (np.asarray(acquisition.positions_mm), acquisition.axis_mm(0), acquisition.axis_mm(1))
    for column, (axis, place) in enumerate(zip(IN_PLANE[acquisition.plane], places, strict=True)):
        affine[axis, column] = place[1] - place[0]
        affine[axis, 3] = place[0]
    return affine


def _to_stored(series: FloatArray, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Scale to the arbitrary unit of a scanner; 0 is kept for what was stripped."""
    scale = np.clip(900 * np.exp(rng.normal(0, 0.5)), 250, 8000)
    return np.where(series > 0, np.clip(np.rint(series * scale), 1, 32767), 0).astype(np.uint16)


def _add_scale_bar(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Draw a bar down the left margin of each slice that is not blank; (slices, rows, columns), not changed."""
    marked = stored.copy()
    size = stored.shape[1]
    shown = np.flatnonzero(stored.any(axis=(1, 2)))
    marked[shown, size // 5 : -(size // 5), 1 : 2 + size // 32] = stored.max()
    return marked
