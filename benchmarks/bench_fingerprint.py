"""Is the same scan found again after what data sets do to it, and nobody taken for somebody else?

    python benchmarks/bench_fingerprint.py [--persons 500] [--seed 0] [--jobs 2] [--keep FOLDER]

Each person is a synthetic head (T1wCE, 1.8 mm) with cerebrospinal fluid, skull, scalp, neck and face around the brain, in a
pose of its own, with noise: the original. Copies of it, each kind on its own: cut to 5 mm slices; moved (rigid, up to about
10 degrees); skull-stripped; registered to one atlas (affine, every brain in one box, stripped); that with z-scores; that with
8 bits, a gamma of 0.7 and JPEG slices; and all at once with another bias field at 2.5 mm. Every copy is looked for among all
originals. Then all originals are compared with each other, and so are all heads in the atlas: different persons.

Passes (fixed before the run) where every copy of every kind is found, as the right person, and no two different persons are
called the same, neither as scanned nor in one atlas. With 500 persons the one-sided lower 95% limit of "all found" is 99.4%,
and there are 124,750 pairs. Synthetic heads differ less from each other than people do in some ways (one set of shapes) and
more in others; only a few real scans were tried.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from measuring import machine, parse_arguments, print_table
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform, distance_transform_edt, zoom  # type: ignore[attr-defined]

from core.audit import fingerprint
from core.audit.fingerprint import SAME, Levels, compare, find_alike, take_fingerprint
from core.files import replace_atomically, write_atomic
from core.mri import MRSequence
from core.parallel import run_tasks
from core.phantom.anatomy import draw_brain, rotation_matrix
from core.phantom.contrast import draw_image
from core.phantom.fields import GRID
from core.phantom.study import StudyPlan
from core.phantom.tumour import draw_site, draw_tumour

Volume = NDArray[np.float32]
MM = GRID.spacing_mm
PAD = 10
"""Voxels around the brain's grid, for skull and scalp."""
ATLAS_MM = (132.0, 168.0, 125.0)
"""Box of every brain in the atlas."""
NOISE = 0.024
PARTS = 4
"""In so many parts a cohort is compared with itself."""
COPIES = ("5 mm slices", "moved", "stripped", "atlas", "z-scores", "8 bit, JPEG", "all at once")


