"""explain: write each slice beside its class activation map."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.cli.output import Outcome, TerminalProgress, table, to_json
from core.cli.scans.scan import headline, open_scan, source_lines, study_progress
from core.errors import ConfigError
from core.explain.methods import INPUT, find_method
from core.explain.slices import MappedSlice, map_slices
from core.explain.validation.saliency_record import default_map
from core.files import check_writable, replace_atomically, write_atomic
from core.inference.handed_in import describe_source, predict_all
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.reports.dicom.source import check_source, require_dicom
from core.settings import Settings


def explain(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Map every predicted slice."""
    if arguments.method is not None:
        find_method(arguments.method)
    if arguments.dicom:
        require_dicom()
    out = Path(arguments.out).expanduser()
    check_writable(out / "index.json")
    lines: list[str] = []
    studies: list[dict[str, Any]] = []
    with open_scan(arguments, settings) as (predictor, cohort):
        target = _find_class(arguments.target, predictor)
        tested_method, tested_layer = default_map(predictor.card)
        method = find_method(arguments.method or tested_method)
        layer = arguments.layer or (tested_layer if arguments.method is None else predictor.architecture.target_layer)
        predictions, failures = predict_all(predictor, cohort, study_progress)
        for number, prediction in enumerate(predictions, start=1):
            shown = arguments.anyway or not prediction.abstained
            predicted = (
                predictor.card.class_names.index(prediction.prediction) if shown else predictor.card.positive_class
            )
            index = predicted if target is None else target
            if arguments.dicom:
                check_source(prediction, arguments.dicom, anyway=arguments.anyway)
            progress = TerminalProgress("mapping")
            mapped = map_slices(predictor, prediction, method=method.name, layer=layer, target=index, progress=progress)
            maps = _write_maps(mapped, number, prediction.study_id, out, arguments.opacity, shown)
            objects = []
            if arguments.dicom:
                prefix = _prefix(number, prediction.study_id)
                objects = _write_dicom(arguments, predictor, prediction, mapped, out, prefix)
            name = predictor.card.class_names[index]
            answer = {key: value for key, value in prediction.to_dict(arguments.anyway).items() if key != "slices"}
            studies.append({**answer, "class": name, "maps": maps, "dicom": objects})
            lines += [
                *headline(prediction, predictor, anyway=arguments.anyway),
                f"{len(maps)} maps of what speaks for {name} ({method.title}):",
            ]
            lines += [
                *table([(entry["png"], f"{entry['raw_max']:.4g}") for entry in maps], ("file", "raw maximum")),
                *(f"DICOM {entry['kind']}: {entry['file']}" for entry in objects),
                "",
            ]
        document = {
            "out": str(out),
            "method": method.name,
            "target_layer": layer if method.by_layer else INPUT,
            "studies": studies,
            **describe_source(predictor, cohort, failures),
        }
    write_atomic(out / "index.json", to_json(document))
    return Outcome(document=document, lines=[*lines, *source_lines(cohort, failures), f"Written to {out}."])


def _write_maps(
    mapped: Sequence[MappedSlice], number: int, study_id: str, out: Path, opacity: float, shown: bool
) -> list[dict[str, Any]]:
    """Write one PNG per slice; `shown` is whether the slices' probabilities may be."""
    written = []
    for one in mapped:
        seen = one.seen
        name = f"{_prefix(number, study_id)}_{seen.sequence}_{seen.slice_index:03d}.png"
        with replace_atomically(out / name) as path:
            one.draw(opacity).save(path, "PNG")
        place = {"sequence": seen.sequence, "index": seen.slice_index, "position_mm": _finite(seen.position_mm)}
        written.append({**one.answer.to_dict(shown), **place, "raw_max": one.raw_max, "png": name})
    return written


def _write_dicom(
    arguments: argparse.Namespace,
    predictor: Predictor,
    prediction: Prediction,
    mapped: Sequence[MappedSlice],
    out: Path,
    prefix: str,
) -> list[dict[str, str]]:
    """Write what --dicom asks for; highdicom is imported where it is."""
    from core.reports.dicom.write import write_dicom

    written = write_dicom(
        arguments.dicom,
        predictor,
        prediction,
        mapped,
        out,
        prefix=prefix,
        opacity=arguments.opacity,
        keep_identity=arguments.keep_identity,
        anyway=arguments.anyway,
    )
    return [
        {
            "kind": one.kind,
            "file": one.path.name,
            "sop_instance_uid": one.sop_instance_uid,
            "series_instance_uid": one.series_instance_uid,
        }
        for one in written
    ]


def _finite(position_mm: float) -> float | None:
    return round(position_mm, 3) if math.isfinite(position_mm) else None


def _prefix(number: int, study_id: str) -> str:
    """What the names of a study's files begin with; its number keeps ids apart that differ only in what is not safe."""
    return f"{number:02d}_{re.sub(r'[^A-Za-z0-9_-]+', '_', study_id)[:40]}"


def _find_class(name: str | None, predictor: Predictor) -> int | None:
    names = predictor.card.class_names
    if name is None:
        return None
    if name not in names:
        raise ConfigError(f"There is no class {name!r}; this checkpoint has: {', '.join(names)}.")
    return names.index(name)
