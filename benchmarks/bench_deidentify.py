"""De-identification: identifiers planted in every place that a scan has, and every byte of the copy searched for them.

Three cohorts are written, with identifiers in their attributes (standard, private, nested, of every text kind), preambles,
padding, overlays, unused bits, comments of codestreams, header fields and extensions of NIfTI, chunks and EXIF of
pictures, sidecars, tables, and in the names of folders and files: DICOM of several sessions, NIfTI, and pictures in class
folders. Each is de-identified by the command line.

Pass rules, fixed before the first run: no planted identifier, UID or date is found in any byte of a copy (gzip and PNG
text unpacked, any case, UTF-8 and UTF-16) or in its names; the copy reads as the same cohort: persons, sessions,
sequences, labels and voxels, each under its pseudonym; days between examinations are as they were; the source is unchanged. The
same search finds every identifier in the source.
The exit status is 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from measuring import call_core, machine, parse_arguments, print_table
from nibabel.nifti1 import Nifti1Extension
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from core.data.cohort import scan_cohort
from core.data.identifying import KEYWORDS
from core.data.study import Cohort, Series
from core.data.volume import read_volume

SEQUENCES = ("FLAIR", "T1w", "T1wCE", "T2w")
SIZE = 16
SET_BELOW = frozenset(
    {"PatientID", "PatientName", "PatientBirthDate", "ProtocolName", "ImageComments", "StudyDescription"}
) | {
    "InstitutionName",
    "DeviceSerialNumber",
    "SeriesDescription",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "TextComments",
    "AcquisitionComments",
}
"""Keywords with values of their own."""
TEXTS = ("LO", "LT", "SH", "ST", "PN", "UT", "UC", "AE")


def main() -> int:
    """Plant, de-identify, search, compare, and return 1 where a rule does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=12)
    arguments = parse_arguments(parser, persons=2)
    rows: list[tuple[Any, ...]] = []
    wrong: list[str] = []
    for kind, plant in (("DICOM", plant_dicom), ("NIfTI", plant_nifti), ("pictures", plant_pictures)):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            tokens = plant(place / "source", arguments.persons)
            before = digest(place / "source")
            missed = tokens - {line.split(" in ")[0] for line in search(place / "source", tokens)}
            started = time.perf_counter()
            report = call_core(
                *("deidentify", place / "source", "--out", place / "copy", "--mapping", place / "mapping.csv"),
                *("--session", "all"),
                home=place / "home",
            )
            seconds = time.perf_counter() - started
            found = search(place / "copy", tokens)
            different = compare(place / "source", place / "copy", place / "mapping.csv")
            changed = [] if digest(place / "source") == before else ["the source was changed"]
            blind = [f"the search does not find {token} in the source" for token in missed]
            wrong += [f"{kind}: {one}" for one in (*found, *different, *changed, *blind)]
            rows.append((kind, report["persons"], report["files"], len(tokens), len(found), len(different), seconds))
    print_table(
        f"Identifiers planted in {arguments.persons} persons a cohort ({machine()})",
        ("cohort", "persons", "files", "planted", "found again", "differences", "seconds"),
        rows,
    )
    print("\n".join(wrong[:30]) or "nothing planted is left, and each copy reads as its source")
    return 1 if wrong else 0


class Tokens(set[str]):
    """Identifiers that must be gone."""

    def new(self, what: str) -> str:
        """Return a word of ten letters and digits that occurs nowhere else."""
        word = f"zq{sha256(f'{len(self)}{what}'.encode()).hexdigest()[:8]}"
        self.add(word)
        return word

    def note(self, text: str) -> str:
        """Remember a text as it is."""
        self.add(text)
        return text


def plant_dicom(root: Path, persons: int) -> Tokens:
    """Two sessions of each person, four sequences of two slices, and files that are no scans."""
    tokens = Tokens()
    rows = []
    for number in range(persons):
        name = tokens.new("folder")
        uid = tokens.note(generate_uid())
        for session in ("a", "b"):
            day = date(1987, 3, 1) + timedelta(days=37 * number + (11 + number) * (session == "b"))
            study, frame = tokens.note(generate_uid()), tokens.note(generate_uid())
            for sequence in SEQUENCES:
                series = tokens.note(generate_uid())
                for index in range(2):
                    dataset = plant_attributes(tokens, name, study, series, frame, uid, day, sequence, index)
                    path = root / name / f"ses-{session}" / sequence / f"{name}_{index}.dcm"
                    write_planted(dataset, path, tokens, compressed=sequence == "T2w")
        rows.append((name, number % 2))
        (root / name / "report.txt").write_text(f"{name} was examined")
    write_labels(root, rows)
    return tokens


