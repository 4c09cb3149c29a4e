"""A claim sheet says what was done, and as plainly what was not."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.config import apply_settings
from core.dataset.split import Split
from core.errors import RunError
from core.experiments.checklists.checklist import Item, keep_answers, parse_answers, read_table
from core.experiments.claim_sheet import ClaimSheet, gather_claim
from core.experiments.evidence import CONTROLS, find_controls, list_answers
from core.jobs.experiment import Experiment, Question
from core.models.card import read_card, replace_card
from core.reports.claim_page import write_claim_page
from core.runs.epoch_figures import calibrate_checkpoint
from core.runs.evaluation import Evaluation, store_evaluation, with_figures
from core.runs.folder import RunFolder
from core.runs.ledger import LEDGER, record_evaluation
from core.runs.records import DataSource
from core.runs.seal import Criterion, make_seal
from core.settings import Settings
from core.training.loop import fit
from tests.training.tiny import TINY_NETWORK, make_images, tiny_config

TABLE, SPLIT = make_images(persons=24)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that trains in milliseconds."""
    from core.models.registry import ARCHITECTURES

    monkeypatch.setitem(ARCHITECTURES, TINY_NETWORK.name, TINY_NETWORK)


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    run = RunFolder.create(settings, tiny_config("epochs=1"), DataSource(root="/data"), name="mine", state="running")
    (run.path / "split.json").write_text(SPLIT.to_json())
    list(fit(run.config, TABLE, SPLIT, run=run))
    calibrate_checkpoint(run)
    return run


def judge_test(run: RunFolder, settings: Settings, shift: float, leaky: bool = False) -> None:
    """Store a judgement of the test patients without scoring any image."""
    card = read_card(run.checkpoint)
    persons = [f"{number:05d}" for number in range(40)]
    labels = np.arange(40) % 2
    odds = np.random.default_rng(0).normal(size=40) + shift * labels
    frame = pd.DataFrame(
        {"key": persons, "study_id": persons, "person": persons, "sequence": "FLAIR", "slice_index": 0,
         "label": labels, "logit_0": -odds / 2, "logit_1": odds / 2}
    )  # fmt: skip
    evaluation = Evaluation(
        part="test", data="/data", looked_at=record_evaluation(run.split().test_digest, run.name, settings),
        class_names=("unmethylated", "methylated"), positive_class=1, threshold=card.threshold,
        temperature=card.temperature, epoch=1, leaky=leaky, synthetic=False, created="2026-01-01T00:00:00", patient={}, slice={}, frame=frame,
    )  # fmt: skip
    store_evaluation(run, with_figures(evaluation, card), "")


def test_before_anybody_looked_nothing_may_be_claimed(run: RunFolder, settings: Settings) -> None:
    sheet = gather_claim(run, settings)
    assert sheet.sentence.startswith("Nothing may be claimed yet")
    assert sheet.looks == 0
    assert sheet.seal.state == "none"
    assert list(sheet.figures) == ["Validation patients, which chose the epoch"]
    assert "The untouched test patients" in sheet.unchecked[0]
    assert any("Near-duplicate" in text for text in sheet.unchecked)
    assert not any(control.done for control in sheet.controls)


def test_a_figure_is_claimed_as_far_as_its_interval_goes(run: RunFolder, settings: Settings) -> None:
    judge_test(run, settings, shift=2.5)
    told = gather_claim(run, settings)
    assert "It is told from 0.5" in told.sentence
    assert "On 40 test patients" in told.sentence
    judge_test(run, settings, shift=0.1)
    untold = gather_claim(run, settings)
    assert "not told from guessing" in untold.sentence
    assert untold.looks == 2


def test_a_leaky_split_says_nothing_of_a_new_patient(run: RunFolder, settings: Settings) -> None:
    keys = tuple(TABLE.rows["key"])
    leaky = Split(train=keys[0::3], val=keys[1::3], test=keys[2::3], unit="slice", seed=0, cohort_digest="0" * 12)
    (run.path / "split.json").write_text(leaky.to_json())
    judge_test(run, settings, shift=2.5, leaky=True)
    sheet = gather_claim(run, settings)
    assert "says nothing of a new patient" in sheet.sentence
    assert any("by slice and leaks" in banner for banner in sheet.banners)
    assert "the same patients are in all parts" in sheet.leakage[0]


