"""Damaged inputs for the tests of what reads them: from a seed, always the same; and a worker that reads them.

``python -m tests.data.mutations FIRST COUNT FOLDER`` reads the inputs of COUNT seeds in one process whose memory is
bounded and in which each input has its time, and prints one line for each seed before it is read: whatever ends the
process, the last line names the input that did.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pydicom

from core.data.index.series import scan_series
from core.data.upload import open_scan
from core.data.volume import read_volume
from core.errors import MGMTLabError
from core.settings import Settings, load_settings
from tests.data.dicom_files import write_enhanced, write_mr

MEMORY_BYTES = 3 * 2**30
SECONDS_EACH = 20
CORPUS = Path(pydicom.__file__).parent / "data" / "test_files"
LARGEST_BASE = 200_000
STACK = np.random.default_rng(0).integers(0, 4000, (6, 12, 10)).astype(np.uint16)


@cache
def bases() -> tuple[tuple[str, bytes], ...]:
    """Whole inputs that are mutated, by name: DICOM of many kinds, archives, NIfTI, images."""
    found = {path.name: path.read_bytes() for path in sorted(CORPUS.glob("*")) if _is_base(path)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {
            "plain.dcm": write_mr(folder / "a", STACK[0]),
            "deflated.dcm": write_mr(folder / "b", STACK[0], syntax="1.2.840.10008.1.2.1.99"),
            "enhanced.dcm": write_enhanced(folder / "c", STACK),
            "enhanced_implicit.dcm": write_enhanced(folder / "d", STACK, syntax="1.2.840.10008.1.2", shared=False),
        }
        found |= {key: path.read_bytes() for key, path in made.items()}
        for key, image in _niftis(folder).items():
            found[key] = image
    found |= _images()
    content = {f"00001/FLAIR/Image-{index}.dcm": found["plain.dcm"] for index in range(3)}
    content["00001/T1w/t1.png"] = found["grey.png"]
    found["study.zip"] = _zip(content)
    found["study.tar"], found["study.tar.gz"] = _tar(content, "w:"), _tar(content, "w:gz")
    return tuple(sorted(found.items()))


def mutate(seed: int) -> tuple[str, bytes]:
    """Return the name and content of the input of one seed: a whole one with a few places damaged."""
    rng = np.random.default_rng(seed)
    groups = _by_suffix()
    names = groups[list(groups)[rng.integers(len(groups))]]
    name = names[rng.integers(len(names))]
    content = bytearray(dict(bases())[name])
    inside = name.endswith(".gz") and rng.random() < 0.7
    if inside:
        content = bytearray(gzip.decompress(content))
    for _ in range(int(rng.integers(1, 6))):
        DAMAGES[rng.integers(len(DAMAGES))](content, rng)
    return name, gzip.compress(bytes(content), mtime=0) if inside else bytes(content)


def read(path: Path, workspace: Path, settings: Settings) -> str:
    """Hand an input in as a person does and read all it holds; return "read", or the name of the project's error."""
    try:
        cohort = open_scan([path], workspace, settings)
        for series in cohort.series:
            if series.kind != "picture":
                volume, _ = read_volume(series, settings)
                assert volume.array.ndim == 3
    except MGMTLabError as error:
        return type(error).__name__ if str(error) else "an error without a message"
    return "read"


def _is_base(path: Path) -> bool:
    return path.is_file() and path.suffix in ("", ".dcm") and path.stat().st_size <= LARGEST_BASE


@cache
def _by_suffix() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, _ in bases():
        groups.setdefault(Path(name).suffix or ".dcm", []).append(name)
    groups["MR"] = [name for name, _ in bases() if name.startswith(("MR_", "plain", "deflated", "enhanced"))]
    return groups


def _niftis(folder: Path) -> dict[str, bytes]:
    import nibabel

    found = {}
    for name in ("t1.nii", "t2.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(STACK.astype(np.int16), np.diag([1, 1, 3, 1])), folder / name)
        found[name] = (folder / name).read_bytes()
    return found


def _images() -> dict[str, bytes]:
    from PIL import Image

    grey = Image.fromarray((STACK[0] // 16).astype(np.uint8))
    kinds = {"grey.png": grey, "deep.png": Image.fromarray(STACK[0]), "colour.png": grey.convert("RGB")}
    kinds |= {"palette.png": grey.convert("P"), "photo.jpg": grey, "old.tif": grey, "moving.gif": grey}
    found = {}
    for name, image in kinds.items():
        file = io.BytesIO()
        image.save(file, {".jpg": "JPEG", ".tif": "TIFF", ".gif": "GIF"}.get(Path(name).suffix, "PNG"))
        found[name] = file.getvalue()
    return found


def _zip(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def _tar(content: dict[str, bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def _place(content: bytearray, rng: np.random.Generator) -> int:
    """A place to damage: anywhere, but as often near the start, where headers are."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 1500)
    return int(rng.integers(max(end, 1)))


def _flip(content: bytearray, rng: np.random.Generator) -> None:
    at = _place(content, rng)
    content[at : at + 1] = bytes([(content[at] if at < len(content) else 0) ^ (1 << int(rng.integers(8)))])


def _overwrite(content: bytearray, rng: np.random.Generator) -> None:
    at, size = _place(content, rng), int(rng.integers(1, 9))
    content[at : at + size] = rng.bytes(size)


def _extreme(content: bytearray, rng: np.random.Generator) -> None:
    at, size = _place(content, rng), int(rng.choice([1, 2, 4, 8]))
    content[at : at + size] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * size


def _cut(content: bytearray, rng: np.random.Generator) -> None:
    del content[_place(content, rng) :]


def _remove(content: bytearray, rng: np.random.Generator) -> None:
    at = _place(content, rng)
    del content[at : at + int(rng.integers(1, 64))]


def _repeat(content: bytearray, rng: np.random.Generator) -> None:
    at, size = _place(content, rng), int(rng.integers(1, 256))
    content[at:at] = content[at : at + size]


def _insert(content: bytearray, rng: np.random.Generator) -> None:
    at = _place(content, rng)
    content[at:at] = rng.bytes(int(rng.integers(1, 64)))


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip,
    _flip,
    _overwrite,
    _extreme,
    _extreme,
    _cut,
    _remove,
    _repeat,
    _insert,
)


def _run(first: int, count: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    settings = load_settings({"MGMT_LAB_HOME": str(folder), "MGMT_LAB_THREADS": "1", "MGMT_LAB_UPLOAD_MB": "50"})
    scan_series("warm up", [], folder, settings)
    for seed in range(first, first + count):
        name, content = mutate(seed)
        place = folder / str(seed)
        place.mkdir(parents=True)
        (place / name).write_bytes(content)
        print(f"{seed} {name}", flush=True, end=" ")
        signal.alarm(SECONDS_EACH)
        with contextlib.redirect_stderr(io.StringIO()):
            outcome = read(place / name, place / "unpacked", settings)
        signal.alarm(0)
        print(outcome, flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    _run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
