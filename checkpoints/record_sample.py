"""Record what shipped checkpoints say of the sample study, beside them: the app shows it before the network is loaded.

    python checkpoints/record_sample.py CHECKPOINT ...

Repeat it when the weights, the sample or the preparation change; a record of other weights or of other pixels is not used.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from core.data.upload import open_scan
from core.explain.cam import map_coarsely
from core.inference.predict import Predictor
from core.inference.recorded import write_record
from core.phantom.sample import keep_sample_study
from core.settings import load_settings


def main(checkpoint: Path) -> None:
    """Answer the sample with onnxruntime, and keep the logits and the maps of the predicted class by every method and layer."""
    predictor = Predictor(checkpoint, runtime="onnx", threads=1)
    with TemporaryDirectory() as folder:
        study = keep_sample_study(Path(folder) / "sample")
        cohort = open_scan([study], Path(folder) / "unpacked", load_settings())
        answer = predictor.predict(cohort.studies[0], synthetic=True)
        target = predictor.card.class_names.index(answer.prediction)
        parts = [map_coarsely(predictor, part.prepared, target).by_member[0] for part in answer.series]
        maps = {key: [np.concatenate([one[key][0] for one in parts])] for key in parts[0]}
        examples = np.concatenate([part.prepared.pixels for part in answer.series])
        path = write_record(checkpoint, "onnx", examples, predictor.engine.score(examples), target, maps)
    print(f"{path}: {len(examples)} slices, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        main(Path(name))