def test_what_was_done_leaves_the_list_of_what_was_not(run: RunFolder, settings: Settings) -> None:
    make_seal(run.config, SPLIT, Criterion(), settings)
    judge_test(run, settings, shift=2.5)
    sheet = gather_claim(run, settings, leakage=())
    assert sheet.seal.state == "followed"
    assert not any("Near-duplicate" in text or "no seal" in text for text in sheet.unchecked)
    assert "An audit of every image found no duplicates across the parts." in sheet.leakage
    found = gather_claim(run, settings, leakage=tuple(f"Picture {number} stands twice." for number in range(20)))
    assert "Picture 0 stands twice." in found.leakage
    assert "and 8 more findings" in found.leakage


def items(sheet: ClaimSheet, checklist: str = "claim_2024") -> dict[str, Item]:
    return {item.number: item for one in sheet.checklists if one.name == checklist for item in one.items}


def test_checklists_are_filled_from_evidence_and_left_to_the_author_where_it_cannot_be(
    run: RunFolder, settings: Settings
) -> None:
    before = items(gather_claim(run, settings))
    assert len(before) == 44
    assert (before["20"].state, before["5"].state) == ("shown here", "only the author can say")
    assert (before["39"].state, before["29"].state) == ("not shown here", "not shown here")
    judge_test(run, settings, shift=1)
    sheet = gather_claim(run, settings)
    assert items(sheet)["39"].state == "shown here"
    calibration = items(sheet, "metrics")["22"]
    assert calibration.state == "shown here"
    assert "slope" in calibration.evidence[0].text
    assert "n = 40" in calibration.evidence[0].text
    assert "something to both" in sheet.evidence["usefulness"].text
    assert len(sheet.worst) == 10
    page = write_claim_page(sheet)
    for anchor in {one.anchor for item in items(sheet).values() for one in item.evidence} - {""}:
        assert f'id="{anchor}"' in page
    document = json.loads(json.dumps(sheet.to_dict()))
    assert document["answers"]["claim_2024"]["5"] == ""
    assert document["checklists"][0]["items"][19]["state"] == "shown here"


def test_a_leak_and_a_second_look_contradict_items(run: RunFolder, settings: Settings) -> None:
    keys = tuple(TABLE.rows["key"])
    leaky = Split(train=keys[0::3], val=keys[1::3], test=keys[2::3], unit="slice", seed=0, cohort_digest="0" * 12)
    judge_test(run, settings, shift=2.5)
    judge_test(run, settings, shift=2.5)
    assert items(gather_claim(run, settings), "probast_ai")["E4"].state == "contradicted here"
    (run.path / "split.json").write_text(leaky.to_json())
    assert items(gather_claim(run, settings))["20"].state == "contradicted here"
    assert items(gather_claim(run, settings), "metrics")["18"].state == "contradicted here"


def test_the_authors_words_are_kept_merged_and_checked(run: RunFolder, settings: Settings) -> None:
    keep_answers(run, {"claim_2024": {"5": "retrospective", "44": "none"}})
    keep_answers(run, {"claim_2024": {"44": " "}, "metrics": {"3": "yes"}})
    sheet = gather_claim(run, settings)
    assert (items(sheet)["5"].answer, items(sheet)["44"].answer) == ("retrospective", "")
    assert "retrospective" in write_claim_page(sheet)
    assert parse_answers(json.dumps(sheet.to_dict()).encode(), "sheet")["metrics"]["3"] == "yes"
    for wrong in (b"[]", b'{"claim_2024": {"99": "x"}}', b'{"unknown": {"1": "x"}}'):
        with pytest.raises(RunError, match="answers"):
            parse_answers(wrong, "mine.json")


def test_the_score_counts_what_applies(run: RunFolder, settings: Settings) -> None:
    (metrics,) = [one for one in gather_claim(run, settings).checklists if one.name == "metrics"]
    weights = {item.number: item.weight for item in metrics.items}
    assert weights["8"] == weights["14"] == 0
    assert sum(weights.values()) == pytest.approx(1 - 0.0674 - 0.0311 - 0.07)
    shown = sum(item.weight for item in metrics.items if item.state == "shown here") / sum(weights.values())
    assert f"{shown:.0%} by what is shown here" in metrics.score


