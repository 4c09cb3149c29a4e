"""The Sweeps page: a form that starts a search, a search as it goes, and test patients that wait for a click."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.experiments.search.run_search import _stop_on_request
from core.experiments.search.search import SearchParameters, ask_search, find_search, open_search
from core.experiments.search.trial_queue import register_worker
from core.jobs.experiment import Experiment, RunOptions
from core.mri import MRSequence
from core.phantom.config import PhantomConfig
from core.presets import PRESETS
from core.progress import silent
from core.runs.cohort import open_cohort
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import CONFIG
from tests.pages.reading import App, words
from tests.phantoms import copy_phantom

SPACE = ("learning_rate=1e-5..1e-2:log", "optimiser=sgd,adamw")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Enough patients to set some apart."""
    root = tmp_path_factory.mktemp("twelve") / "cohort"
    copy_phantom(root, PhantomConfig(studies=12, slices=4, size=32, signal=3))
    return DataSource(root=str(root))


@pytest.fixture
def searched(home: Settings, source: DataSource, finished_run: RunFolder) -> str:
    """A search with seven trials that ended well, one pruned, one failed and one running; its runs are made up."""
    question = ask_search("mine", CONFIG, source, SearchParameters(space=SPACE))
    search = open_search(Experiment.ask(home, "mine", question), home)
    study = search.open_study(create=True)
    with register_worker(search.folder) as worker:
        for number in range(10):
            trial = study.ask()
            rate = trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
            trial.suggest_categorical("optimiser", ["sgd", "adamw"])
            trial.set_user_attr("run", finished_run.name if number == 3 else f"mine-{number:03d}")
            trial.report(0.5, 1)
            if number < 7:
                value = 0.9 if number == 3 else 0.5 + 10 * rate
                trial.set_user_attr("auroc", {"value": value, "low": 0.4, "high": 0.97, "n": 12})
                trial.set_user_attr("best_epoch", 1)
                study.tell(trial, value)
            elif number == 7:
                study.tell(trial, state=_state("PRUNED"))
            elif number == 8:
                trial.set_user_attr("reason", "training diverged")
                study.tell(trial, state=_state("FAIL"))
            else:
                trial.set_user_attr("worker", worker)
    search.experiment.write_options(RunOptions(count=12))
    return "mine"


def _state(name: str) -> object:
    import optuna

    return optuna.trial.TrialState[name]


