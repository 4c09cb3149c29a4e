import numpy as np
import pandas as pd

from core.dataset.predictions import build_predictions, name_patients


def test_predictions_have_a_column_of_logits_for_each_class() -> None:
    rows = pd.DataFrame(
        {"key": ["a|0", "a|1"], "study_id": "a", "person": "a", "sequence": "T1w", "slice_index": [0, 1], "label": 1}
    ).assign(file="elsewhere.dcm")
    frame = build_predictions(rows.iloc[[1]], np.array([[0.5, -0.5]], np.float32))
    assert frame.to_dict("records") == [
        {
            "key": "a|1", "study_id": "a", "person": "a", "sequence": "T1w", "slice_index": 1, "label": 1,
            "logit_0": 0.5, "logit_1": -0.5,
        }
    ]  # fmt: skip


def test_a_person_with_two_labels_counts_as_two_patients() -> None:
    rows = pd.DataFrame(
        {"person": ["p", "p", "q"], "study_id": ["00001", "00002", "00003"], "label": [0, 1, 1]}, index=[5, 6, 9]
    )
    assert name_patients(rows).tolist() == ["00001", "00002", "q"]
    rows["label"] = 1
    assert name_patients(rows).tolist() == ["p", "p", "q"]
