"""A study's answer is its slices' mean logit; what cannot be asked is refused with the reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from core.config import PrepConfig, RunConfig
from core.data.index.assign import ASSIGNED
from core.data.prepare.slices import prepare_source
from core.data.study import Cohort, Series, Study
from core.data.upload import open_scan
from core.dataset.table import build_table
from core.errors import CheckpointError, ConfigError, DataError, SequenceError
from core.inference.predict import BF16_WARNING, SHUFFLED_WARNING, SYNTHETIC_WARNING, Predictor
from core.inference.sources import choose_sources
from core.mri import MRSequence, Plane
from core.settings import Settings
from tests.data.cohorts.trees import put


@pytest.fixture
def write_series(tmp_path: Path) -> Callable[..., Series]:
    """Return a function that writes one series of PNG images."""

    def write(sequence: MRSequence, images: int = 3, uid: str = "1", description: str = "", seed: int = 1) -> Series:
        generator = np.random.default_rng([seed, *map(ord, sequence)])
        folder = tmp_path / "scan" / f"{sequence}-{uid}"
        folder.mkdir(parents=True)
        files = []
        for number in range(images):
            pixels = np.kron(generator.integers(0, 250, (8, 8)), np.ones((8, 8))).astype(np.uint8)
            files.append(folder / f"{number}.png")
            Image.fromarray(pixels).save(files[-1])
        return Series(
            study_id="00042",
            sequence=sequence,
            series_uid=f"{sequence}-{uid}",
            plane=Plane.UNKNOWN,
            files=tuple(files),
            kind="picture",
            description=description,
        )

    return write


def study(*series: Series) -> Study:
    return Study(study_id="00042", person="00042", label=None, series=series)


def test_answer_is_the_softmax_of_the_mean_slice_logit(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint(temperature=2.5, threshold=0.4))
    flair, t2w = write_series(MRSequence.FLAIR, 2), write_series(MRSequence.T2W, 4)
    prediction = predictor.predict(study(flair, t2w))
    pixels = np.concatenate([prepare_source((one,), predictor.card.config.prep).pixels for one in (flair, t2w)])
    grey = torch.from_numpy(pixels).float()[:, None].repeat(1, 3, 1, 1) / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits = predictor.model((grey - mean) / std).double() / 2.5
    assert prediction.probability == pytest.approx(torch.softmax(logits.mean(0), 0)[1].item(), abs=1e-5)
    assert [piece.probability for piece in prediction.slices] == pytest.approx(
        torch.softmax(logits, 1)[:, 1].tolist(), abs=1e-5
    )
    assert [piece.sequence for piece in prediction.slices] == ["FLAIR"] * 2 + ["T2w"] * 4
    assert prediction.prediction == ("methylated" if prediction.probability >= 0.4 else "unmethylated")
    assert sum(prediction.class_probabilities) == pytest.approx(1)


@pytest.mark.parametrize(("threshold", "answer"), [(0.0, "methylated"), (1.0, "unmethylated")])
def test_threshold_decides(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], threshold: float, answer: str
) -> None:
    predictor = Predictor(write_checkpoint(threshold=threshold))
    assert predictor.predict(study(write_series(MRSequence.FLAIR))).prediction == answer


def test_threshold_is_held_against_the_calibrated_probability(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    scan = study(write_series(MRSequence.FLAIR))
    raw = Predictor(write_checkpoint("raw")).predict(scan).probability
    between = (raw + 0.5) / 2
    flat = Predictor(write_checkpoint("flat", temperature=1000.0, threshold=between)).predict(scan)
    assert flat.probability == pytest.approx(0.5, abs=0.01)
    assert (flat.prediction == "methylated") == (between < 0.5) != (raw > between)


def test_positive_class_may_be_the_first(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    scan = study(write_series(MRSequence.FLAIR))
    second = Predictor(write_checkpoint("second")).predict(scan)
    first = Predictor(
        write_checkpoint("first", class_names=("methylated", "unmethylated"), positive_class=0, threshold=0.0)
    ).predict(scan)
    assert first.probability == pytest.approx(1 - second.probability, abs=1e-6)
    assert first.prediction == "methylated"


def test_more_than_two_classes(write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]) -> None:
    predictor = Predictor(write_checkpoint(class_names=("glioma", "healthy", "other"), positive_class=2))
    prediction = predictor.predict(study(write_series(MRSequence.FLAIR)))
    assert len(prediction.class_probabilities) == 3
    assert sum(prediction.class_probabilities) == pytest.approx(1)
    assert prediction.probability == prediction.class_probabilities[2]
    assert prediction.prediction == ("glioma", "healthy", "other")[int(np.argmax(prediction.class_probabilities))]


def test_missing_sequences_are_said(write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]) -> None:
    prediction = Predictor(write_checkpoint()).predict(study(write_series(MRSequence.FLAIR)))
    assert prediction.warnings == ("The study has no T2w; the answer rests on FLAIR alone.",)


def test_a_session_after_the_operation_is_said_first(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint())
    flair = study(write_series(MRSequence.FLAIR))
    said = [
        [one for one in predictor.predict(replace(flair, session=session)).warnings if "session" in one]
        for session in ("ses-pre", "ses-post", "ses-2")
    ]
    assert [len(sentences) for sentences in said] == [0, 1, 0]
    assert said[1][0].startswith("This is session ses-post (after the operation); a checkpoint")


def test_a_sequence_never_seen_is_refused_not_substituted(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint())
    stranger = write_series(MRSequence.T1WCE)
    with pytest.raises(SequenceError, match=r"00042.*'tiny' was trained on FLAIR, T2w.*has T1wCE"):
        predictor.predict(study(stranger))
    prediction = predictor.predict(study(stranger, write_series(MRSequence.FLAIR), write_series(MRSequence.T2W)))
    assert {piece.sequence for piece in prediction.slices} == {"FLAIR", "T2w"}
    assert prediction.warnings == ("T1wCE is left out: the checkpoint was trained on FLAIR, T2w and never saw T1wCE.",)


def test_images_without_a_sequence_are_answered_with_a_warning_if_nothing_better_is_there(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint())
    unnamed = write_series(MRSequence.UNKNOWN)
    prediction = predictor.predict(study(unnamed))
    assert len(prediction.slices) == 3
    assert "do not say which MR sequence" in prediction.warnings[0]
    beside = predictor.predict(study(unnamed, write_series(MRSequence.FLAIR), write_series(MRSequence.T2W)))
    assert {piece.sequence for piece in beside.slices} == {"FLAIR", "T2w"}
    assert "unknown is left out" in beside.warnings[0]


def test_a_volume_without_a_sequence_is_refused_with_the_remedy(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    volume = replace(write_series(MRSequence.UNKNOWN), kind="dicom")
    with pytest.raises(SequenceError, match="--sequence"):
        choose_sources(study(volume), Predictor(write_checkpoint()).card)


def test_a_checkpoint_of_unnamed_images_refuses_a_named_sequence(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint(sequences=(MRSequence.UNKNOWN,)))
    with pytest.raises(SequenceError, match="learnt from images that do not name their sequence"):
        predictor.predict(study(replace(write_series(MRSequence.FLAIR), kind="dicom")))
    assert not predictor.predict(study(write_series(MRSequence.UNKNOWN))).warnings


def test_a_sequence_that_was_guessed_says_so(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    flair, t2w = write_series(MRSequence.FLAIR, description="ax 4"), write_series(MRSequence.T2W)
    guessed = replace(flair, sequence_confidence="guess", sequence_reason="timing (TR 9000 ms)")
    assert choose_sources(study(flair, t2w), Predictor(write_checkpoint()).card)[1] == []
    assert choose_sources(study(guessed, t2w), Predictor(write_checkpoint()).card)[1] == [
        f"That 'ax 4' ({flair.series_uid}) is FLAIR is a guess: timing (TR 9000 ms). Look at it; if it is another, choose that in the table of "
        "series (command line: --assign UID=SEQUENCE)."
    ]


@pytest.mark.parametrize("name", ["P01_T1_flair", "P01_T1_3D_FLAIR", "T1-FLAIR"])
def test_a_name_in_which_t1_may_be_a_time_point_is_a_guess_and_says_how_to_choose(
    write_checkpoint: Callable[..., Path], settings: Settings, tmp_path: Path, name: str
) -> None:
    card = Predictor(write_checkpoint(sequences=(MRSequence.T1W, MRSequence.FLAIR))).card
    put(tmp_path, [f"{name}.nii.gz"])
    (one,) = open_scan([tmp_path / f"{name}.nii.gz"], tmp_path / "work", settings).studies
    assert one.series[0].sequence_confidence == "guess"
    warning = choose_sources(one, card)[1][0]
    assert warning.startswith(
        f"That '{one.series[0].series_uid}' is T1w is a guess: file name '{name}': a T1-weighted FLAIR, or"
    )
    assert "--assign UID=SEQUENCE" in warning
    flair = {one.series[0].series_uid: MRSequence.FLAIR}
    (one,) = open_scan([tmp_path / f"{name}.nii.gz"], tmp_path / "work", settings, sequence_overrides=flair).studies
    assert "guess" not in " ".join(choose_sources(one, card)[1])


@pytest.mark.parametrize("name", ["P01_T1_T2", "P01_T2_t1ce", "P02_T1_flair_t2"])
def test_a_name_of_two_weightings_is_refused_with_its_words_and_taken_as_stated(
    write_checkpoint: Callable[..., Path], settings: Settings, tmp_path: Path, name: str
) -> None:
    card = Predictor(write_checkpoint(sequences=(MRSequence.T2W,))).card
    put(tmp_path, [f"{name}.nii.gz"])
    (one,) = open_scan([tmp_path / f"{name}.nii.gz"], tmp_path / "work", settings).studies
    with pytest.raises(SequenceError, match=rf"several weightings, by its file name '{name}'.*--sequence"):
        choose_sources(one, card)
    stated = open_scan([tmp_path / f"{name}.nii.gz"], tmp_path / "work", settings, sequence=MRSequence.T2W)
    assert [str(series.sequence) for series in stated.series] == ["T2w"]


def test_what_was_assumed_in_reading_is_said_with_the_answer(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], tmp_path: Path
) -> None:
    path = tmp_path / "flair.nii"
    image = nibabel.Nifti1Image(np.ones((8, 9, 10), np.int16), np.diag([0.9375, 0.9375004, 0.9, 1]))
    nibabel.save(image, path)
    doubt = "its voxels do not tell in which plane it was acquired, so it is read as axial"
    flair, t2w = (
        replace(write_series(sequence), files=(path,), kind="nifti", plane=Plane.AXIAL, doubts=(doubt,))
        for sequence in (MRSequence.FLAIR, MRSequence.T2W)
    )
    said = [f"FLAIR, T2w: {doubt}."]
    assert choose_sources(study(flair, t2w), Predictor(write_checkpoint()).card)[1] == said
    prep = PrepConfig(size_px=64, slice_count=3, reader_version=1)
    before = Predictor(write_checkpoint(config=RunConfig(prep=prep, weights="none"))).card
    assert choose_sources(study(flair, t2w), before)[1] == [
        *said,
        *(
            f"{name}: it is read as coronal, as in the training of this checkpoint (reader_version 1), though it is axial."
            for name in ("FLAIR", "T2w")
        ),
    ]


def test_a_checkpoint_of_synthetic_scans_reads_by_todays_rules(write_checkpoint: Callable[..., Path]) -> None:
    config = RunConfig(prep=PrepConfig(size_px=64, slice_count=3, reader_version=1), weights="none")
    for synthetic, version in ((True, 2), (False, 1)):
        card = Predictor(write_checkpoint(config=config, synthetic=synthetic)).card
        assert card.config.prep.reader_version == version


def test_what_is_none_of_the_four_is_left_out_with_the_reason(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    phase = replace(write_series(MRSequence.UNKNOWN), kind="dicom", sequence_reason="a phase image, by its header")
    _, warnings = choose_sources(study(phase, write_series(MRSequence.FLAIR)), Predictor(write_checkpoint()).card)
    assert warnings == ["unknown is left out: it is not known to be FLAIR, T2w (a phase image, by its header)."]


def test_of_two_series_of_one_sequence_the_longer_is_asked_and_the_other_named(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    short = write_series(MRSequence.FLAIR, 2, uid="1", description="AX FLAIR FAST")
    long = write_series(MRSequence.FLAIR, 4, uid="2", description="AX FLAIR")
    prediction = Predictor(write_checkpoint()).predict(study(short, long))
    assert [part.series.series_uid for part in prediction.series] == ["FLAIR-2"]
    assert any("AX FLAIR FAST" in warning and "left out" in warning for warning in prediction.warnings)


@pytest.mark.parametrize("sequences", [(MRSequence.FLAIR,), (MRSequence.UNKNOWN,)])
def test_images_that_were_set_aside_are_never_predicted(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], sequences: tuple[MRSequence, ...]
) -> None:
    predictor = Predictor(write_checkpoint(sequences=sequences))
    aside = replace(write_series(MRSequence.UNKNOWN), sequence_reason=ASSIGNED)
    with pytest.raises(SequenceError, match="set aside"):
        predictor.predict(study(aside))
    used = write_series(sequences[0], uid="2")
    prediction = predictor.predict(study(aside, used))
    assert [part.series for part in prediction.series] == [used]
    assert "unknown is left out: it was set aside by you." in prediction.warnings


@pytest.mark.parametrize("selection", ["one", "all"])
def test_predict_sees_the_series_that_training_and_evaluation_see(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], settings: Settings, selection: str
) -> None:
    prep = PrepConfig.model_validate({"size_px": 64, "slice_count": 3, "series_selection": selection})
    predictor = Predictor(write_checkpoint(config=RunConfig(prep=prep, weights="none")))
    members = [write_series(MRSequence.FLAIR, 2 + number, uid=str(number)) for number in range(3)]
    scan = study(*members, write_series(MRSequence.T2W))
    cohort = Cohort(root=members[0].files[0].parent, layout="flat", studies=(scan,))
    rows = build_table(cohort, predictor.card.config.prep, settings).rows
    prediction = predictor.predict(scan)
    seen = [(piece.sequence, piece.slice_index, piece.file) for piece in prediction.slices]
    assert seen == list(zip(rows["sequence"], rows["slice_index"], rows["file"], strict=True))
    assert len(seen) == {"one": 4 + 3, "all": 2 + 3 + 4 + 3}[selection]
    assert any("FLAIR: all 3 series are used" in warning for warning in prediction.warnings) == (selection == "all")


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint())
    flair, t2w = write_series(MRSequence.FLAIR), write_series(MRSequence.T2W)
    flair.files[1].write_text("not a picture")
    for path in t2w.files:
        path.write_text("not a picture")
    prediction = predictor.predict(study(flair, t2w))
    assert [piece.file for piece in prediction.slices] == ["0.png", "2.png"]
    assert any(warning.startswith("FLAIR: 1.png") for warning in prediction.warnings)
    assert any(warning.startswith("T2w is left out") for warning in prediction.warnings)
    with pytest.raises(DataError):
        predictor.predict(study(t2w))


def test_what_the_checkpoint_is_comes_first(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint(synthetic=True, split_unit="slice", sequences=(MRSequence.FLAIR,)))
    scan = study(write_series(MRSequence.FLAIR))
    real, synthetic = predictor.predict(scan), predictor.predict(scan, synthetic=True)
    assert real.warnings[0] == SYNTHETIC_WARNING
    assert "leaks" in real.warnings[1]
    assert synthetic.warnings == real.warnings[1:]
    assert real.probability == synthetic.probability


def test_a_control_says_that_its_answer_means_nothing(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint(labels_shuffled=True, sequences=(MRSequence.FLAIR,)))
    assert predictor.predict(study(write_series(MRSequence.FLAIR))).warnings[0] == SHUFFLED_WARNING


def test_a_failed_check_is_among_the_warnings(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    known = [1.0] + [0.0] * 15
    predictor = Predictor(write_checkpoint(sequences=(MRSequence.FLAIR,), intensity={"FLAIR": known}))
    (warning,) = predictor.predict(study(write_series(MRSequence.FLAIR))).warnings
    assert "Jensen-Shannon distance" in warning


def test_an_upload_leaves_nothing_and_a_cohort_uses_the_cache(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], settings: Settings
) -> None:
    predictor = Predictor(write_checkpoint())
    scan = study(write_series(MRSequence.FLAIR))
    upload = predictor.predict(scan)
    assert not settings.home.exists()
    cached = predictor.predict(scan, cache=settings)
    assert any(settings.cache.rglob("*.npy"))
    assert cached.probability == upload.probability


def test_sessions_may_share_a_predictor(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint())
    scans = [study(write_series(MRSequence.FLAIR, uid=str(seed), seed=seed)) for seed in range(4)]
    alone = [predictor.predict(scan).probability for scan in scans]
    together: dict[int, float] = {}
    threads = [
        threading.Thread(
            target=lambda index=index: together.update({index: predictor.predict(scans[index]).probability})
        )
        for index in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[index] for index in range(4)] == alone


def test_prediction_as_json_is_strict(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    prediction = Predictor(write_checkpoint()).predict(study(write_series(MRSequence.FLAIR)))
    content = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert content["study_id"] == "00042"
    assert content["slices"][2] == {
        "sequence": "FLAIR",
        "index": 2,
        "file": "2.png",
        "position_mm": None,
        "probability": prediction.slices[2].probability,
    }


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="damaged"):
        Predictor(path)


def test_prep_of_the_card_is_the_one_used(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    prediction = Predictor(write_checkpoint()).predict(study(write_series(MRSequence.FLAIR)))
    assert prediction.series[0].prepared.pixels.shape == (3, 64, 64)
    assert PrepConfig().size_px != 64


@pytest.mark.parametrize(
    ("limits", "possible"),
    [([0.0, 0.0], ("unmethylated", "methylated")), ([1.1, 1.1], ()), ([1.1, 0.0], ("methylated",)), ([None, 1.1], ("unmethylated",))],
)  # fmt: skip
def test_the_classes_that_a_patient_may_be_of_come_from_the_cards_calibration(
    write_checkpoint: Callable[..., Path],
    write_series: Callable[..., Series],
    limits: list[float | None],
    possible: tuple[str, ...],
) -> None:
    conformal = {"level": 0.8, "limits": limits, "counts": [20, 20]}
    prediction = Predictor(write_checkpoint(conformal=conformal)).predict(study(write_series(MRSequence.FLAIR)))
    assert prediction.possible == possible
    assert prediction.to_dict()["possible"] == {"level": 0.8, "classes": list(possible)}


def test_an_older_checkpoint_has_no_set_of_classes(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    prediction = Predictor(write_checkpoint()).predict(study(write_series(MRSequence.FLAIR)))
    assert prediction.possible is None
    assert prediction.to_dict()["possible"] is None


def test_a_checkpoint_of_processed_scans_abstains_from_one_as_it_came(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    predictor = Predictor(write_checkpoint(processing="raw 1: n4, brain"))
    came = write_series(MRSequence.FLAIR)
    refused = predictor.predict(study(came))
    assert refused.guard == "abstained"
    assert "FLAIR did not go through the processing" in refused.reason
    assert "--from raw" in refused.reason
    answered = predictor.predict(study(replace(came, processing="raw 1: n4, brain")))
    assert (answered.guard, answered.reason, answered.abstained) == ("not checked", "", False)


def test_what_is_refused_shows_no_number_unless_asked_anyway(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series]
) -> None:
    refused = Predictor(write_checkpoint(processing="raw 1: n4")).predict(study(write_series(MRSequence.FLAIR)))
    shown = refused.to_dict()
    assert shown["abstained"] is True
    assert shown["reason"] == refused.reason
    hidden = ("probability", "prediction", "class_probabilities", "possible", "members")
    assert {shown[name] for name in hidden} == {None}
    assert [piece["probability"] for piece in shown["slices"]] == [None] * 3  # type: ignore[attr-defined,index]
    anyway = refused.to_dict(anyway=True)
    assert anyway["probability"] == refused.probability
    assert anyway["prediction"] == refused.prediction
    assert anyway["abstained"] is True


def test_bfloat16_is_asked_for_said_and_refused_where_the_machine_lacks_it(
    write_checkpoint: Callable[..., Path], write_series: Callable[..., Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scan = write_checkpoint(sequences=(MRSequence.FLAIR,)), study(write_series(MRSequence.FLAIR))
    monkeypatch.setattr("core.models.forward._gains_by_bfloat16", lambda device: True)
    low, own = (Predictor(path, runtime=runtime) for runtime in ("bf16", "torch"))
    answers = low.predict(scan), own.predict(scan)
    assert low.engine.runtime == "bf16"
    assert BF16_WARNING in answers[0].warnings
    assert BF16_WARNING not in answers[1].warnings
    assert 0 < abs(answers[0].probability - answers[1].probability) < 0.05
    monkeypatch.setattr("core.models.forward._gains_by_bfloat16", lambda device: False)
    with pytest.raises(ConfigError, match=r"AMX.*Leave --bf16 out"):
        Predictor(path, runtime="bf16")