def started(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """Start no process; the experiments whose process would be started are noted."""
    experiments: list[Experiment] = []

    def note(module: str, folder: str, **options: object) -> None:
        experiments.append(Experiment(Path(folder)))

    monkeypatch.setattr("core.jobs.experiment.start_detached", note)
    return experiments


def test_a_search_is_started_with_what_the_form_says(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.text_input(key="sweeps.honest.fixed").set_value("size_px=32 sequences=FLAIR,T1w").run()
    app.text_area(key="sweeps.honest.space").set_value("learning_rate=1e-4..1e-2:log\n\nbatch_size=4,8\n").run()
    app.number_input(key="sweeps.trials").set_value(7).run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert not app.error
    (experiment,) = experiments
    assert experiment.name == "sweep-01"
    question = experiment.question()
    assert question.kind == "search"
    assert question.parameters["space"] == ["learning_rate=1e-4..1e-2:log", "batch_size=4,8"]
    assert experiment.options() == RunOptions(count=7, parallel=1)
    assert question.source.root == source.root
    prep = question.config.prep
    assert (prep.size_px, [str(name) for name in prep.sequences]) == (32, ["FLAIR", "T1w"])


def test_two_ids_of_one_patient_stay_in_one_part_of_a_sweep_started_from_the_page(
    open_app: App, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option of how the data are read goes into the question: --identity and --assign were lost once."""
    root = tmp_path / "cohort"
    copy_phantom(root, PhantomConfig(studies=12, slices=4, size=32, signal=3))
    cohort = open_cohort(DataSource(root=str(root)))
    alone = make_split(build_table(cohort, CONFIG.prep, home), PRESETS["honest"].config.split, cohort.digest)
    label = {study.study_id: study.mgmt_value for study in cohort}
    one, other = next((a, b) for a in alone.train for b in alone.test if label[a] == label[b])
    (tmp_path / "same.csv").write_text(f"study_id,same_person_as\n{one},{other}\n")
    uid = next(series.series_uid for series in cohort.series)
    named = DataSource(root=str(root), identity=str(tmp_path / "same.csv"), assign=((uid, MRSequence.UNKNOWN),))
    experiments = started(monkeypatch)
    app = open_app("sweeps.py", root)
    app.session_state["cohort"] = named
    app.text_input(key="sweeps.honest.fixed").set_value("size_px=32 slice_count=1 sequences=FLAIR").run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert not app.error
    (experiment,) = experiments
    assert experiment.question().source == named
    split = open_search(experiment, home).split
    persons = {study.study_id: study.person for study in open_cohort(experiment.question().source)}
    assert persons[one] == persons[other]
    parts = [part for part in ("train", "val", "test") if persons[one] in split.units(part)]
    assert len(parts) == 1
    (second,) = {one, other} - {persons[one]}
    assert second not in {*split.train, *split.val, *split.test}


def test_a_space_that_cannot_be_read_is_one_error(open_app: App, source: DataSource) -> None:
    app = open_app("sweeps.py", Path(source.root))
    app.text_area(key="sweeps.honest.space").set_value("lerning_rate=1..2").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "Did you mean learning_rate" in words(app)


def test_a_password_is_not_taken_on_the_page(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.text_input(key="sweeps.storage").set_value("postgresql://anna:secret@db/sweeps").run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert "MGMT_LAB_STORAGE_PASSWORD" in words(app)
    assert "secret" not in words(app)
    assert not experiments


def test_a_protocol_split_by_slice_is_searched_by_patient(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.selectbox(key="sweeps.preset").set_value("paper").run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert "splits by patient here" in words(app)
    assert experiments[0].question().config.split.split_unit == "patient"


def test_a_search_shows_its_best_trial_and_leaves_the_test_patients_alone(
    open_app: App, searched: str, home: Settings
) -> None:
    app = open_app("sweeps.py", query={"search": searched})
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "0.900 (no interval: these patients chose the epoch and the threshold), n = 12 patients" in text
    assert "Were all 8 trials equally good" in text
    assert app.metric[0].value == "0.900"
    assert app.metric[2].value == "never"
    table = app.dataframe[0].value
    assert list(table["state"]) == ["finished"] * 7 + ["pruned", "failed", "running"]
    assert table["why"][8] == "training diverged"
    assert table["run"][3] == "runs?run=done"
    assert table["run"].notna().sum() == 1
    assert len(app.get("plotly_chart")) == 4
    digest = open_digest(home, searched)
    assert count_evaluations(digest, home) == 0


def open_digest(home: Settings, name: str) -> str:
    return find_search(home, name).split.test_digest


def test_looks_at_the_test_patients_are_told(open_app: App, searched: str, home: Settings) -> None:
    from core.runs.ledger import record_evaluation

    for run in ("one", "two"):
        record_evaluation(open_digest(home, searched), run, home)
    app = open_app("sweeps.py", query={"search": searched})
    assert app.metric[2].value == "2 times"
    assert any("evaluated before" in warning.value for warning in app.warning)


def test_the_best_trial_opens_on_train(open_app: App, searched: str, finished_run: RunFolder) -> None:
    app = open_app("sweeps.py", query={"search": searched})
    app.button(key="sweeps.mine.clone").click().run()
    assert not app.exception
    assert app.title[0].value == "Train"
    assert app.session_state["train.clone"] == finished_run.name
    config: RunConfig = finished_run.config
    assert app.number_input(key=f"train.clone.{finished_run.name}.epochs").value == config.epochs


def test_a_search_is_resumed_with_its_own_question(
    open_app: App, searched: str, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = started(monkeypatch)
    before = find_search(home, searched)
    app = open_app("sweeps.py", query={"search": searched})
    app.button(key="sweeps.mine.go").click().run()
    assert not app.exception
    assert [experiment.name for experiment in experiments] == ["mine"]
    assert experiments[0].options() == RunOptions(count=12, parallel=1)
    assert find_search(home, "mine") == before


def test_a_search_in_the_address_that_is_not_here_is_said(open_app: App) -> None:
    app = open_app("sweeps.py", query={"search": "../../etc"})
    assert not app.exception
    assert app.warning


def test_a_search_that_failed_to_begin_says_why(
    open_app: App, home: Settings, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ask_search("broken", CONFIG, source, SearchParameters(space=SPACE))
    experiment = Experiment.ask(home, "broken", question)
    (experiment.folder / "started").touch()
    (experiment.folder / "log.txt").write_text("error: There is no folder /nowhere; name one that holds a cohort.\n")
    app = open_app("sweeps.py", query={"search": "broken"})
    assert not app.exception
    assert len(app.error) == 1
    assert "no folder /nowhere" in words(app)
    experiments = started(monkeypatch)
    app.button(key="sweeps.broken.go").click().run()
    assert experiments == [experiment]


def test_a_search_that_reads_its_data_for_long_says_so_and_is_stopped_and_resumed(
    open_app: App, searched: str, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiments = started(monkeypatch)
    experiment = Experiment(home.experiments / searched)
    for name in ("split.json", "journal.jsonl"):
        (experiment.folder / name).unlink()
    (experiment.folder / "log.txt").write_text("preparing  17/585  1.0 s each  9:28 left\n")
    (experiment.folder / "started").touch()
    os.utime(experiment.folder / "started", (0, 0))
    with hold_lock(experiment.folder / ".lock", "busy"):
        app = open_app("sweeps.py", query={"search": searched})
        assert not app.exception
        assert "preparing 17/585" in " ".join(words(app).split())
        app.button(key="sweeps.mine.stop").click().run()
        assert app.button(key="sweeps.mine.stop").disabled
        assert "Stopping" in words(app)
        with pytest.raises(KeyboardInterrupt):
            _stop_on_request(experiment, silent)(1, 2)
    app = open_app("sweeps.py", query={"search": searched})
    assert not app.error
    app.number_input(key="sweeps.mine.trials").set_value(7).run()
    app.button(key="sweeps.mine.go").click().run()
    assert experiments == [experiment]
    assert experiment.options().count == 7


def test_a_running_search_keeps_its_test_patients_shut(open_app: App, searched: str, home: Settings) -> None:
    with hold_lock(home.experiments / searched / ".lock", "busy"):
        app = open_app("sweeps.py", query={"search": searched})
    assert app.button(key="sweeps.mine.judge").disabled


def test_a_demo_offers_none_and_says_so(open_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    app: AppTest = open_app("sweeps.py")
    assert not app.exception
    assert "more than this demo offers" in words(app)
    assert not any(button.key == "sweeps.start" for button in app.button)
