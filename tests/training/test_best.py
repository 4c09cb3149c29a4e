import numpy as np
import pytest
from safetensors.numpy import load_file

from core.dataset.intensity_profile import fingerprint
from core.errors import RunError
from core.evaluation.aggregate import to_groups
from core.evaluation.calibration import choose_threshold, deal_evenly, fit_temperature, to_probabilities
from core.evaluation.conformal import ConformalRule, fit_conformal
from core.models.card import read_card
from core.models.card_text import describe_card
from core.runs.epoch_figures import calibrate_checkpoint, read_selection
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


def test_threshold_and_temperature_come_from_patients_that_did_not_choose_the_epoch(run: RunFolder) -> None:
    assert (read_card(run.checkpoint).temperature, read_card(run.checkpoint).calibration) == (1.0, {})
    weights = load_file(run.checkpoint)
    card = calibrate_checkpoint(run)
    assert card == read_card(run.checkpoint)
    selection = read_selection(run, card)
    assert selection is not None
    assert selection.logits.shape == (2, len(SPLIT.val), 2)
    # The run's own choice is that of all its patients.
    assert selection.choose(np.ones((1, 8))).tolist() == [card.epoch - 1]
    _, logits = to_groups(run.predictions()[["logit_0", "logit_1"]].to_numpy(), run.predictions()["person"])
    np.testing.assert_allclose(selection.logits[card.epoch - 1], logits)
    held = selection.score_left_out()
    in_folds, folds = selection.score_left_out(5), deal_evenly(selection.labels, 5)
    for one in range(8):
        for scores, outside in ((held, np.arange(8) != one), (in_folds, folds != folds[one])):
            chosen = selection.choose(outside.astype(float)[None])[0]
            assert scores[one].tolist() == selection.logits[chosen, one].tolist()
    assert card.temperature == pytest.approx(fit_temperature(selection.labels, held))
    probability = to_probabilities(held, card.temperature)[:, 1]
    assert card.conformal == fit_conformal(selection.labels, to_probabilities(in_folds, card.temperature)).to_dict()
    assert card.threshold == pytest.approx(choose_threshold(selection.labels, probability))
    assert card.calibration == {"how": "cross-fitted", "patients": 8, "base_rate": 0.5, "epochs": 2}
    assert "each scored by an epoch that others of them chose" in describe_card(card)
    assert {name: value.tobytes() for name, value in load_file(run.checkpoint).items()} == {
        name: value.tobytes() for name, value in weights.items()
    }
    before = run.checkpoint.stat().st_mtime_ns
    calibrate_checkpoint(run)
    assert run.checkpoint.stat().st_mtime_ns == before, "it was written again though nothing had changed"


def test_no_validation_figure_has_an_interval_but_the_corrected_auroc(run: RunFolder) -> None:
    card = calibrate_checkpoint(run)
    for level in ("patient", "slice"):
        for name, figure in card.metrics["val"][level].items():
            corrected = (level, name) == ("patient", "auroc")
            assert (figure["low"] is not None) == corrected, (level, name)
    assert "BBC-CV" in card.metrics["val"]["patient"]["auroc"]["method"]


def test_scores_that_do_not_fit_the_run_are_refused_and_missing_ones_change_nothing(run: RunFolder) -> None:
    whole = run.validation_file.read_bytes()
    run.validation_file.write_bytes(whole[:-8])
    with pytest.raises(RunError, match="damaged"):
        calibrate_checkpoint(run)
    run.validation_file.unlink()
    assert calibrate_checkpoint(run).calibration == {}


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


def test_the_card_knows_which_classes_a_patient_may_be_of(run: RunFolder) -> None:
    rule = ConformalRule.from_dict(calibrate_checkpoint(run).conformal)
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
