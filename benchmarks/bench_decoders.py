"""Native decoders on headers that do not fit their codestreams: who dies of it, and what decoding elsewhere costs.

Four tables, of slices that the benchmark writes itself:

- 1,792 pairs: 14 codestreams (JPEG baseline of one and of three components, Extended of 8 and 12 bits, Lossless, JPEG-LS
  and JPEG 2000 of 8, 12 and 16, RLE of 16; lossy JPEG-LS and JPEG 2000) under 128 headers (8 or 16 bits allocated, 1 to 16 stored,
  signed or not, MONOCHROME1 or 2). Each is read by the product, and given to the same decoder as the header says, in
  a process that is thrown away.
- Damaged codestreams: those of the pairs with bytes changed at random, under a header that fits.
- Pictures (PNG, JPEG, BMP, GIF, TIFF, WebP) with bytes changed at random, read by Pillow in a process that is thrown away.
- The price: one series read with its frames decoded in this process, and by a worker, in turns.

Pass rules, fixed before the first run: no pair ends the process that reads it; each gives values or an error that names
the file; where header and codestream agree and nothing is lost, the values are right to the last bit; no picture ends the
process. The exit status is 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from measuring import cpu_seconds_of_all, machine, parse_arguments, print_table
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

Header = tuple[int, int, int, str]

SIZE = 64
HEADERS: list[Header] = list(itertools.product((8, 16), range(1, 17), (0, 1), ("MONOCHROME1", "MONOCHROME2")))
"""Bits Allocated, Bits Stored, Pixel Representation, Photometric Interpretation; High Bit is Bits Stored - 1."""
KINDS = (
    (JPEGBaseline8Bit, 8, 1),
    (JPEGBaseline8Bit, 8, 3),
    (JPEGExtended12Bit, 8, 1),
    (JPEGExtended12Bit, 12, 1),
    (JPEGLosslessSV1, 8, 1),
    (JPEGLosslessSV1, 12, 1),
    (JPEGLosslessSV1, 16, 1),
    (JPEGLSLossless, 8, 1),
    (JPEGLSLossless, 12, 1),
    (JPEGLSLossless, 16, 1),
    (JPEGLSNearLossless, 12, 1),
    (JPEG2000Lossless, 8, 1),
    (JPEG2000Lossless, 16, 1),
    (RLELossless, 16, 1),
)
"""Transfer syntax, bits of a value, components of the codestream."""
LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")


def main() -> int:
    """Measure, print the tables, and return 1 where a rule does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headers", type=int, default=len(HEADERS), help="of the 128, evenly chosen")
    parser.add_argument("--price", action="store_true", help="the price alone")
    parser.add_argument("--damaged", type=int, default=3000)
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=9)
    parser.set_defaults(size=256)
    arguments = parse_arguments(parser, headers=8, damaged=24, pictures=30, slices=2, rounds=1, size=32)
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.price or (
            try_pairs(Path(folder), HEADERS[:: len(HEADERS) // arguments.headers])
            & try_damaged(Path(folder), arguments.damaged)
            & try_pictures(Path(folder), arguments.pictures)
        )
        measure_price(Path(folder), arguments)
    return 0 if kept else 1


def draw(bits: int, size: int = SIZE, seed: int = 0) -> NDArray[np.int64]:
    """A disc with a texture, which uses all of its bits."""
    y, x = np.mgrid[:size, :size] / size
    noise = np.random.default_rng(seed).random((size, size))
    values = (np.hypot(x - 0.5, y - 0.5) < 0.4) * (0.4 + 0.5 * x + 0.1 * noise)
    return np.round(values / values.max() * ((1 << bits) - 1)).astype(np.int64)


def write_slice(
    path: Path, syntax: UID, content: bytes, bits: tuple[int, int, int], photometric: str, size: int
) -> Path:
    """Write one MR slice with a header of one's choice: `bits` are allocated, stored, and whether signed."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.4"), generate_uid()
    dataset.StudyInstanceUID = dataset.SeriesInstanceUID = UID("1.2.3")
    dataset.Modality, dataset.SeriesDescription = "MR", "AX FLAIR"
    dataset.ImagePositionPatient, dataset.PixelSpacing = [0, 0, 0], [1, 1]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.Rows, dataset.Columns = size, size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation = bits
    dataset.HighBit = dataset.BitsStored - 1
    compressed = syntax != ExplicitVRLittleEndian
    dataset.add_new("PixelData", "OB" if compressed else "OW", encapsulate([content]) if compressed else content)
    dataset["PixelData"].is_undefined_length = compressed
    dataset.save_as(path, enforce_file_format=True)
    return path


def encode(values: NDArray[np.int64], syntax: UID, bits: int, components: int, folder: Path) -> bytes:
    """Compress one slice: colour by Pillow, RLE by pydicom, all others by GDCM."""
    if components == 3:
        picture = io.BytesIO()
        Image.fromarray(values.astype(np.uint8)).convert("RGB").save(picture, "JPEG")
        return picture.getvalue()
    native, packed = folder / "native.dcm", folder / "packed.dcm"
    stored = values.astype("<u1" if bits == 8 else "<u2")
    write_slice(
        native, ExplicitVRLittleEndian, stored.tobytes(), (stored.itemsize * 8, bits, 0), "MONOCHROME2", len(values)
    )
    if syntax == RLELossless:
        dataset = dcmread(native)
        dataset.compress(RLELossless)
        return next(generate_frames(dataset.PixelData, number_of_frames=1))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(native))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    assert reader.Read()
    change.SetInput(reader.GetImage())
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(packed))
    writer.SetFile(reader.GetFile())
    assert change.Change()
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return next(generate_frames(dcmread(packed).PixelData, number_of_frames=1))


def try_pairs(folder: Path, headers: list[Header]) -> bool:
    """Read every pair of a codestream and a header, and print what came of it; a child reads those of one codestream."""
    rows: list[tuple[Any, ...]] = []
    wrong: list[str] = []
    for syntax, bits, components in KINDS:
        content, outcome = encode(draw(bits), syntax, bits, components, folder), folder / "outcome.json"
        outcome.unlink(missing_ok=True)
        paths = [write_pair(folder, syntax, content, header) for header in headers]
        unguarded = sum(ends_process(partial(decode_as_the_header_says, path)) for path in paths)
        died = ends_process(partial(read_pairs, paths, headers, (syntax, bits, components), outcome))
        found = read_outcome(outcome)
        wrong += found["wrong"]
        kind = f"{syntax.name.split(',')[0].split(' (')[0]}, {bits} bits" + ", colour" * (components == 3)
        rows.append((kind, len(headers), unguarded, int(died), found["read"], found["named"], found["killed"]))
    totals = [sum(row[column] for row in rows) for column in range(1, 7)]
    print_table(
        f"Codestreams under {len(headers)} headers each ({machine()})",
        ("codestream", "pairs", "died, header trusted", "died, product", "read", "refused by name", "worker died"),
        [*rows, ("all", *totals)],
    )
    print("\n".join(wrong[:20]) or "all that agree are read to the last bit, and every refusal names the file")
    return not wrong and totals[2] == 0 and totals[3] + totals[4] == totals[0]


def read_outcome(outcome: Path) -> dict[str, Any]:
    """What a child wrote of its pairs; nothing of one that died."""
    if outcome.is_file():
        found: dict[str, Any] = json.loads(outcome.read_text())
        return found
    return {"read": 0, "named": 0, "killed": 0, "wrong": []}


def write_pair(folder: Path, syntax: UID, content: bytes, header: Header) -> Path:
    """Write a codestream under a header."""
    allocated, stored, signed, photometric = header
    path = folder / f"{allocated}-{stored}-{signed}-{photometric}.dcm"
    return write_slice(path, syntax, content, (allocated, stored, signed), photometric, SIZE)


def read_pairs(paths: list[Path], headers: list[Header], kind: tuple[UID, int, int], outcome: Path) -> None:
    """Read the pairs of one codestream as the product does, and write what came of it."""
    from core.data.formats.dicom import read_instance
    from core.errors import DicomError

    syntax, bits, components = kind
    values = draw(bits)
    found: Counter[str] = Counter()
    wrong: list[str] = []
    for path, (allocated, stored, signed, photometric) in zip(paths, headers, strict=True):
        agree = components == 1 and stored == bits and allocated >= bits and not signed
        expected = values if photometric == "MONOCHROME2" else (1 << stored) - 1 - values
        try:
            pixels = read_instance(path)[1]
        except DicomError as error:
            found["killed" if "died" in str(error) else "named"] += 1
            if path.name not in str(error) or (agree and kind != (JPEGExtended12Bit, 12, 1)):
                wrong.append(f"{syntax.name}, {bits} bits, {path.name}: {error}")
        else:
            found["read"] += 1
            if agree and syntax not in LOSSY and not np.array_equal(pixels, expected):
                wrong.append(f"{syntax.name}, {bits} bits, {path.name}: other values")
    named = found["named"] + found["killed"]
    outcome.write_text(json.dumps({"read": found["read"], "named": named, "killed": found["killed"], "wrong": wrong}))


def decode_as_the_header_says(path: Path) -> None:
    """What a reader does that trusts the header: pydicom with GDCM (JPEG 2000: OpenJPEG)."""
    dataset = dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = "pylibjpeg" if syntax == JPEG2000Lossless else "pydicom" if syntax == RLELossless else "gdcm"
    get_decoder(syntax).as_array(dataset, raw=True, decoding_plugin=plugin)


def ends_process(work: Callable[[], object]) -> bool:
    """Whether some work ends the process that does it; an error is no such end."""
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = io.StringIO()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()
        except Exception:  # noqa: BLE001 - only its death is asked for
            os._exit(0)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def try_damaged(folder: Path, count: int) -> bool:
    """Read damaged codestreams as the product does, and print how many ended the worker, and this process: a child of it."""
    kinds = [kind for kind in KINDS if kind[0] != RLELossless and kind[2] == 1]
    rows: list[tuple[object, ...]] = []
    for number, (syntax, bits, components) in enumerate(kinds):
        whole = encode(draw(bits), syntax, bits, components, folder)
        outcome, container = folder / "outcome.json", 8 if bits == 8 else 16
        outcome.unlink(missing_ok=True)
        paths = []
        for index, content in enumerate(spoil(whole, count // len(kinds), seed=number)):
            bits_of_header = (container, bits, 0)
            padded = content + b"\0" * (len(content) % 2)
            paths.append(write_slice(folder / f"{index}.dcm", syntax, padded, bits_of_header, "MONOCHROME2", SIZE))
        header = (
            container,
            bits,
            1,
            "MONOCHROME2",
        )  # what it must be read as is not known: signed ones are not compared
        died = ends_process(partial(read_pairs, paths, [header] * len(paths), (syntax, bits, components), outcome))
        found = read_outcome(outcome)
        rows.append(
            (f"{syntax.name.split(',')[0]}, {bits} bits", len(paths), int(died), found["killed"], found["named"])
        )
    died_in_all = sum(int(str(row[2])) for row in rows)
    title = f"Codestreams with changed bytes; product: {died_in_all} deaths, upper 95% limit {3 / count:.2%}"
    print_table(title, ("codestream", "n", "died, product", "worker died", "refused by name"), rows)
    return died_in_all == 0


def try_pictures(folder: Path, count: int) -> bool:
    """Read pictures with changed bytes, and print how many end the process; a child reads each."""
    from core.data.formats.images import read_image
    from core.errors import DataError

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(DataError):
            read_image(path)

    path = folder / "picture"
    rows = []
    for kind in FORMATS:
        whole = io.BytesIO()
        Image.fromarray(draw(8).astype(np.uint8)).save(whole, kind)
        pictures = list(spoil(whole.getvalue(), count // len(FORMATS), seed=FORMATS.index(kind)))
        rows.append((kind, len(pictures), sum(ends_process(partial(read, one)) for one in pictures)))
    died = sum(row[2] for row in rows)
    print_table(f"Pictures with changed bytes; upper 95% limit of all: {3 / count:.1%}", ("kind", "n", "died"), rows)
    return died == 0


def spoil(whole: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of some content with 1 to 16 bytes changed, half of them among the first 80; one in ten is cut off."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 17)):
            content[rng.integers(rng.choice([min(80, len(content)), len(content)]))] = rng.integers(256)
        yield bytes(content[: rng.integers(16, len(content))] if rng.random() < 0.1 else content)


def measure_price(folder: Path, arguments: argparse.Namespace) -> None:
    """Read one series of each kind with its frames decoded here, and by a worker, and print CPU and wall time of both."""
    from core.data.formats import codestream, decoder_process
    from core.data.formats.dicom import read_frames

    in_worker, rows = codestream._pool.decode, []
    for syntax, bits in ((JPEGBaseline8Bit, 8), (JPEGLosslessSV1, 16), (JPEGLSLossless, 16), (JPEG2000Lossless, 16)):
        series = folder / syntax
        series.mkdir()
        content = encode(draw(bits, arguments.size), syntax, bits, 1, folder)
        files = [
            write_slice(series / f"{number}.dcm", syntax, content, (bits, bits, 0), "MONOCHROME2", arguments.size)
            for number in range(arguments.slices)
        ]

        def read(decoder: Callable[..., object], files: list[Path] = files) -> None:
            codestream._pool.decode = decoder  # type: ignore[method-assign, assignment]
            for path in files:
                read_frames(path)

        ways: dict[str, Callable[[], object]] = {
            "here": partial(read, decoder_process.decode),
            "worker": partial(read, in_worker),
        }
        cpu, wall = measure_both(ways, arguments.rounds)
        slices = len(files)
        rows.append(
            (
                syntax.name.split(",")[0],
                *(1000 * cpu[way] / slices for way in ways),
                cpu["worker"] / cpu["here"] if cpu["here"] else np.nan,  # the clock ticks in hundredths of a second
                1000 * (cpu["worker"] - cpu["here"]) / slices,
                *(1000 * wall[way] / slices for way in ways),
                wall["worker"] / wall["here"],
            )
        )
        codestream._pool.decode = in_worker  # type: ignore[method-assign]
    print_table(
        f"{arguments.slices} slices of {arguments.size} x {arguments.size}, n = {arguments.rounds} rounds in turns; "
        "milliseconds a slice, CPU with the worker's",
        ("codestream", "CPU, here", "CPU, worker", "ratio", "added", "wall, here", "wall, worker", "ratio"),
        rows,
    )


def measure_both(ways: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Mean CPU-seconds of each way, with those of the workers, and its median wall-seconds; they take turns."""
    cpu = dict.fromkeys(ways, 0.0)
    wall: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, work in ways.items():
            spent, start = cpu_seconds_of_all(), time.perf_counter()
            work()
            if turn:  # the first is for the caches, and starts the worker
                cpu[name] += (cpu_seconds_of_all() - spent) / rounds
                wall[name].append(time.perf_counter() - start)
    return cpu, {name: float(np.median(values)) for name, values in wall.items()}


if __name__ == "__main__":
    sys.exit(main())
