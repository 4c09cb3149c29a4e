"""The answer as a structured report: TID 1500, the probability and what it is worth as coded concepts, unverified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import highdicom
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

import core
from core.evaluation.figure import estimand_of
from core.figure_text import figure_ends
from core.inference.prediction import Prediction
from core.models.card import CheckpointCard
from core.reports.dicom.source import SourceSeries, finish

SCHEME = "99MGMTLAB"
"""Coding scheme of concepts for which no standard code is known to us."""
SERIES_NUMBER = 9001
LONGEST_CODE_MEANING = 64
FINDING_SITE = codes.SCT.Brain
PROCEDURE = sr.CodedConcept("24590-2", "LN", "MR Brain")
STATUS = sr.CodedConcept("STATUS", SCHEME, "Predicted status")
ABSTAINED = sr.CodedConcept("ABSTAINED", SCHEME, "The checkpoint abstains")
DISPUTED = sr.CodedConcept("DISPUTED", SCHEME, "Another checkpoint says otherwise")
GUARD = sr.CodedConcept("GUARD", SCHEME, "Whether the scan resembles the training scans")
USE = sr.CodedConcept("USE", SCHEME, "Intended use")
RESEARCH = sr.CodedConcept("RESEARCH", SCHEME, "Research use only, not a medical device")
CALIBRATED_SET = sr.CodedConcept("SET", SCHEME, "Possible class")
THRESHOLD = sr.CodedConcept("THRESHOLD", SCHEME, "Threshold on the probability")
AUROC = sr.CodedConcept("AUROC", SCHEME, "AUROC of the checkpoint by patient")
AUROC_LOW = sr.CodedConcept("AUROC-LOW", SCHEME, "Lower limit of its 95% interval")
AUROC_HIGH = sr.CodedConcept("AUROC-HIGH", SCHEME, "Upper limit of its 95% interval")
NO_UNIT = codes.UCUM.NoUnits


def write_report(
    prediction: Prediction,
    card: CheckpointCard,
    checkpoint_digest: str,
    source: Sequence[SourceSeries],
    *,
    anyway: bool = False,
) -> Dataset:
    """Return the report of one study.

    Parameters
    ----------
    prediction, card, checkpoint_digest
        The answer, and what gave it.
    source
        The series of :func:`core.reports.dicom.source.read_source`; every slice that the network saw is referred to.
    anyway
        Hold the probability also where the checkpoint abstains.
    """
    images, references = _refer(prediction, source)
    shown = anyway or not prediction.abstained
    algorithm = sr.AlgorithmIdentification(
        name=card.name[:LONGEST_CODE_MEANING],
        version=f"MGMT Lab {core.__version__}",
        parameters=[
            f"checkpoint {checkpoint_digest}",
            f"architecture {card.config.architecture}",
            f"trained on {'synthetic' if card.synthetic else 'real'} scans, split by {card.split_unit}",
        ],
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=highdicom.UID(), identifier="MGMT Lab answer"),
        algorithm_id=algorithm,
        finding_sites=[sr.FindingSite(FINDING_SITE)],
        measurements=list(_measure(prediction, card, shown)),
        qualitative_evaluations=list(_evaluate(prediction, shown)),
        source_images=references,
    )
    area = card.reported_auroc()
    about = f"The AUROC is of {area[0]}. {estimand_of('predict')}" if area else ""
    said = [other.describe(prediction.prediction) for other in prediction.others]
    for sentence in (prediction.reason, *said, *prediction.warnings, about):
        if sentence:
            group[0].ContentSequence.append(
                sr.TextContentItem(
                    name=codes.DCM.Comment, value=sentence, relationship_type=sr.RelationshipTypeValues.CONTAINS
                )
            )
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name="MGMT Lab", manufacturer_name="MGMT Lab", model_name="Research use only"
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=PROCEDURE,
        imaging_measurements=[group],
    )
    report = sr.ComprehensiveSR(
        evidence=images,
        content=content[0],
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="MGMT Lab",
        is_complete=True,
        is_verified=False,
    )
    return finish(report, "MGMT Lab answer, research only", images[0])


def _refer(
    prediction: Prediction, source: Sequence[SourceSeries]
) -> tuple[list[Dataset], list[sr.SourceImageForMeasurementGroup]]:
    """Return the instances that the answer rests on, and a reference to each: to the frames that the network saw.

    Of series on a common grid every instance is referred to: a slice of the grid is none of theirs.
    """
    frames: dict[str, list[int]] = {}
    headers: dict[str, Dataset] = {}
    rest = iter(source)
    for part in prediction.series:
        for series in [next(rest) for _ in part.together or (part.series,)]:
            seen = range(len(series.volume.instances)) if part.together else [one.slice_index for one in part.seen]
            for index in dict.fromkeys(seen):
                path, frame = series.volume.instances[index]
                header = series.headers[path]
                headers[header.SOPInstanceUID] = header
                frames.setdefault(header.SOPInstanceUID, []).append(frame + 1)
    references = [
        sr.SourceImageForMeasurementGroup(
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=uid,
            referenced_frame_numbers=frames[uid] if "NumberOfFrames" in header else None,
        )
        for uid, header in headers.items()
    ]
    return list(headers.values()), references


def _measure(prediction: Prediction, card: CheckpointCard, shown: bool) -> Iterator[sr.Measurement]:
    if shown:
        positive = card.class_names[card.positive_class]
        name = f"Probability of {positive} MGMT promoter" if positive == "methylated" else f"Probability of {positive}"
        concept = sr.CodedConcept("PROBABILITY", SCHEME, name[:LONGEST_CODE_MEANING])
        yield sr.Measurement(name=concept, value=round(prediction.probability, 6), unit=NO_UNIT)
        if len(card.class_names) == 2:
            yield sr.Measurement(name=THRESHOLD, value=round(prediction.threshold, 6), unit=NO_UNIT)
    found = card.reported_auroc()
    if found is not None:
        for concept, value in zip((AUROC, AUROC_LOW, AUROC_HIGH), figure_ends(found[1]), strict=True):
            if value is not None:
                yield sr.Measurement(name=concept, value=round(value, 6), unit=NO_UNIT)


def _evaluate(prediction: Prediction, shown: bool) -> Iterator[sr.QualitativeEvaluation]:
    yield sr.QualitativeEvaluation(name=ABSTAINED, value=codes.SCT.Yes if prediction.abstained else codes.SCT.No)
    yield sr.QualitativeEvaluation(name=GUARD, value=_code(prediction.guard))
    if shown and not prediction.abstained:  # asked for anyway it is a number, and no status
        yield sr.QualitativeEvaluation(name=STATUS, value=_code(prediction.prediction))
        if prediction.others:
            yield sr.QualitativeEvaluation(name=DISPUTED, value=codes.SCT.Yes if prediction.disputed else codes.SCT.No)
        for name in prediction.possible or ():
            yield sr.QualitativeEvaluation(name=CALIBRATED_SET, value=_code(name))
    yield sr.QualitativeEvaluation(name=USE, value=RESEARCH)


def _code(name: str) -> sr.CodedConcept:
    """A class name, or another word of ours, as a coded value."""
    return sr.CodedConcept(name.upper().replace(" ", "-")[:16] or "NONE", SCHEME, name[:LONGEST_CODE_MEANING] or "none")