def main() -> int:
    """Draw, copy, compare, print; 1 where a copy was missed or two persons were taken for one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--persons", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--keep", type=Path, help="folder in which fingerprints are kept, so that a run can be taken up again"
    )
    arguments = parse_arguments(parser, persons=3, jobs=1)
    tasks = [(arguments.seed, index, arguments.keep) for index in range(arguments.persons)]
    prints = list(run_tasks(keep_prints, tasks, jobs=arguments.jobs))
    originals = [one["original"] for one in prints]
    n = len(prints)
    lists = {"originals, with skull": originals, "in one atlas": [one["atlas"] for one in prints]}
    searches: list[tuple[str, list[Levels], list[Levels], int | None]] = [
        (kind, originals, [one[kind] for one in prints], None) for kind in COPIES
    ]
    searches += [(name, members, members, part) for name, members in lists.items() for part in range(PARTS)]
    found = run_tasks(
        search,
        [(*one, arguments.keep and arguments.keep / f"{arguments.seed}-{n}") for one in searches],
        jobs=arguments.jobs,
    )
    alike: dict[str, list[tuple[int, int, float]]] = {}
    seconds = 0.0
    for (name, *_), (matches, spent) in zip(searches, found, strict=True):
        alike.setdefault(name, []).extend(matches)
        seconds += spent
    rows: list[tuple[object, ...]] = []
    wrong = 0
    for kind in COPIES:
        right = sum(one == other for one, other, _ in alike[kind])
        others = len(alike[kind]) - right
        values = [compare(one["original"], one[kind]) for one in prints[:: max(1, n // 100)]]
        limit = 0.05 ** (1 / n) if right == n else float("nan")
        wrong += n - right + others
        rows.append((kind, f"{right} of {n}", f"{limit:.4f}", others, f"{min(values):.3f}", f"{np.median(values):.3f}"))
    print(machine())
    print_table(
        f"Copies looked for among {len(originals)} originals (correlations of {len(values)} of them)",
        ("copy", "found", "lower 95% limit", "as another person", "least correlation", "median"),
        rows,
    )
    rows = []
    for name in lists:
        values = [value for _, _, value in alike[name]]
        pairs = n * (n - 1) // 2
        same, most = sum(value >= SAME for value in values), max(values, default=0.0)
        wrong += same
        rows.append(
            (name, f"{pairs:,}", same, f"{-np.log(0.05) / max(pairs, 1):.6f}" if not same else "-", f"{most:.3f}")
        )
    print_table(
        "Different persons",
        ("cohort", "pairs", "called the same", "upper 95% limit", "largest correlation"),
        rows,
    )
    print(
        f"{seconds / max(n * (len(COPIES) + 2), 1):.2f} s of CPU a head looked for among {n}; misses and false matches: {wrong}"
    )
    return 1 if wrong and not arguments.tiny else 0


def keep_prints(seed: int, index: int, folder: Path | None) -> dict[str, Levels]:
    """Return what :func:`make_prints` does, from the folder where it is there."""
    if folder is None:
        return make_prints(seed, index)
    path = folder / f"{seed}-{index}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path, durable=False) as beside, beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **make_prints(seed, index))
    with np.load(path, allow_pickle=False) as content:
        return {kind: content[kind] for kind in content.files}


def make_prints(seed: int, index: int) -> dict[str, Levels]:
    """Draw one person, make the copies, and return the fingerprint of each."""
    plan = StudyPlan(study_id="", person="", seed=seed, index=index, mgmt_value=index % 2, z=0.0, slices=24, size=128)
    site = draw_site(plan.stream("site"))
    brain = draw_brain(plan.stream("anatomy"), push_centre_mm=site.centre_mm, push_mm=site.push_mm)
    tumour = draw_tumour(plan.stream("tumour"), site, brain.white, brain.depth_mm, plan.z)
    image = draw_image(brain, tumour, MRSequence.T1WCE, plan.stream("contrast")).astype(np.float32)
    rng = plan.stream("copies")
    mask = np.pad(brain.mask > 0.5, PAD)
    head = add_noise(add_skull(np.pad(image, PAD), mask, rng), rng)
    copies = {"original": (head, MM), "5 mm slices": (head, MM)}
    copies["moved"] = (warp(head, draw_move(rng, 5.0, 4.0), head.shape), MM)
    copies["stripped"] = (np.where(mask, head, 0), MM)
    registration = draw_registration(mask, rng)
    atlas = warp(head, registration, head.shape)
    inside = warp(mask.astype(np.float32), registration, head.shape) > 0.5
    copies["atlas"] = (np.where(inside, atlas, 0), MM)
    copies["z-scores"] = (to_scores(atlas, inside), MM)
    copies["8 bit, JPEG"] = (to_jpeg(to_bytes(atlas, inside)), MM)
    biased = to_scores(atlas * draw_bias(atlas.shape, rng), inside)
    copies["all at once"] = (
        to_bytes(zoom(biased, MM / 2.5, order=1), zoom(inside, MM / 2.5, order=0)),
        2.5,
    )
    found = {}
    for kind, (volume, spacing) in copies.items():
        thick = kind == "5 mm slices"
        stack = np.transpose(to_slabs(volume, 5.0) if thick else volume, (2, 1, 0))
        affine = np.zeros((4, 4))
        affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = (5.0 if thick else spacing), spacing, spacing, 1
        levels = take_fingerprint(stack, affine)
        if levels is None:
            raise RuntimeError(f"person {index}, {kind}: no brain was found")
        found[kind] = levels
    return found


def search(
    name: str, ones: list[Levels], others: list[Levels], part: int | None, keep: Path | None
) -> tuple[list[tuple[int, int, float]], float]:
    """Return who of `others` is called the same as whom, and the CPU seconds; from the folder where it is there.

    With a part it is a list with itself: its share of the pairs that are near enough to be registered, whatever came out.
    """
    source = Path(fingerprint.__file__).read_bytes()
    path = keep and keep / f"{name}-{part}-{hashlib.sha256(source).hexdigest()[:8]}.json"
    if path is None or not path.exists():
        started = time.process_time()
        if part is None:
            found = find_alike(ones, others)
        else:
            pairs = ((one, other) for other in range(len(ones)) for one in range(other))
            skip = {pair for pair in pairs if sum(pair) % PARTS != part}
            found = find_alike(ones, others, same_list=True, least=-1.0, skip=skip)
        matches = [(match.one, match.other, match.correlation) for match in found]
        result = matches, time.process_time() - started
        if path is None:
            return result
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(result), durable=False)
    matches, spent = json.loads(path.read_text())
    return [tuple(match) for match in matches], spent


def add_skull(image: Volume, mask: NDArray[np.bool_], rng: np.random.Generator) -> Volume:
    """Put fluid, skull and scalp of uneven thickness around a brain, and a neck and a face below it."""
    half = distance_transform_edt(~mask[::2, ::2, ::2]).astype(np.float32) * np.float32(2 * MM)
    outside = np.where(mask, 0, zoom(half, 2, order=1)[: mask.shape[0], : mask.shape[1], : mask.shape[2]])
    outside += np.where(outside > 0, smooth_noise(image.shape, rng, 10) * np.float32(1.2), 0)
    fluid = rng.uniform(2, 3)
    skull = fluid + rng.uniform(5, 7)
    scalp = skull + rng.uniform(5, 8)
    head = np.where(mask, image, 0)
    for low, high, value in ((-9.0, fluid, 0.15), (fluid, skull, 0.06), (skull, scalp, 0.9)):
        head[(outside > low) & (outside <= high) & ~mask] = value
    left, posterior, superior = (
        (np.arange(count, dtype=np.float32).reshape([-1 if axis == at else 1 for at in range(3)]) - (count - 1) / 2)
        * MM
        for axis, count in enumerate(image.shape)
    )
    neck = (np.hypot(left, posterior - 14) < 58) & (superior < -54)
    face = ((left / 62) ** 2 + ((posterior + 55) / 48) ** 2 < 1) & (superior < -27)
    muscle = 0.45 + 0.15 * smooth_noise(image.shape, rng, 24)
    return np.where((neck | face) & (outside > skull), muscle, head).astype(np.float32)


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, knots: int) -> Volume:
    """Noise of unit variance at so many knots an axis, drawn smoothly in between."""
    field = rng.standard_normal((knots,) * 3).astype(np.float32)
    for axis, count in enumerate(shape):
        places = np.linspace(0, knots - 1, count)[:, None]
        weights = np.clip(1 - np.abs(places - np.arange(knots)), 0, None).astype(np.float32)
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    return field


def add_noise(head: Volume, rng: np.random.Generator) -> Volume:
    """Add Rician noise."""
    real, imaginary = (rng.standard_normal(head.shape, dtype=np.float32) * np.float32(NOISE) for _ in range(2))
    return np.hypot(head + real, imaginary)


Move = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of a new voxel from the middle: (3, 3) to the old one's axes, and (3,) the old voxel in the middle."""


