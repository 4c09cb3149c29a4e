"""How often the guard refuses what it should, and what it should not: the shipped synthetic checkpoints on scans of every kind.

    python benchmarks/bench_guard.py [CHECKPOINT ...] [--scans FOLDER ...] [--fresh COHORT] [--studies 200]

``--scans`` names folders of real scans, one folder a kind: each of its subfolders, or each group of files whose names begin with
the same digits, is a person (else each file, equal files once). A person counts once, also over several kinds ("real: all"): as
refused only if every scan of that person is. ``--fresh`` is a synthetic cohort that neither the training nor the limits have
seen; without it one of ``--studies`` is made (seed 22). CT, X-ray, ultrasound and other pictures come with pydicom, photographs
with scikit-learn and matplotlib; knees in MR are drawn, for none was at hand. Synthetic studies are changed as another scanner, spacing,
contrast or pose would change them, and drawn with the skull on (benchmarks/changed_scans.py).

Real scans are handed in as they are, and a second time ("distance alone"), like all else, as if they were marked as synthetic, so
that the checks and the distance alone decide. What pydicom's files show is handed in as plain pictures: as DICOM it is refused
unread, since it is not MR. Rules, fixed beforehand: every real scan is refused (k = n); of fresh synthetic patients no larger a
share is refused than the range on the card allows (its upper end lies within or above the exact interval of what is found).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from measuring import PROJECT, TINY_SCAN, call_core, machine, parse_arguments, print_table
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import dcmread
from pydicom.data import get_testdata_files
from scipy.special import betaincinv
from sklearn.datasets import load_sample_images

sys.path.insert(0, str(PROJECT))

from changed_scans import CHANGED, write_changed, write_whole_head

from core.data.cohort import scan_cohort
from core.data.study import Cohort, Study
from core.data.upload import open_scan
from core.data.volume import read_volume
from core.errors import MGMTLabError
from core.evaluation.conformal import refused_share
from core.explain.overlay import to_grey
from core.inference.predict import Predictor
from core.mri import MRSequence
from core.settings import load_settings

Pictures = dict[str, list[NDArray[np.uint8]]]
"""By person, or whatever else may count once."""

OTHERS = 40
"""Of each kind of picture that is drawn here, and of each change to a synthetic study."""


def group_people(folder: Path) -> dict[str, list[Path]]:
    """The scans of a folder by person."""
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    files = sorted(path for path in folder.iterdir() if path.is_file())
    groups: dict[str, list[Path]] = {path.name: [path] for path in below}
    seen: set[bytes] = set()
    for path in files:
        digits = re.match(r"\d+(?=_)", path.name)
        content = path.read_bytes()
        if digits or content not in seen:
            groups.setdefault(digits.group() if digits else f"{folder.name}/{path.name}", []).append(path)
        seen.add(content)
    return groups


def noise(generator: np.random.Generator) -> NDArray[np.uint8]:
    return generator.integers(0, 256, (256, 256)).astype(np.uint8)


def text_page(generator: np.random.Generator) -> NDArray[np.uint8]:
    page = Image.new("L", (256, 330), 255)
    draw = ImageDraw.Draw(page)
    for line in range(12, 316, 12):
        words = " ".join("x" * int(length) for length in generator.integers(1, 9, 9))
        draw.text((14, line), words, fill=0)
    return np.asarray(page)


def photographs(generator: np.random.Generator, parts: int) -> Pictures:
    """Parts of the three photographs that come with scikit-learn and matplotlib."""
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    whole = [*load_sample_images().images, np.asarray(Image.open(hopper).convert("RGB"))]
    found: Pictures = {}
    for number, image in enumerate(whole):
        grey = image.mean(axis=2)
        for _ in range(parts):
            top, left = (int(generator.integers(side - 256)) for side in grey.shape)
            found.setdefault(str(number), []).append(grey[top : top + 256, left : left + 256].astype(np.uint8))
    return found


def other_modalities() -> dict[str, Pictures]:
    """What pydicom's test files of 64 pixels or more show, by modality and patient."""
    found: dict[str, Pictures] = {}
    for path in get_testdata_files():
        with suppress(Exception):  # many of them are broken on purpose
            header = dcmread(path)
            image = np.asarray(header.pixel_array, np.float32)
            image = image[0] if header.get("NumberOfFrames", 1) not in (1, None, "1") else image
            image = image.mean(axis=2) if image.ndim == 3 else image
            kind = {"CT": "CT", "MR": "MR, small or of no brain"}.get(header.Modality, "ultrasound and others")
            if min(image.shape) >= 64 and header.Modality in ("CT", "MR", "US", "CR", "NM", "OT"):
                people = found.setdefault(f"pydicom's {kind}", {})
                people.setdefault(str(header.PatientID) or Path(path).name, []).append(to_grey(image))
    return found


