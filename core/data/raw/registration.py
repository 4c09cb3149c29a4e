"""Rigid registration of two series of one patient, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from core.data.raw.images import Image, isotropic, rotation_degrees, shift_mm
from core.data.raw.similarity import Pair, Similarity

LEVELS = ((4.0, 1.0, 100), (2.0, 0.25, 150))
"""Voxel size in millimetres, share of the voxels that are sampled, and steps at most, from coarse to fine."""
SEED = 20
BINS = 48
LEAST_STEP = 0.0005

LEAST_OVERLAP = 0.7
"""Dice of the two heads in the common field of view."""
LARGEST_LOSS = 0.03
"""Share of the mutual information that a registration may lose: two series that lay right gain nothing."""
MOST_DEGREES, MOST_MM = 35.0, 60.0
"""Largest turn, and largest shift of the middle of heads that lay over each other before."""
PROBE_MM, PROBE_DEGREES = 4.0, 4.0
LEAST_PEAK = 0.15
"""Share of its mutual information that a pose loses, on average, when it is moved by PROBE_MM or turned by PROBE_DEGREES.
One patient's sequences lose 0.27 and more (a real glioma case, synthetic heads); two people's heads less than 0.1."""
MOST_BETTER = 1.02
"""Mutual information of the best such pose, relative to the one that was found."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """How one series moves onto another, and how alike they are before and after."""

    matrix: NDArray[np.float64]
    """(4, 4): from LPS millimetres of the fixed series to those of the moving one."""
    middle_mm: NDArray[np.float64]
    """(3,): middle of the fixed head."""
    before: Similarity
    after: Similarity
    peak: float
    """Share of the mutual information that poses nearby lose, on average."""
    better: float
    """Mutual information of the best pose nearby, relative to this one's."""

    @property
    def rotation_degrees(self) -> float:
        """By how much the head was turned."""
        return rotation_degrees(self.matrix)

    @property
    def shift_mm(self) -> float:
        """How far the middle of the head was moved."""
        return shift_mm(self.matrix, self.middle_mm)

    @property
    def reason(self) -> str:
        """Why it is not believed; empty where it is."""
        before, after = self.before, self.after
        if after.overlap < LEAST_OVERLAP:
            return f"the heads overlap by {after.overlap:.2f} only (at least {LEAST_OVERLAP:g})"
        if self.rotation_degrees > MOST_DEGREES:
            return f"the head was turned by {self.rotation_degrees:.0f} degrees (at most {MOST_DEGREES:.0f})"
        if before.overlap > 0.5 and self.shift_mm > MOST_MM:
            return f"the head was moved by {self.shift_mm:.0f} mm (at most {MOST_MM:.0f})"
        if after.mutual_information < (1 - LARGEST_LOSS) * before.mutual_information:
            return (
                f"the series have less in common after it than before (mutual information {before.mutual_information:.2f}, "
                f"then {after.mutual_information:.2f})"
            )
        if self.better > MOST_BETTER:
            return f"a pose nearby fits better (its mutual information is {self.better:.2f} times as high)"
        if self.peak < LEAST_PEAK:
            return (
                f"moving the head by {PROBE_MM:.0f} mm changes the mutual information by {self.peak:.2f} only (at least "
                f"{LEAST_PEAK:g}): the two series may be of different people"
            )
        return ""

    def to_dict(self) -> dict[str, object]:
        """Figures and matrix as plain values."""
        return {
            "matrix": self.matrix.round(6).tolist(),
            "rotation_degrees": self.rotation_degrees,
            "shift_mm": self.shift_mm,
            "mutual_information": {
                "before": self.before.mutual_information,
                "after": self.after.mutual_information,
            },
            "overlap": {"before": self.before.overlap, "after": self.after.overlap},
            "peak": self.peak,
            "better": self.better,
        }


def assess(pair: Pair, matrix: NDArray[np.float64]) -> Registration:
    """Return a registration with its figures, whatever it was found by."""
    after = pair.compare(matrix)
    nearby = [pair.mutual_information(pose) for pose in _poses_near(matrix, pair.middle_mm)]
    scale = max(after.mutual_information, 1e-9)
    return Registration(
        matrix=matrix,
        middle_mm=pair.middle_mm,
        before=pair.compare(np.eye(4)),
        after=after,
        peak=1 - float(np.mean(nearby)) / scale,
        better=max(nearby) / scale,
    )


def _poses_near(matrix: NDArray[np.float64], middle_mm: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Twelve poses: moved along and turned about each axis, both ways."""
    poses = []
    for axis in range(3):
        for sign in (-1, 1):
            moved = matrix.copy()
            moved[axis, 3] += sign * PROBE_MM
            turn = sitk.Euler3DTransform()
            turn.SetCenter(middle_mm.tolist())
            angles = [0.0, 0.0, 0.0]
            angles[axis] = sign * float(np.radians(PROBE_DEGREES))
            turn.SetRotation(*angles)
            poses += [moved, matrix @ matrix_of(turn)]
    return poses


def register(fixed: Image, moving: Image, pair: Pair) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from the fixed image's LPS millimetres to the moving one's, by mutual information.

    Mattes' mutual information is raised by gradient descent at two resolutions, from the better of two starts: as the
    scanner placed them, or the middles of the heads laid over each other. The same images give the same matrix.
    """
    starts = [np.eye(4), np.eye(4)]
    starts[1][:3, 3] = pair.moving_middle_mm() - pair.middle_mm
    best = max(starts, key=lambda start: pair.compare(start).overlap * pair.mutual_information(start))
    transform = sitk.Euler3DTransform()
    transform.SetCenter(pair.middle_mm.tolist())
    transform.SetTranslation(best[:3, 3].tolist())
    for spacing_mm, share, steps in LEVELS:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        if share < 1:
            method.SetMetricSamplingStrategy(method.REGULAR)
            method.SetMetricSamplingPercentage(share, SEED)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=1.0, minStep=LEAST_STEP, numberOfIterations=steps, relaxationFactor=0.6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        method.Execute(isotropic(fixed, spacing_mm), isotropic(moving, spacing_mm))
    return matrix_of(transform)


def matrix_of(transform: Image) -> NDArray[np.float64]:
    """Return a rigid transform as a (4, 4) matrix in LPS millimetres."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix
