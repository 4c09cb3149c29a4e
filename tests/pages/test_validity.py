"""The Validity page: every section with nothing loaded and with a run, and what can be done in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.dataset.split import Split
from core.errors import MGMTLabError
from core.evaluation.figure import Figure
from core.evaluation.power import DESIGNS
from core.evaluation.specification import Cell, order_cells
from core.experiments.controls.optimism import Pair, compare_pairs
from core.experiments.run import run_experiment
from core.jobs.experiment import Display, Experiment, Question, RunOptions
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.runs.seal import Criterion, list_seals, make_seal
from core.settings import Settings
from tests.pages.reading import App, words
from ui.validity.sections import GROUPS, SECTIONS, find_section

SPLIT = Split(
    train=("1", "2"), val=("10001", "10002", "10003", "10004"), test=("5", "6"), unit="patient", seed=0,
    cohort_digest="c" * 12,
)  # fmt: skip


@pytest.fixture
def run_with_split(finished_run: RunFolder) -> RunFolder:
    (finished_run.path / "split.json").write_text(SPLIT.to_json())
    return finished_run


def open_section(open_app: App, name: str) -> AppTest:
    app = open_app("validity.py", query={"section": name})
    assert not app.exception
    assert app.subheader[0].value == find_section(name).question
    return app


def note_starts(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Start no process; the experiments whose process would be started are noted."""
    started: list[Experiment] = []
    monkeypatch.setattr(
        "core.jobs.experiment.start_detached",
        lambda module, folder, **options: started.append(Experiment(Path(folder))),
    )
    return started


def answer(started: list[Experiment], settings: Settings) -> None:
    """Answer here what was started, as its own process would; what it refuses ends its log."""
    try:
        run_experiment(started[-1], settings, RunOptions(), Display())
    except MGMTLabError as error:
        (started[-1].folder / "log.txt").write_text(f"error: {error}\n")


def test_sections_have_names_of_their_own_and_known_groups() -> None:
    names = [section.name for section in SECTIONS]
    assert len(set(names)) == len(names)
    assert {section.group for section in SECTIONS} == set(GROUPS)
    assert find_section("nowhere") is SECTIONS[0]


@pytest.mark.parametrize("name", [section.name for section in SECTIONS])
def test_a_section_with_nothing_loaded_says_what_to_do(name: str, open_app: App) -> None:
    app = open_app("validity.py")
    app.button(key=f"validity.section.{name}").click().run()
    assert not app.exception
    assert not app.error
    assert app.subheader[0].value == find_section(name).question
    ways = [button for button in app.button if not str(button.key).startswith("validity.section.")]
    assert "It would come out the other way if" in words(app) or app.info or ways


@pytest.mark.parametrize("name", [section.name for section in SECTIONS])
def test_a_section_with_a_run_has_no_error(
    name: str, open_app: App, phantom_folder: Path, with_checkpoint: Path, run_with_split: RunFolder
) -> None:
    app = open_section(open_app, name)
    assert not app.error


def test_power_says_what_field_says(open_app: App) -> None:
    app = open_section(open_app, "power")
    app.number_input(key="validity.power.n").set_value(585).run()
    assert app.metric[0].value == "99%"
    for design in DESIGNS:
        app.selectbox(key="validity.power.design").set_value(design).run()
        assert not app.exception
        assert not app.error
        assert app.metric
    app.selectbox(key="validity.power.design").set_value("paired").run()
    assert app.slider(key="validity.power.correlation")


def test_a_plan_is_sealed_by_a_click_and_the_next_look_followed_it(
    open_app: App, run_with_split: RunFolder, home: Settings
) -> None:
    app = open_section(open_app, "seal")
    assert "No plan was sealed" in words(app)
    next(button for button in app.button if button.label == "Seal this plan").click().run()
    assert not app.exception
    assert app.success
    ((_, seal, fault),) = list_seals(home)
    assert fault == ""
    assert seal is not None
    assert seal.hash in app.success[0].value
    assert "No plan was sealed" not in words(app)
    assert "before any evaluation of these test patients" in words(app)


def test_a_simulated_model_is_said_to_be_one(open_app: App) -> None:
    for name in ("calibration", "thresholds"):
        app = open_section(open_app, name)
        assert "117 simulated patients" in words(app)


def test_the_claim_of_a_run_nobody_judged_is_that_there_is_none(open_app: App, run_with_split: RunFolder) -> None:
    app = open_section(open_app, "claim")
    assert "Nothing may be claimed yet" in words(app)
    assert "The untouched test patients" in words(app)


def test_the_runs_page_leads_to_the_claim_sheet_of_its_run(open_app: App, run_with_split: RunFolder) -> None:
    app = open_app("runs.py")
    app.button(key="runs.claim").click().run()
    assert not app.exception
    assert "Nothing may be claimed yet" in words(app)
    assert app.selectbox(key="validity.claim.run").value == "done"


