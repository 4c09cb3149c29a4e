"""The Sweeps page: a form that starts a search, a search as it goes, and test patients that wait for a click."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig, apply_settings
from core.experiments.search.claim import at_work
from core.experiments.search.search import SearchParameters, open_search
from core.experiments.search.workers import leading, stopping_with
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.progress import silent
from core.runs.folder import RunFolder
from core.runs.ledger import count_evaluations
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import CONFIG
from tests.pages.reading import App, words

SPACE = ("learning_rate=1e-5..1e-2:log", "optimiser=sgd,adamw")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Enough patients to set some apart."""
    root = tmp_path_factory.mktemp("twelve") / "cohort"
    make_phantom(root, PhantomConfig(studies=12, slices=4, size=32, signal=3), jobs=1)
    return DataSource(root=str(root))


@pytest.fixture
def searched(home: Settings, source: DataSource, finished_run: RunFolder) -> str:
    """A search with seven trials that ended well, one pruned, one failed and one running; its runs are made up."""
    search = open_search(home, "mine", CONFIG, source, SearchParameters(space=SPACE))
    study = search.open_study(create=True)
    with at_work(search.folder) as worker:
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
    (search.folder / "trials.txt").write_text("12")
    return "mine"


def _state(name: str) -> object:
    import optuna

    return optuna.trial.TrialState[name]


