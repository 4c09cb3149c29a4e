import numpy as np
import pytest

from core.dataset.intensity_profile import fingerprint
from core.evaluation.aggregate import to_groups
from core.evaluation.calibration import choose_threshold, fit_temperature, to_probabilities
from core.evaluation.conformal import ConformalRule
from core.models.card import read_card
from core.models.card_text import describe_card
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import Settings
from core.training.loop import fit
from tests.training.tiny import make_images, tiny_config

TABLE, SPLIT = make_images(persons=24)


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    config = tiny_config("batch_size=8", "epochs=2")
    run = RunFolder.create(settings, config, DataSource(root="/nowhere"), name="kept", state="running")
    list(fit(config, TABLE, SPLIT, run=run))
    return run


def test_threshold_and_temperature_come_from_the_validation_patients(run: RunFolder) -> None:
    card, frame = read_card(run.checkpoint), run.predictions()
    assert set(frame["person"]) == set(SPLIT.val)
    _, logits = to_groups(frame[["logit_0", "logit_1"]].to_numpy(), frame["person"])
    labels = frame.groupby("person")["label"].first().to_numpy()
    assert card.temperature == pytest.approx(fit_temperature(labels, logits))
    probability = to_probabilities(logits, card.temperature)[:, 1]
    assert card.threshold == pytest.approx(choose_threshold(labels, probability))
    accuracy = np.mean((probability >= card.threshold) == labels)
    assert card.metrics["val"]["patient"]["accuracy"]["value"] == pytest.approx(accuracy)


def test_the_card_tells_the_story(run: RunFolder) -> None:
    card = read_card(run.checkpoint)
    assert card.name == "kept"
    assert card.config == run.config
    assert card.sequences == ("FLAIR",)
    assert card.split_digest == SPLIT.digest
    assert card.patients == {"train": 8, "val": 8, "test": 8}
    assert card.intensity == fingerprint(TABLE, SPLIT.indices(TABLE, "train"))
    assert card.versions["torch"]
    assert not card.reproduction
    for level, n in (("patient", 8), ("slice", 24)):
        figure = card.metrics["val"][level]["auroc"]
        assert figure["n"] == n
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_the_card_knows_which_classes_a_patient_may_be_of(run: RunFolder) -> None:
    rule = ConformalRule.from_dict(read_card(run.checkpoint).conformal)
    assert rule.level == 0.9
    assert sum(rule.counts) == len(SPLIT.val)
    assert rule.limits == (None, None)  # four patients of a class are too few to leave it out at 90%


def test_a_control_s_checkpoint_says_that_its_labels_were_shuffled(settings: Settings) -> None:
    config = tiny_config("batch_size=8", "epochs=1")
    source = DataSource(root="/nowhere", shuffle_seed=3)
    run = RunFolder.create(settings, config, source, name="control", state="running")
    list(fit(config, TABLE, SPLIT, run=run))
    assert read_card(run.checkpoint).labels_shuffled
    assert "dealt out to the patients at random" in describe_card(read_card(run.checkpoint))