@pytest.mark.parametrize(
    ("name", "count"), [("claim_2024", 44), ("tripod_ai", 52), ("metrics", 30), ("probast_ai", 14)]
)
def test_the_tables_hold_every_item_once(name: str, count: int) -> None:
    numbers = [row["number"] for row in read_table(name)]
    assert len(set(numbers)) == len(numbers) == count


class Texts(HTMLParser):
    """Collects the text, and refuses tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_html_without_scripts_and_escapes_what_it_was_told(
    run: RunFolder, settings: Settings
) -> None:
    judge_test(run, settings, shift=1)
    page = write_claim_page(gather_claim(run, settings, leakage=("<script>alert(1)</script>",)))
    parser = Texts()
    parser.feed(page)
    assert parser.open == []
    assert "script" not in parser.tags
    assert "<script>alert(1)</script>" in parser.text
    for heading in (
        "What was not checked",
        "Controls",
        "Leakage",
        "Test-set evaluations and seal",
        "Protocol",
        "CLAIM 2024",
        "TRIPOD+AI",
        "METRICS score",
        "PROBAST+AI",
    ):
        assert heading in parser.text
    assert "://" not in page
    assert "n = 40" in parser.text


def answer(
    settings: Settings,
    run: RunFolder,
    name: str,
    kind: str,
    sentence: str = "p = 0.03, n = 24",
    split: Split | None = SPLIT,
    source: DataSource | None = None,
    **changes: object,
) -> None:
    """An answered experiment on the run's cohort."""
    config = apply_settings(run.config, changes)
    question = Question(kind=kind, parameters={}, config=config, source=source or run.source)
    experiment = Experiment.ask(settings, name, question)
    if split is not None:
        experiment.write_split(split)
    experiment.write_result({"sentence": sentence})


def test_controls_are_found_among_the_experiments_on_the_same_data(run: RunFolder, settings: Settings) -> None:
    answer(settings, run, "a", "optimism", sentence="old")
    answer(settings, run, "b", "optimism", seed=7)
    answer(settings, run, "torn", "optimism")
    (settings.experiments / "torn" / "question.json").write_text('{"kind": "optimism"}')
    answer(settings, run, "d", "permutation", sentence="p = 0.040: AUROC by patient 0.700")
    found = {control.kind: control for control in find_controls(run, settings)}
    assert len(found) == len(CONTROLS)
    assert (found["optimism"].result, found["optimism"].experiment) == ("p = 0.03, n = 24", "b")
    assert found["permutation"].result.startswith("p = 0.040: AUROC by patient 0.700")
    assert not found["specification"].done
    assert [answer.experiment.name for answer in list_answers(settings, "optimism")] == ["b", "a"]


ELSEWHERE = replace(SPLIT, cohort_digest="f" * 12)


@pytest.mark.parametrize(
    ("told", "options"),
    [
        ("cohort", {"split": ELSEWHERE}),
        ("cohort", {"split": None}),
        ("target", {"source": DataSource(root="/data", target="IDH", positive="mutant")}),
        ("labelling", {"source": DataSource(root="/data", shuffle_seed=1)}),
        ("unit", {"split_unit": "slice"}),
        ("configuration: epochs 9, not 1", {"epochs": 9}),
        ("configuration: slice_count", {"slice_count": 3}),
    ],
)
def test_a_control_of_something_else_is_not_counted_and_says_why(
    run: RunFolder, settings: Settings, told: str, options: dict[str, Any]
) -> None:
    answer(settings, run, "other", "permutation", **options)
    control = next(one for one in find_controls(run, settings) if one.kind == "permutation")
    assert not control.done
    assert control.result.startswith(f"not counted: other is of another {told}")
    assert control.result in write_claim_page(gather_claim(run, settings))
    answer(settings, run, "own", "permutation")
    assert next(one for one in find_controls(run, settings) if one.kind == "permutation").done


