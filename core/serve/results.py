"""The results of one study for an archive: objects whose UIDs follow from what was asked, how they are pushed, and the log."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from core.data.upload import open_scan
from core.errors import DataError, MGMTLabError, may_pass
from core.explain.slices import map_slices
from core.explain.validation.saliency_record import default_map
from core.files import append_line, replace_atomically, storage_errors, write_atomic
from core.inference.batch import digest_checkpoint
from core.inference.handed_in import predict_all
from core.inference.predict import Predictor
from core.inference.prediction import OtherAnswer, Prediction
from core.reports.dicom.write import DicomKind, write_dicom
from core.serve.dicomweb import Found
from core.serve.rules import Rule, Rules, open_target
from core.settings import Settings

MADE_HERE = "1.2.826.0.1.3680043.10.511.3."
"""What the UIDs begin with that highdicom makes."""


def identify(study: str, checkpoint: str, series: Sequence[Found], objects: Sequence[DicomKind], *more: object) -> str:
    """Return what makes an answer the same answer: study, digest of the checkpoint, content, and what is asked for."""
    content = sorted([one["uid"], one["count"]] for one in series)
    return json.dumps([study, checkpoint, content, objects, *more])


class AuditLog:
    """What is done with the studies of an archive: a line each in the folder's audit.jsonl.

    With `identifiers` a line has the Study Instance UID; without, a key that tells nobody the study.
    """

    def __init__(self, folder: Path, *, identifiers: bool) -> None:
        self._path, self._identifiers = folder / "audit.jsonl", identifiers
        salt = folder / "salt"
        if not salt.exists():
            write_atomic(salt, os.urandom(16).hex())
        self._salt = salt.read_text()

    def key_of(self, identity: str) -> str:
        """Return a digest of an answer's identity that nobody can repeat without the folder's salt."""
        return hashlib.sha256(f"{self._salt}{identity}".encode()).hexdigest()[:32]

    def append(self, event: str, rule: Rule, checkpoint: str, study: str, key: str, **more: object) -> None:
        """Write a line; raises StorageError."""
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "rule": rule.name,
            "checkpoint": checkpoint,
            "key": key,
            **({"study_uid": study} if self._identifiers else {}),
            **more,
        }
        append_line(self._path, json.dumps(entry))


def make_results(
    kinds: Sequence[DicomKind],
    predictor: Predictor,
    scan: Path,
    out: Path,
    settings: Settings,
    identity: str,
    *,
    keep_identity: bool = False,
    others: tuple[OtherAnswer, ...] = (),
) -> Prediction:
    """Predict a study that was fetched and write the answer as DICOM files; of a scan that the guard refuses the report alone.

    Parameters
    ----------
    scan, out
        Folder of the study, and that of the objects.
    identity
        From :func:`identify`: the UIDs of the objects follow from it.
    keep_identity
        Carry the patient's and the study's attributes over.
    others
        What other checkpoints said of the study.

    Raises
    ------
    DataError
        It cannot be predicted, or holds several examinations.
    DicomError
        It cannot be described as DICOM.
    """
    try:
        with TemporaryDirectory(dir=out.parent) as unpacked:
            cohort = open_scan([scan], Path(unpacked), settings)
            predictions, failures = predict_all(predictor, cohort)
            if len(predictions) != 1 or failures:
                raise DataError(f"The study holds {len(cohort)} examinations; only one can be answered at once.")
            answer = predictions[0]
            answer = answer if answer.abstained else replace(answer, others=others)
            _write_results(kinds, predictor, answer, out, keep_identity=keep_identity)
        fix_uids(sorted(out.glob("*.dcm")), _uids_of(scan), identity)
    except MemoryError as error:
        raise DataError("The study needs more memory than there is.") from error
    return answer


def push_answer(
    rules: Rules,
    rule: Rule,
    study: str,
    series: Sequence[Found],
    kinds: Sequence[DicomKind],
    predictor: Predictor,
    scan: Path,
    settings: Settings,
    *,
    keep_identity: bool = False,
    others: tuple[OtherAnswer, ...] = (),
) -> int:
    """Push the answer of one study as the rounds do, log it in the installation's folder, and return the number of objects.

    Pushed again, or where a round pushed the same before, it is no second result.

    Raises
    ------
    ServerError
        The archive does not say of each object that it has it; pushing again is right.
    DataError, DicomError
        As :func:`make_results`, or something of the scan could not be read that may be read the next time.
    """
    digest = digest_checkpoint(predictor.path)
    said = [one.describe("") for one in others]
    more = [{"identity": keep_identity, "others": said}] if keep_identity or said else []
    identity = identify(study, digest, series, kinds, *more)
    folder = settings.home / "pacs"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    log = AuditLog(folder, identifiers=rules.identifiers)
    key = log.key_of(identity)
    try:
        with storage_errors(folder), TemporaryDirectory(prefix="mgmt-lab-") as place:
            out = Path(place) / "results"
            answer = make_results(
                kinds, predictor, scan, out, settings, identity, keep_identity=keep_identity, others=others
            )
            lost = next(filter(may_pass, answer.warnings), "")
            if lost:
                raise DataError(lost)
            files = sorted(out.glob("*.dcm"))
            open_target(rules, settings).store(study, files)
    except MGMTLabError as error:
        log.append("failed", rule, digest, study, key, reason=str(error), by="page")
        raise
    log.append(
        "pushed", rule, digest, study, key, objects=len(files), identity=keep_identity, guard=answer.guard, by="page"
    )
    return len(files)


def _write_results(
    kinds: Sequence[DicomKind], predictor: Predictor, prediction: Prediction, folder: Path, *, keep_identity: bool
) -> None:
    asked = tuple(kind for kind in kinds if kind == "sr" or not prediction.abstained) or ("sr",)
    mapped = []
    if set(asked) - {"sr"}:
        method, layer = default_map(predictor.card)
        target = predictor.card.class_names.index(prediction.prediction)
        mapped = map_slices(predictor, prediction, method=method, layer=layer, target=target)
    write_dicom(asked, predictor, prediction, mapped, folder, prefix="result", keep_identity=keep_identity)


def fix_uids(files: Sequence[Path], known: set[str], entropy: str) -> None:
    """Replace UIDs that were drawn at random by such that follow from `entropy`; those in `known`, of the scan, stay."""
    given: dict[str, str] = {}

    def fix(dataset: Dataset, element: Any) -> None:
        value = str(element.value)
        if element.VR == "UI" and value.startswith(MADE_HERE) and value not in known:
            element.value = given.setdefault(value, generate_uid(entropy_srcs=[entropy, str(len(given))]))

    for path in files:
        dataset = dcmread(path)
        dataset.walk(fix)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        with replace_atomically(path) as beside:
            dataset.save_as(beside, enforce_file_format=True)


def _uids_of(folder: Path) -> set[str]:
    """Study, series, instance and frame-of-reference UIDs of a scan."""
    tags = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"]
    return {
        str(element.value)
        for path in folder.rglob("*.dcm")
        for element in dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    }