def draw_move(rng: np.random.Generator, degrees: float, millimetres: float) -> Move:
    """Draw a rigid move; `degrees` and `millimetres` are standard deviations of each axis, the angles within two of them."""
    angles = np.clip(rng.normal(0, degrees, 3), -2 * degrees, 2 * degrees)
    middle = (np.array(GRID.shape) + 2 * PAD - 1) / 2
    return rotation_matrix(np.deg2rad(angles)), middle + rng.normal(0, millimetres / MM, 3)


def draw_registration(mask: NDArray[np.bool_], rng: np.random.Generator) -> Move:
    """The affine map that brings a brain into the atlas' box, with a registration's turn of some degrees."""
    low, high = np.percentile(np.argwhere(mask), (1, 99), axis=0)
    turn, _ = draw_move(rng, 3.0, 0.0)
    return turn @ np.diag((high - low) / (np.array(ATLAS_MM) / MM)), (low + high) / 2


def warp(volume: Volume, move: Move, shape: tuple[int, ...]) -> Volume:
    """Resample a volume."""
    matrix, middle = move
    return affine_transform(volume, matrix, middle - matrix @ ((np.array(shape) - 1) / 2), shape, order=1)


def to_slabs(volume: Volume, thickness: float) -> Volume:
    """Average over slabs along the last axis."""
    count = int(volume.shape[2] * MM / thickness)
    edges = np.round(np.arange(count + 1) * thickness / MM).astype(int)
    return np.stack([volume[:, :, a:b].mean(axis=2) for a, b in pairwise(edges)], axis=2)


def to_scores(volume: Volume, inside: NDArray[np.bool_]) -> Volume:
    """Z-scores of the brain; 0 outside."""
    values = volume[inside]
    return np.where(inside, (volume - values.mean()) / values.std(), 0).astype(np.float32)


def to_bytes(volume: Volume, inside: NDArray[np.bool_]) -> Volume:
    """8 bits between the 1st and the 99th percentile, with a gamma of 0.7; 0 outside."""
    low, high = np.percentile(volume[inside > 0][::4], (1, 99))
    scaled = np.clip((volume - low) / (high - low), 0, 1) ** 0.7
    return np.where(inside, np.rint(scaled * 255), 0).astype(np.float32)


def to_jpeg(volume: Volume) -> Volume:
    """Save every axial slice as JPEG of quality 75 and read it again."""
    slices = []
    for image in np.moveaxis(volume, 2, 0):
        buffer = io.BytesIO()
        Image.fromarray(image.astype(np.uint8)).save(buffer, "JPEG", quality=75)
        slices.append(np.asarray(Image.open(buffer), np.float32))
    return np.stack(slices, axis=2)


def draw_bias(shape: tuple[int, ...], rng: np.random.Generator) -> Volume:
    """A smooth field between about 0.8 and 1.25."""
    return np.exp(0.1 * smooth_noise(shape, rng, 4)).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