def knee(generator: np.random.Generator) -> NDArray[np.uint8]:
    """A drawing of a knee from the side: two bright shafts with dark rims in grey muscle; no knee was at hand."""
    rows, columns = np.mgrid[0:256, 0:256]
    muscle = (np.abs(columns - 128) < generator.uniform(70, 90)) * generator.uniform(60, 90)
    for end, sign in ((generator.uniform(112, 122), 1), (generator.uniform(134, 144), -1)):
        wide = 28 + 24 * np.exp(-(((rows - end) / 30.0) ** 2))
        bone = (np.abs(columns - 128) < wide) & (sign * (end - rows) > 0)
        rim = (np.abs(columns - 128) < wide + 4) & (sign * (end + 4 * sign - rows) > 0)
        muscle = np.where(rim, 20, muscle)
        muscle = np.where(bone, generator.uniform(150, 220), muscle)
    return np.clip(muscle + generator.normal(0, 8, muscle.shape), 0, 255).astype(np.uint8)


def ct_slice(generator: np.random.Generator) -> NDArray[np.uint8]:
    """A drawing of a head in CT, brain window: flat grey inside a white skull."""
    rows, columns = np.mgrid[-1:1:256j, -1:1:256j]
    radius = np.hypot(rows / generator.uniform(0.75, 0.9), columns / generator.uniform(0.6, 0.7))
    image = np.where(radius < 1, 255.0, 0.0)
    image = np.where(radius < 0.92, generator.uniform(100, 125), image)
    image = np.where(np.hypot(rows * 3, columns * 7) < 1, 60, image)
    return np.clip(image + generator.normal(0, 10, image.shape) * (radius < 0.92), 0, 255).astype(np.uint8)


DRAWN: dict[str, Callable[[np.random.Generator], NDArray[np.uint8]]] = {
    "noise": noise,
    "pages of text": text_page,
    "drawings of a knee": knee,
    "drawings of a CT": ct_slice,
}


def ask_people(
    predictor: Predictor, people: dict[str, list[Path]], sequence: MRSequence | None, *, synthetic: bool = True
) -> dict[str, str]:
    """What the guard says of each person's scans; "no answer" where none is read: no MR images, or none that can be."""
    found = {}
    for name, files in people.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                cohort = open_scan(files, Path(folder), load_settings(), sequence=sequence)
                said = {ask(predictor, study, synthetic=synthetic) for study in cohort}
            except MGMTLabError:
                said = {"no answer"}
        found[name] = "passed" if "passed" in said else min(said)
    return found


def ask_pictures(predictor: Predictor, pictures: Pictures, folder: Path) -> list[str]:
    """What the guard says of pictures, each handed in alone as a sequence that the checkpoint knows; by person."""
    verdicts = []
    folder.mkdir(parents=True, exist_ok=True)
    for images in pictures.values():
        alone = {}
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{number}.png")
            alone[str(number)] = [folder / f"{number}.png"]
        said = set(ask_people(predictor, alone, predictor.card.sequences[0]).values())
        verdicts.append("passed" if "passed" in said else min(said))
    return verdicts


def ask(predictor: Predictor, study: Study, *, synthetic: bool = True) -> str:
    """ "no answer" where the scan cannot be predicted at all, else what the guard says."""
    try:
        return predictor.predict(study, synthetic=synthetic).guard
    except MGMTLabError:
        return "no answer"


def as_another(study: Study) -> Study:
    """The same images under the names of other sequences."""
    order = list(MRSequence)[:4]
    other = dict(zip(order, [*order[1:], order[0]], strict=True))
    return replace(study, series=tuple(replace(one, sequence=other[one.sequence]) for one in study.series))