def plant_attributes(
    tokens: Tokens, name: str, study: str, series: str, frame: str, uid: str, day: date, sequence: str, index: int
) -> Dataset:
    """One slice whose attributes hold an identifier wherever they can."""
    dataset = Dataset()
    for keyword in set(KEYWORDS) - SET_BELOW:
        vr = dictionary_VR(keyword)
        if vr in TEXTS:
            setattr(dataset, keyword, tokens.new(keyword))
        elif vr == "DA":
            setattr(dataset, keyword, tokens.note(f"{day:%Y%m%d}"))
    dataset.PatientID, dataset.PatientName = name, f"{tokens.new('name')}^{tokens.new('given')}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID, dataset.FrameOfReferenceUID = tokens.note(generate_uid()), frame
    dataset.ReferencedStudySequence = Sequence([item(ReferencedSOPInstanceUID=uid, PatientName=tokens.new("nested"))])
    dataset.RequestAttributesSequence = Sequence([item(ScheduledProcedureStepDescription=tokens.new("request"))])
    dataset.AnatomicRegionSequence = Sequence(
        [item(CodeMeaning=tokens.new("meaning"), AnatomicRegionModifierSequence=Sequence([item(CodeMeaning=name)]))]
    )
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = f"{day:%Y%m%d}"
    dataset.AcquisitionDateTime = f"{day:%Y%m%d}101500.25"
    dataset.PatientBirthDate = tokens.note("19310704")
    dataset.SeriesDescription = f"AX {sequence} {name}"
    dataset.ProtocolName = dataset.ImageComments = dataset.StudyDescription = tokens.new("free")
    dataset.SequenceName, dataset.ScanOptions = f"*tse {name[:6]}", "FC"
    dataset.InstitutionName, dataset.DeviceSerialNumber = tokens.new("hospital"), tokens.new("serial")
    dataset.TextComments = dataset.AcquisitionComments = tokens.new("comment")
    dataset.private_block(0x0029, tokens.new("creator"), create=True).add_new(1, "LO", tokens.new("private"))
    dataset.add_new(0x60003000, "OW", tokens.new("overlay").encode().ljust(32, b"\0"))
    dataset.add_new(0x60000022, "LO", tokens.new("overlay"))
    dataset.DataSetTrailingPadding = tokens.new("padding").encode().ljust(16, b"\0")
    dataset.Modality, dataset.SOPClassUID = "MR", "1.2.840.10008.5.1.4.1.1.4"
    dataset.Manufacturer, dataset.InstanceNumber = "SIEMENS", index + 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 3 * index], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 3
    return dataset


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def write_planted(dataset: Dataset, path: Path, tokens: Tokens, *, compressed: bool) -> None:
    """Add pixels, with an identifier in their unused bits or in the codestream, and in the preamble."""
    rng = np.random.default_rng(len(tokens))
    dataset.Rows = dataset.Columns = SIZE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored = (8, 8) if compressed else (16, 12)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.ImplementationVersionName = tokens.new("version")
    dataset.file_meta.SourceApplicationEntityTitle = tokens.new("title")
    if compressed:
        picture = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE), np.uint8)).save(
            picture, "JPEG", comment=tokens.new("codestream").encode()
        )
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.add_new("PixelData", "OB", encapsulate([picture.getvalue()]))
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = rng.integers(0, 4096, (SIZE, SIZE)).astype("<u2").tobytes() + tokens.new("behind").encode()
        dataset.add_new("PixelData", "OW", content + b"\0" * (len(content) % 2))
    dataset.preamble = tokens.new("preamble").encode().ljust(128, b"\0")
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def plant_nifti(root: Path, persons: int) -> Tokens:
    """Packed volumes with texts in their headers, an extension, a name in the gzip, and sidecars."""
    tokens = Tokens()
    rows = []
    for number in range(persons):
        name = tokens.new("folder")
        for sequence in SEQUENCES:
            voxels = np.random.default_rng(number).integers(0, 900, (SIZE, SIZE, 6)).astype(np.int16)
            image = nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 4.0, 1.0]))
            for field in ("descrip", "aux_file", "intent_name", "db_name"):
                image.header[field] = tokens.new(field).encode()
            image.header.extensions.append(Nifti1Extension("comment", tokens.new("extension").encode()))
            path = root / name / sequence / f"{name}_{sequence}.nii.gz"
            path.parent.mkdir(parents=True)
            with path.open("wb") as file, gzip.GzipFile(tokens.new("gzip"), "wb", fileobj=file) as packed:
                packed.write(image.to_bytes())
            path.with_name(f"{name}_{sequence}.json").write_text(json.dumps({"PatientName": name}))
        rows.append((name, number % 2))
    write_labels(root, rows)
    return tokens


