"""explain: write each slice beside its class activation map."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.cli.output import Outcome, TerminalProgress, table, to_json
from core.cli.scans.scan import describe_source, headline, open_scan, predict_all, source_lines
from core.data.prepare.examples import SeenSlice
from core.errors import ConfigError
from core.explain.cam import explain_many
from core.explain.methods import INPUT, CamMethod, find_method
from core.explain.overlay import blend
from core.explain.validation.saliency_record import default_map
from core.files import replace_atomically, write_atomic
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.settings import Settings

SHOWN_PX = 256
"""Images are written at least this large, so that a small model input can be read."""


def explain(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Map every predicted slice."""
    if arguments.method is not None:
        find_method(arguments.method)
    out = Path(arguments.out).expanduser()
    lines: list[str] = []
    studies: list[dict[str, Any]] = []
    with open_scan(arguments, settings) as (predictor, cohort):
        target = _find_class(arguments.target, predictor)
        tested_method, tested_layer = default_map(predictor.card)
        method = find_method(arguments.method or tested_method)
        layer = arguments.layer or (tested_layer if arguments.method is None else predictor.architecture.target_layer)
        predictions, failures = predict_all(predictor, cohort)
        for number, prediction in enumerate(predictions, start=1):
            index = predictor.card.class_names.index(prediction.prediction) if target is None else target
            maps = _write_maps(prediction, number, predictor, method, layer, index, out, arguments.opacity)
            name = predictor.card.class_names[index]
            answer = {key: value for key, value in prediction.to_dict().items() if key != "slices"}
            studies.append({**answer, "class": name, "maps": maps})
            lines += [*headline(prediction, predictor), f"{len(maps)} maps of what speaks for {name} ({method.title}):"]
            lines += [
                *table([(entry["png"], f"{entry['raw_max']:.4g}") for entry in maps], ("file", "raw maximum")),
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
    prediction: Prediction,
    number: int,
    predictor: Predictor,
    method: CamMethod,
    layer: str,
    target: int,
    out: Path,
    opacity: float,
) -> list[dict[str, Any]]:
    """Write one PNG per slice; the maps of a study share one scale, so that a weak one looks weak."""
    progress = TerminalProgress("mapping")
    cams = [
        explain_many(predictor, part.prepared, method=method.name, target_class=target, layer=layer, progress=progress)
        for part in prediction.series
    ]
    strongest = max(cam.raw_max for part in cams for cam in part)
    written = []
    for part, part_cams in zip(prediction.series, cams, strict=True):
        for seen in part.seen:
            cam, answer = part_cams[seen.example], part.slices[seen.example]
            name = _file_name(number, prediction.study_id, seen)
            pixels = seen.take(part.prepared.pixels[seen.example])
            heat, raw_max = cam.of_slice(seen)
            with replace_atomically(out / name) as path:
                _draw(pixels, heat, raw_max, strongest, opacity).save(path, "PNG")
            place = {"sequence": seen.sequence, "index": seen.slice_index, "position_mm": _finite(seen.position_mm)}
            written.append({**answer.to_dict(), **place, "raw_max": raw_max, "png": name})
    return written


def _finite(position_mm: float) -> float | None:
    return round(position_mm, 3) if math.isfinite(position_mm) else None


def _draw(
    pixels: NDArray[np.uint8], heat: NDArray[np.float32], raw_max: float, strongest: float, opacity: float
) -> Image.Image:
    """The slice on the left, the same slice under its map on the right."""
    side = max(SHOWN_PX, pixels.shape[0])
    grey = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    heat = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BILINEAR))
    relative = np.float32(raw_max / strongest if strongest > 0 else 0)
    return Image.fromarray(np.hstack([np.repeat(grey[..., None], 3, axis=2), blend(grey, heat * relative, opacity)]))


def _file_name(number: int, study_id: str, seen: SeenSlice) -> str:
    """A name that is safe anywhere; the study's number keeps ids apart that differ only in what is not."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", study_id)[:40]
    return f"{number:02d}_{safe}_{seen.sequence}_{seen.slice_index:03d}.png"


def _find_class(name: str | None, predictor: Predictor) -> int | None:
    names = predictor.card.class_names
    if name is None:
        return None
    if name not in names:
        raise ConfigError(f"There is no class {name!r}; this checkpoint has: {', '.join(names)}.")
    return names.index(name)