def inverted(study: Study, folder: Path) -> Study:
    """Middle slices of the same study, as negative pictures."""
    series = []
    for one in study.series:
        array = read_volume(one)[0].array
        place = folder / study.study_id / str(one.sequence)
        place.mkdir(parents=True)
        middle = array[len(array) // 3 : -len(array) // 3]
        top = float(np.percentile(middle, 99.5)) or 1.0
        files = []
        for number, image in enumerate(middle):
            files.append(place / f"{number}.png")
            Image.fromarray(255 - (np.clip(image / top, 0, 1) * 255).astype(np.uint8)).save(files[-1])
        series.append(replace(one, kind="picture", files=tuple(files), spacing_mm=None, slice_total=0))
    return replace(study, series=tuple(series))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = [str(path) for path in sorted((PROJECT / "checkpoints").glob("*.safetensors"))]
    parser.add_argument("checkpoints", nargs="*", default=shipped, metavar="CHECKPOINT")
    parser.add_argument("--scans", nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--fresh", metavar="COHORT")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--others", type=int, default=OTHERS)
    parser.add_argument("--scan", nargs="*", default=[], help=argparse.SUPPRESS)
    arguments = parse_arguments(parser, studies=2, others=2, checkpoints=shipped[:1], scan=list(TINY_SCAN))
    print(machine())
    rows, passed = [], True
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        fresh = Path(arguments.fresh or home / "fresh")
        if not arguments.fresh:
            call_core("phantom", fresh, "--studies", arguments.studies, "--seed", 22, *arguments.scan, home=home)
        for checkpoint in arguments.checkpoints:
            predictor = Predictor(Path(checkpoint))
            measured = measure(predictor, arguments, scan_cohort(fresh), home / Path(checkpoint).stem)
            for kind, verdicts in measured.items():
                refused = np.array([verdict != "passed" for verdict in verdicts])
                unread = verdicts.count("no answer")
                low, high = exact_interval(int(refused.sum()), len(refused))
                found = f"{refused.mean():.3f} ({low:.3f} to {high:.3f})" if verdicts else "none"
                rows.append((predictor.card.name, kind, f"{refused.sum()} of {len(refused)}", unread, found))
                if kind.startswith("real") and "distance alone" not in kind:
                    passed &= bool(refused.all())
                if kind == "fresh synthetic patients" and predictor.card.guard:
                    limit = refused_share(predictor.card.guard["held_out"], predictor.card.guard["below"])[2]
                    passed &= low <= limit
    header = ("checkpoint", "scans", "refused", "of them not asked", "share (exact interval)")
    print_table("What is refused, by person; not asked: unread, or no sequence that the checkpoint knows", header, rows)
    for checkpoint in arguments.checkpoints:
        card = Predictor(Path(checkpoint)).card
        print(f"{card.name}: {card.describe_guard()}")
    print("passed" if passed else "FAILED")
    if not passed and not arguments.tiny:
        sys.exit(1)


def exact_interval(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's 95% interval."""
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    return low, float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0


def measure(predictor: Predictor, arguments: argparse.Namespace, fresh: Cohort, work: Path) -> dict[str, list[str]]:
    """What the guard says of each person or picture, by kind."""
    known = predictor.card.sequences
    found: dict[str, list[str]] = {}
    # Pictures that do not say their sequence are handed in as one that the checkpoint knows: else it would not look at them.
    sequence = known[0] if len(known) == 1 else None
    alone: dict[str, set[str]] = {}
    handed_in: dict[str, set[str]] = {}
    for folder in map(Path, arguments.scans):
        people = group_people(folder)
        said = ask_people(predictor, people, sequence)
        passed = {name: people[name] for name, verdict in said.items() if verdict == "passed"}
        # What the distance refuses is refused all the same where nothing says that the scan is synthetic.
        as_it_is = said | ask_people(predictor, passed, sequence, synthetic=False)
        kind = f"real: {folder.parent.name}/{folder.name}"
        found[kind], found[f"{kind}, distance alone"] = list(as_it_is.values()), list(said.values())
        for name in people:
            handed_in.setdefault(name, set()).add(as_it_is[name])
            alone.setdefault(name, set()).add(said[name])
    for kind, every in (("real: all", handed_in), ("real: all, distance alone", alone)):
        if every:
            found[kind] = ["passed" if "passed" in said else min(said) for said in every.values()]
    generator = np.random.default_rng(0)
    drawn = {
        kind: {str(number): [draw(generator)] for number in range(arguments.others)} for kind, draw in DRAWN.items()
    }
    for kind, pictures in {
        **drawn,
        "photographs": photographs(generator, arguments.others),
        **other_modalities(),
    }.items():
        found[kind] = ask_pictures(predictor, pictures, work / kind)
    some = list(fresh)[: arguments.others]
    found["synthetic, inverted"] = [ask(predictor, inverted(study, work)) for study in some]
    found["synthetic, as another sequence"] = [ask(predictor, as_another(study)) for study in some]
    found["contrast: T1w handed in as T1wCE"] = [
        ask(predictor, replace(study, series=(replace(one, sequence=MRSequence.T1WCE),)))
        for study in some
        for one in study.series
        if one.sequence is MRSequence.T1W
    ]
    for kind, change in CHANGED.items():
        people = {study.study_id: [write_changed(study, work / kind, change)] for study in some}
        found[kind] = list(ask_people(predictor, people, sequence).values())
    heads = {str(index): [write_whole_head(work / "heads", index)] for index in range(arguments.others)}
    found["skull: whole synthetic heads"] = list(ask_people(predictor, heads, sequence).values())
    found["fresh synthetic patients"] = [ask(predictor, study) for study in fresh]
    found["one series of a fresh patient"] = [
        ask(predictor, replace(study, series=(one,)))
        for number, study in enumerate(some)
        for one in [study.series[number % len(study.series)]]
        if one.sequence in known
    ]
    return found


if __name__ == "__main__":
    main()