@pytest.mark.parametrize("leaky", [False, True])
def test_a_split_is_audited_and_a_leaky_one_is_told(
    leaky: bool,
    open_app: App,
    finished_run: RunFolder,
    phantom_folder: Path,
    home: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studies = sorted(path.name for path in (phantom_folder / "train").iterdir())
    if leaky:
        keys = [f"{study}|FLAIR|0|{index}" for study in studies for index in range(8)]
        parts = {"train": tuple(keys[0::2]), "val": tuple(keys[1::4]), "test": tuple(keys[3::4])}
    else:
        parts = {"train": tuple(studies[:2]), "val": tuple(studies[2:3]), "test": tuple(studies[3:])}
    split = Split(**parts, unit="slice" if leaky else "patient", seed=0, cohort_digest="c" * 12)
    (finished_run.path / "split.json").write_text(split.to_json())
    started = note_starts(monkeypatch)
    open_section(open_app, "audit").button(key="validity.audit.start").click().run()
    answer(started, home)
    app = open_section(open_app, "audit")  # another session
    assert not app.exception
    if leaky:
        assert "4 patients stand on both sides" in app.error[0].value
    else:
        assert not app.error
        assert "Nothing stands on both sides. Checked: 4 patients" in app.success[0].value
        sheet = words(open_section(open_app, "claim"))
        assert "Near-duplicate images on both sides" not in sheet  # it counts what is stored


def test_a_split_from_elsewhere_is_audited_as_a_table_or_a_split_json(
    open_app: App, phantom_folder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = note_starts(monkeypatch)
    studies = sorted(path.name for path in (phantom_folder / "train").iterdir())
    parts = ["train", "train", "val", "test"]
    rows = [f"{study},{part}" for study, part in zip(studies, parts, strict=True)]
    split = Split(
        train=tuple(studies[:2]), val=(studies[2],), test=(studies[3],), unit="patient", seed=0, cohort_digest="c" * 12
    )
    leaky = "\n".join(["name,part", *rows, f"{studies[0]},test"])
    for name, text, told in (
        ("clean.csv", "\n".join(["name,part", *rows]), "Nothing stands on both sides. Checked: 4 patients"),
        ("leaky.csv", leaky, "1 patient stands on both sides"),
        ("split.json", split.to_json(), "Nothing stands on both sides"),
        ("other.csv", "who,where\n1,train", "expected name and part"),
    ):
        app = open_app("validity.py", phantom_folder, query={"section": "audit"})
        app.file_uploader(key="validity.audit.file").set_value((name, text.encode(), "text/plain")).run()
        if not app.error:
            app.button(key="validity.audit.start").click().run()
            answer(started, home)
            app.run()
        assert not app.exception
        assert told in "".join(str(box.value) for box in (*app.error, *app.success))


def test_a_folder_without_parts_is_no_split(
    open_app: App, phantom_folder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = note_starts(monkeypatch)
    app = open_app("validity.py", phantom_folder, query={"section": "audit"})
    app.segmented_control(key="validity.audit.way").set_value("a folder tree").run()
    app.text_input(key="validity.audit.folder").set_value(str(phantom_folder)).run()
    app.button(key="validity.audit.start").click().run()
    answer(started, home)
    app.run()
    assert not app.exception
    assert "has no TRAIN, VAL and TEST folders" in app.error[0].value


def test_permutation_reruns_are_started_from_the_page_and_shown_when_they_are_done(
    open_app: App, run_with_split: RunFolder, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = note_starts(monkeypatch)
    app = open_section(open_app, "permutation")
    app.segmented_control(key="validity.permute.way").set_value("Reruns of the training").run()
    app.number_input(key="validity.permute.shuffles").set_value(4).run()
    app.button(key="permutation-done.start").click().run()
    assert not app.exception
    (experiment,) = started
    assert (experiment.name, experiment.question().kind) == ("permutation-done", "permutation")
    assert experiment.options() == RunOptions(count=4)
    observed = Figure(value=0.7, low=0.5, high=0.8, n=24).to_dict()
    store_answer(
        home, "permutation", {"kind": "reruns", "name": "p", "observed": observed, "null": [0.5] * 4, "p": 0.2}
    )
    app.run()
    assert "p = 0.200** with N = 4 shuffles" in words(app)


def test_a_hosted_visitor_names_no_folder_and_sees_no_strangers_seals(
    open_app: App, run_with_split: RunFolder, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_seal(run_with_split.config, SPLIT, Criterion(), home)
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    audit = open_section(open_app, "audit")
    assert not audit.text_input
    assert not audit.get("file_uploader"), "a table of patients that is handed in would be kept"
    seal = open_section(open_app, "seal")
    assert "No plan has been sealed yet." in words(seal)
    assert "seal-0001" not in words(seal)
    assert "python -m core" not in str(open_section(open_app, "optimism").get("code"))


def store_answer(home: Settings, kind: str, result: dict[str, object]) -> None:
    question = Question(kind=kind, parameters={}, config=RunConfig(), source=DataSource(root="/data"))
    Experiment.ask(home, kind, question).write_result(result)


def test_answered_questions_are_shown_whole(open_app: App, run_with_split: RunFolder, home: Settings) -> None:
    figures = [Figure(value=value, low=0.2, high=0.9, n=12) for value in (0.4, 0.6, 0.7)]
    cells = [Cell(choices={"seed": str(seed)}, figure=figure, run="x") for seed, figure in enumerate(figures)]
    store_answer(home, "specification", {**order_cells(cells).to_dict(), "reasons": ["cell-009: it diverged"]})
    pairs = [Pair(seed=seed, run="x", epoch=1, validation=figures[2], untouched=figures[seed]) for seed in (0, 1)]
    store_answer(home, "optimism", compare_pairs(pairs))
    curve = words(open_section(open_app, "specification"))
    assert "Over 3 combinations of choices the median AUROC by patient is 0.600" in curve
    assert "it diverged" in curve
    meter = words(open_section(open_app, "optimism"))
    assert "0.700 (0.700 to 0.700) on the patients that chose it and 0.500 (" in meter


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("optimism", {"seeds": 5}),
        (
            "specification",
            {"vary": {"seed": ["0", "1", "2"], "sequences": ["T1wCE", "FLAIR,T1w,T1wCE,T2w"], "slice_count": ["4", "8"]},
             "split_seed": 0},
        ),
    ],
)  # fmt: skip
def test_a_question_is_asked_in_a_process_of_its_own_once(
    open_app: App,
    run_with_split: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    parameters: dict[str, object],
) -> None:
    started = note_starts(monkeypatch)
    app = open_section(open_app, kind)
    app.button(key=f"{kind}-done.start").click().run()
    assert not app.exception
    assert not app.error
    (experiment,) = started
    question = experiment.question()
    assert (experiment.name, question.kind, question.parameters) == (f"{kind}-done", kind, parameters)
    assert (question.config, question.source) == (run_with_split.config, run_with_split.source)
    assert app.button(key=f"{kind}-done.stop")


@pytest.mark.parametrize(("section", "kind"), [("positive", "positive_control"), ("robustness", "robustness")])
def test_what_a_run_can_be_asked_beside_trainings_starts_a_process(
    open_app: App, run_with_split: RunFolder, monkeypatch: pytest.MonkeyPatch, section: str, kind: str
) -> None:
    started = note_starts(monkeypatch)
    app = open_section(open_app, section)
    app.button(key=f"{kind}-done.start").click().run()
    assert not app.exception
    assert not app.error
    assert [one.question().kind for one in started] == [kind]


def test_a_sweep_and_a_positive_control_are_shown_with_their_figures(
    open_app: App, run_with_split: RunFolder, home: Settings
) -> None:
    figure = Figure(value=0.25, low=0.1, high=0.5, n=12).to_dict()
    moved = {"title": "blur, 1 px", "probability": figure, "changed": figure, "patients": {"10001": 0.125}}
    store_answer(home, "robustness", {"sentence": "blur changes most", "moves": {"blur": moved}})
    store_answer(
        home, "positive_control", {"sentence": "it finds IDH", "target": "IDH", "control": figure, "own": figure}
    )
    assert "blur changes most" in words(open_section(open_app, "robustness"))
    assert "it finds IDH" in words(open_section(open_app, "positive"))


def test_an_audit_for_the_claim_sheet_is_a_job_that_it_counts(
    open_app: App, finished_run: RunFolder, phantom_folder: Path, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = sorted(path.name for path in (phantom_folder / "train").iterdir())
    parts = {"train": tuple(studies[:2]), "val": (studies[2],), "test": (studies[3],)}
    split = Split(**parts, unit="patient", seed=0, cohort_digest="c" * 12)
    (finished_run.path / "split.json").write_text(split.to_json())
    started = note_starts(monkeypatch)
    app = open_section(open_app, "claim")
    assert "Near-duplicate images on both sides" in words(app)
    app.button(key="validity.claim.audit.start").click().run()
    assert not app.exception
    answer(started, home)
    app = open_section(open_app, "claim")
    assert not app.error
    assert "Near-duplicate images on both sides" not in words(app)
    app.button(key="validity.claim.shortcuts").click().run()
    assert app.subheader[0].value == find_section("shortcuts").question