def plant_pictures(root: Path, persons: int) -> Tokens:
    """PNG and JPEG in class folders, with text chunks, EXIF and comments."""
    tokens = Tokens()
    for number in range(persons):
        label = ("unmethylated", "methylated")[number % 2]
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        identity = tokens.note(f"{93_570_000 + number}")
        for index in range(2):
            grey = np.random.default_rng(number + index).integers(0, 255, (SIZE, SIZE), np.uint8)
            if index:
                exif = Image.Exif()
                exif[0x010E], exif[0x013B] = tokens.new("description"), tokens.new("artist")
                path = folder / f"{identity}_FLAIR_{index}.jpg"
                Image.fromarray(grey).save(path, exif=exif, comment=tokens.new("comment").encode())
            else:
                texts = PngImagePlugin.PngInfo()
                texts.add_text("Patient", tokens.new("text"))
                texts.add_text("Packed", tokens.new("packed"), zip=True)
                texts.add_itxt("Itxt", tokens.new("international"))
                Image.fromarray(grey).save(folder / f"{identity}_FLAIR_{index}.png", pnginfo=texts)
    return tokens


def write_labels(root: Path, rows: list[tuple[str, int]]) -> None:
    """The label table of the source."""
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("BraTS21ID", "MGMT_value"), *rows])


def search(copy: Path, tokens: Tokens) -> list[str]:
    """Return where planted identifiers are found: in names, in bytes, and in what is packed."""
    needles = [(token, form) for token in tokens for form in (token.encode(), token.encode("utf-16-le"))]
    found = []
    for path in sorted(copy.rglob("*")):
        contents = [str(path.relative_to(copy)).encode()]
        if path.is_file():
            contents.append(path.read_bytes())
            contents += list(unpack(path, contents[-1]))
        whole = b"\n".join(contents).lower()
        found += [f"{token} in {path.relative_to(copy)}" for token, form in needles if form.lower() in whole]
    return found


def unpack(path: Path, content: bytes) -> Iterator[bytes]:
    """What a gzip or the texts of a picture hold."""
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if path.suffix == ".png":
        with Image.open(path) as image:
            yield repr(image.info).encode() + repr(dict(image.getexif())).encode()


def compare(source: Path, copy: Path, mapping: Path) -> list[str]:
    """Return in what the copy differs from its source, read as cohorts of all sessions."""
    before, after = (scan_cohort(root, session="all", jobs=1) for root in (source, copy))
    with mapping.open() as file:
        pseudonym = {row["person"]: row["pseudonym"] for row in csv.DictReader(file)}
    wrong = []
    if (len(before), len({study.person for study in before})) != (len(after), len({study.person for study in after})):
        wrong.append(f"{len(before)} studies became {len(after)}")
    ours = {describe(before, person) for person in pseudonym}
    if len(ours) < len(pseudonym):
        wrong.append("the planted persons cannot be told apart by their voxels")
    wrong += [
        f"person {number} is read otherwise"
        for person, number in pseudonym.items()
        if describe(before, person) != describe(after, person_named(after, number))
    ]
    return wrong


def person_named(cohort: Cohort, number: str) -> str:
    """The person of a cohort whose studies begin with a number."""
    return next((study.person for study in cohort if study.study_id.startswith(number)), "")


def describe(cohort: Cohort, person: str) -> str:
    """A person's sessions with label, sequences and voxels, and the days between them."""
    studies = [study for study in cohort if study.person == person]
    parts = [
        (
            study.label,
            study.phase,
            sorted(
                (str(series.sequence), series.kind, len(series.files), voxels_of(series)) for series in study.series
            ),
        )
        for study in sorted(studies, key=lambda study: study.study_id)
    ]
    days = sorted({day_of(series.files[0]) for study in studies for series in study.series if series.kind == "dicom"})
    return sha256(repr((parts, [day - days[0] for day in days])).encode()).hexdigest()


def day_of(path: Path) -> int:
    """The number of the day of a DICOM file's study."""
    return date.fromisoformat(str(dcmread(path, specific_tags=["StudyDate"]).StudyDate)).toordinal()


def voxels_of(series: Series) -> str:
    """A digest of a series' voxels."""
    if series.kind == "picture":
        pictures = []
        for path in series.files:
            with Image.open(path) as image:
                pictures.append(np.asarray(image.convert("L")).tobytes())
        return sha256(b"".join(sorted(pictures))).hexdigest()
    return sha256(read_volume(series)[0].array.tobytes()).hexdigest()


def digest(root: Path) -> str:
    """A digest over names and bytes of a folder."""
    parts = [(str(path), path.read_bytes() if path.is_file() else b"") for path in sorted(root.rglob("*"))]
    return sha256(repr(parts).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