def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Note what would be started instead of starting it."""
    commands: list[tuple[str, list[str]]] = []

    def note(settings: Settings, name: str, command: list[str]) -> None:
        commands.append((name, command))

    for module in ("ui.sweeps.sweeps", "ui.sweeps.form"):
        monkeypatch.setattr(f"{module}.start_experiment", note)
    return commands


def test_a_search_is_started_with_what_the_form_says(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.cli.main import build_parser
    from core.cli.options import read_config

    commands = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.text_input(key="sweeps.honest.fixed").set_value("size_px=32 sequences=FLAIR,T1w").run()
    app.text_area(key="sweeps.honest.space").set_value("learning_rate=1e-4..1e-2:log\n\nbatch_size=4,8\n").run()
    app.number_input(key="sweeps.trials").set_value(7).run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert not app.error
    ((name, command),) = commands
    assert name == "sweep-1"
    arguments = build_parser().parse_args([*command, "--name", name, "--behind-queue"])
    assert arguments.space == ["learning_rate=1e-4..1e-2:log", "batch_size=4,8"]
    assert (arguments.trials, arguments.parallel, arguments.data) == (7, 1, source.root)
    config = read_config(arguments)
    assert (config.prep.size_px, [str(name) for name in config.prep.sequences]) == (32, ["FLAIR", "T1w"])


def test_a_space_that_cannot_be_read_is_one_error(open_app: App, source: DataSource) -> None:
    app = open_app("sweeps.py", Path(source.root))
    app.text_area(key="sweeps.honest.space").set_value("lerning_rate=1..2").run()
    assert not app.exception
    assert len(app.error) == 1
    assert "Did you mean learning_rate" in words(app)


def test_a_password_is_not_taken_on_the_page(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.text_input(key="sweeps.storage").set_value("postgresql://anna:secret@db/sweeps").run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert "MGMT_LAB_STORAGE_PASSWORD" in words(app)
    assert "secret" not in words(app)
    assert not commands


def test_a_protocol_split_by_slice_is_searched_by_patient(
    open_app: App, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = started(monkeypatch)
    app = open_app("sweeps.py", Path(source.root))
    app.selectbox(key="sweeps.preset").set_value("paper").run()
    app.button(key="sweeps.start").click().run()
    assert not app.exception
    assert "splits by patient here" in words(app)
    assert "split_unit=patient" in commands[0][1]


def test_a_search_shows_its_best_trial_and_leaves_the_test_patients_alone(
    open_app: App, searched: str, home: Settings
) -> None:
    app = open_app("sweeps.py", query={"search": searched})
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "0.900 (0.400 to 0.970), n = 12 patients" in text
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
    from core.experiments.search.search import find_search

    return find_search(home, name).split.test_digest


def test_looks_at_the_test_patients_are_told(open_app: App, searched: str, home: Settings) -> None:
    from core.runs.ledger import record_evaluation

    for run in ("one", "two"):
        record_evaluation(open_digest(home, searched), run, home)
    app = open_app("sweeps.py", query={"search": searched})
    assert app.metric[2].value == "2 times"
    assert any("looked at before" in warning.value for warning in app.warning)


def test_the_best_trial_opens_on_train(open_app: App, searched: str, finished_run: RunFolder) -> None:
    app = open_app("sweeps.py", query={"search": searched})
    app.button(key="sweeps.mine.clone").click().run()
    assert not app.exception
    assert app.title[0].value == "Train"
    assert app.session_state["train.clone"] == finished_run.name
    config: RunConfig = finished_run.config
    assert app.number_input(key=f"train.clone.{finished_run.name}.epochs").value == config.epochs


def test_a_search_goes_on_with_its_own_question(
    open_app: App, searched: str, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = started(monkeypatch)
    app = open_app("sweeps.py", query={"search": searched})
    app.button(key="sweeps.mine.go").click().run()
    assert not app.exception
    ((name, command),) = commands
    assert name == "mine"
    from core.cli.main import build_parser
    from core.cli.options import read_config
    from core.experiments.search.search import find_search

    arguments = build_parser().parse_args([*command, "--name", name])
    search = find_search(home, "mine")
    assert arguments.trials == 12
    assert tuple(arguments.space) == search.parameters.space
    assert read_config(arguments) == search.config == apply_settings(CONFIG, {})


def test_a_search_in_the_address_that_is_not_here_is_said(open_app: App) -> None:
    app = open_app("sweeps.py", query={"search": "../../etc"})
    assert not app.exception
    assert app.warning


def test_a_search_that_failed_to_begin_says_why(open_app: App, home: Settings) -> None:
    folder = home.experiments / "broken"
    folder.mkdir(parents=True)
    (folder / "started").touch()
    (folder / "log.txt").write_text("error: There is no folder /nowhere; name one that holds a cohort.\n")
    app = open_app("sweeps.py", query={"search": "broken"})
    assert not app.exception
    assert len(app.error) == 1
    assert "no folder /nowhere" in words(app)


def test_a_search_that_reads_its_data_for_long_says_so_and_stops_and_goes_on(
    open_app: App, searched: str, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = started(monkeypatch)
    folder = home.experiments / searched
    for name in ("split.json", "journal.jsonl"):
        (folder / name).unlink()
    (folder / "log.txt").write_text("preparing  17/585  1.0 s each  9:28 left\n")
    (folder / "started").touch()
    os.utime(folder / "started", (0, 0))
    with leading(folder):
        app = open_app("sweeps.py", query={"search": searched})
        assert not app.exception
        assert "preparing 17/585" in " ".join(words(app).split())
        app.button(key="sweeps.mine.stop").click().run()
        assert app.button(key="sweeps.mine.stop").disabled
        assert "Stopping" in words(app)
        with pytest.raises(KeyboardInterrupt):
            stopping_with(folder, silent)(1, 2)
    app = open_app("sweeps.py", query={"search": searched})
    assert not app.error
    app.number_input(key="sweeps.mine.trials").set_value(7).run()
    app.button(key="sweeps.mine.go").click().run()
    ((name, command),) = commands
    assert name == searched
    assert command[command.index("--trials") + 1] == "7"


def test_a_search_that_goes_on_keeps_its_test_patients_shut(open_app: App, searched: str, home: Settings) -> None:
    with leading(home.experiments / searched):
        app = open_app("sweeps.py", query={"search": searched})
    assert app.button(key="sweeps.mine.judge").disabled


def test_a_demo_offers_none_and_says_so(open_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    app: AppTest = open_app("sweeps.py")
    assert not app.exception
    assert "more than this demo offers" in words(app)
    assert not any(button.key == "sweeps.start" for button in app.button)
