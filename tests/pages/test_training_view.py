"""The queue, a run in training and its first batch, as the Train page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.runtime.context import ContextProxy

from core.jobs.queue import list_waiting, worker_lock
from core.runs.folder import RunFolder, list_runs
from core.runs.lock import hold_lock
from core.runs.records import DataSource
from core.settings import Settings
from tests.pages.conftest import CONFIG, make_record
from tests.pages.reading import App, words
from ui.server.visitor import COOKIE, make_cookie, read_cookie, visitor_key


@pytest.fixture
def waiting(home: Settings, phantom_folder: Path) -> Iterator[list[RunFolder]]:
    """Three runs that wait for a worker that never gets to them."""
    home.runs.mkdir(parents=True)
    source = DataSource(root=str(phantom_folder))
    with hold_lock(worker_lock(home), "busy"):
        yield [
            RunFolder.create(
                home, CONFIG.model_copy(update={"seed": seed}), source, name=f"run{seed}", note=f"no {seed}"
            )
            for seed in range(3)
        ]


def names(settings: Settings) -> list[str]:
    return [run.name for run in list_waiting(settings)]


def test_the_queue_is_shown_reordered_and_cancelled(open_app: App, home: Settings, waiting: list[RunFolder]) -> None:
    app = open_app("train.py")
    text = words(app)
    assert "3 waiting" in text
    assert "no 2" in text
    assert "number 3 of 3" in words(open_app("train.py", query={"run": "run2"}))
    assert app.button(key="queue.up.run0").disabled
    assert app.button(key="queue.down.run2").disabled
    app.button(key="queue.up.run2").click().run()
    assert names(home) == ["run0", "run2", "run1"]
    app.button(key="queue.first.run1").click().run()
    assert names(home) == ["run1", "run0", "run2"]
    app.button(key="queue.down.run1").click().run()
    assert names(home) == ["run0", "run1", "run2"]
    app.button(key="queue.cancel.run1").click().run()
    assert not app.exception
    assert names(home) == ["run0", "run2"]
    assert waiting[1].status().state == "stopped"


def test_in_a_demo_nobody_overtakes(
    open_app: App, home: Settings, waiting: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = visitor_key(home)
    cookie = make_cookie(key)
    for run in waiting:
        run.write_status(run.status().model_copy(update={"owner": read_cookie(cookie, key)}))
    monkeypatch.setenv("MGMT_LAB_MODE", "hosted")
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE: cookie})
    app = open_app("train.py")
    keys = {button.key for button in app.button}
    assert "queue.cancel.run1" in keys
    assert not {"queue.up.run1", "queue.first.run1"} & keys


def test_a_run_in_training_shows_its_last_step_and_what_does_not_look_right(
    open_app: App, home: Settings, phantom_folder: Path
) -> None:
    run = RunFolder.create(home, CONFIG, DataSource(root=str(phantom_folder)), name="live", state="running")
    for epoch in (1, 2):
        counts = {"train_histogram": ((3, 1), (0, 4)), "val_histogram": ((1, 1), (0, 2)), "val_predicted": (4, 0)}
        run.append_epoch(
            make_record(epoch).model_copy(update={**counts, "gradient_norm": 2.0, "gradient_norm_max": 3.0})
        )
    changes = {
        "phase": "training", "epoch": 3, "epochs": 4, "step": 1, "steps": 2, "loss": 0.512, "learning_rate": 0.001,
        "gradient_norm": 1.75, "memory_bytes": 3 * 2**29, "images_per_second": 27.0, "seconds_left": 65.0,
    }  # fmt: skip
    with run.lock():
        run.write_status(run.status().model_copy(update=changes))
        app = open_app("train.py", query={"run": "live"})
    assert not app.exception
    text = words(app)
    assert "loss **0.512**, gradient norm **1.75**, learning rate **0.001**" in text
    assert "memory so far **1.5 GiB**" in text
    assert "No validation slice of 4 was called class 1 since epoch 1" in text
    assert "Validation is too small for the differences shown" in text
    assert len(app.warning) == 1


def test_a_first_run_has_an_estimate_of_its_time_before_the_start(open_app: App, phantom_folder: Path) -> None:
    app = open_app("train.py", phantom_folder)
    said = "by the network's arithmetic; rough until a run has been timed here"
    assert f"About **9 minutes** for 20 epochs on 1 CPU thread, {said}" in words(app)
    app.number_input(key="train.honest.epochs").set_value(10).run()
    assert f"About **5 minutes** for 10 epochs on 1 CPU thread, {said}" in words(app)


def test_the_first_batch_is_shown_when_it_is_asked_for(open_app: App, phantom_folder: Path) -> None:
    app = open_app("train.py", phantom_folder)
    settings = {"size_px": 32, "slice_count": 2, "batch_size": 5}
    for name, value in settings.items():
        app.number_input(key=f"train.honest.{name}").set_value(value)
    app.number_input(key="train.honest.val_fraction").set_value(0.5)
    app.number_input(key="train.honest.test_fraction").set_value(0.0)
    app.run()
    assert "Step 1 of" not in words(app)
    app.button(key="train.first_batch.start").click().run()
    assert not app.exception
    assert not app.error
    assert "Step 1 of 3 in epoch 1: 5 of 16 training examples" in words(app).replace("**", "")


def test_a_run_without_pretrained_weights_offers_random_ones_and_no_useless_resume(
    open_app: App, home: Settings, phantom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.queue.ensure_worker", lambda settings: None)
    source = DataSource(root=str(phantom_folder))
    run = RunFolder.create(
        home, CONFIG.model_copy(update={"weights": "default"}), source, name="offline", state="failed"
    )
    run.write_status(
        run.status().model_copy(update={"failure": "WeightsUnavailableError", "message": "They cannot be fetched."})
    )
    app = open_app("train.py", phantom_folder, query={"run": "offline"})
    labels = [button.label for button in app.button]
    assert "Resume" not in labels
    app.button(key="live.offline.random").click().run()
    assert not app.exception
    begun = [entry.run for entry in list_runs(home) if entry.run.name != "offline"]
    assert [run.config.weights for run in begun] == ["none"]
    assert begun[0].source == source
    assert app.query_params["run"] == begun[0].name


def test_the_form_stays_open_when_a_run_begins_and_a_row_of_the_queue_opens_its_run(
    open_app: App, home: Settings, phantom_folder: Path
) -> None:
    app = open_app("train.py", phantom_folder)
    assert next(one for one in app.expander if one.label == "A new run").proto.expanded
    for name in ("run0", "run1"):
        RunFolder.create(home, CONFIG, DataSource(root=str(phantom_folder)), name=name)
    app.run()
    assert next(one for one in app.expander if one.label == "A new run").proto.expanded
    app.button(key="queue.open.run1").click().run()
    assert app.query_params["run"] == "run1"