def test_a_copy_of_the_cohort_in_another_folder_is_the_same_cohort(run: RunFolder, settings: Settings) -> None:
    answer(settings, run, "moved", "permutation", source=DataSource(root="/copied"))
    assert next(one for one in find_controls(run, settings) if one.kind == "permutation").done


def test_a_run_without_a_checkpoint_has_no_sheet(settings: Settings) -> None:
    run = RunFolder.create(settings, tiny_config(), DataSource(root="/data"), name="young")
    with pytest.raises(RunError, match="no checkpoint yet"):
        gather_claim(run, settings)


def test_shortcuts_that_were_asked_stand_among_the_controls(run: RunFolder, settings: Settings) -> None:
    asked = next(control for control in CONTROLS if control.kind == "shortcuts")
    found = gather_claim(run, settings, shortcuts=replace(asked, done=True, result="None predicts the label."))
    assert not any(text.startswith("Shortcuts") for text in found.unchecked)
    assert "None predicts the label." in write_claim_page(found)
    refused = gather_claim(run, settings, shortcuts=replace(asked, result="could not be asked: too few"))
    assert any(text.startswith("Shortcuts") for text in refused.unchecked)
    assert "could not be asked: too few" in write_claim_page(refused)


def test_the_flow_of_participants_is_a_figure_and_numbers(run: RunFolder, settings: Settings) -> None:
    assert "did not keep the flow of participants" in write_claim_page(gather_claim(run, settings))
    flow = {
        "found": {"studies": 30, "persons": 28},
        "excluded": [{"reason": "MGMT status is '<b>unknown'", "studies": 4, "persons": 3}],
        "unlabelled": {"studies": 2, "persons": 2},
        "used": {"studies": 24, "persons": 23},
    }
    (run.path / "environment.json").write_text(json.dumps({"participants": flow}))
    sheet = gather_claim(run, settings)
    assert sheet.participants == (
        ("found", 30, 28),
        ("excluded: MGMT status is '<b>unknown'", 4, 3),
        ("without a label", 2, 2),
        ("used", 24, 23),
    )
    page = write_claim_page(sheet)
    assert "&lt;b&gt;unknown" in page
    assert "<b>unknown" not in page
    assert 'aria-label="Flow of participants, in studies"' in page
    assert "24 studies, 23 persons" in page
    assert "used 24 studies of 23 persons" in items(sheet)["12"].evidence[0].text


def banners(run: RunFolder, settings: Settings) -> str:
    return " ".join(gather_claim(run, settings).banners)


def test_a_stored_evaluation_that_is_not_what_was_recorded_is_said(run: RunFolder, settings: Settings) -> None:
    judge_test(run, settings, 1.0)
    assert gather_claim(run, settings).banners == ("For research only; not a medical device, and no advice.",)
    path, ledger = run.path / "evaluation-test.json", settings.runs / LEDGER
    stored, entries = path.read_text(), ledger.read_text()
    content = json.loads(stored)
    content["patient"]["auroc"]["value"] = 0.99
    path.write_text(json.dumps(content))
    assert "was changed after it was written" in banners(run, settings)
    path.write_text(json.dumps(json.loads(stored) | {"epoch": 7}))
    assert "of other weights" in banners(run, settings)
    path.write_text(stored)
    record_evaluation(run.split().test_digest, run.name, settings, answers="others", partition="folds of seed 0")
    assert "not those in the ledger" in banners(run, settings)
    assert "one fold of a cross-validation" in banners(run, settings)
    ledger.unlink()
    assert "ledger does not hold the evaluation" in banners(run, settings)
    ledger.write_text(entries)
    assert len(gather_claim(run, settings).banners) == 1


def test_a_run_on_shuffled_labels_says_so(run: RunFolder, settings: Settings) -> None:
    replace_card(run.checkpoint, lambda card: card.model_copy(update={"labels_shuffled": True}))
    assert "labels were shuffled" in banners(run, settings)


def test_an_interval_below_guessing_is_not_said_to_hold_it(run: RunFolder, settings: Settings) -> None:
    judge_test(run, settings, -2.5)
    assert "Its interval lies below 0.5" in gather_claim(run, settings).sentence
