"""The data-quality dashboard on the Cohort page."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.dataset.split import Split
from core.runs.folder import RunFolder
from tests.pages.reading import App, words


def test_an_audit_is_offered_run_and_filtered(open_app: App, phantom_folder: Path) -> None:
    app = open_app("cohort.py", phantom_folder)
    assert "Data quality" in words(app)
    app.button(key="audit.start").click().run()
    assert not app.exception
    assert not app.error
    values = {metric.label: metric.value for metric in app.metric}
    assert (values["Errors"], values["Warnings"]) == ("0", "0")
    assert values["Series checked"] == "16"
    app.multiselect(key="audit.kind").set_value(["file-order"]).run()
    assert not app.exception
    assert "In 16 of 16 series the numbers in the file names" in words(app)


def test_what_is_wrong_is_shown_with_its_images(open_app: App, phantom_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(phantom_folder, folder)
    first = sorted((folder / "train").iterdir())[0]
    shutil.copytree(first, folder / "train" / "09998")
    app = open_app("cohort.py", folder)
    app.button(key="audit.start").click().run()
    assert not app.exception
    assert not app.error
    assert "One patient under two ids" in words(app)
    assert f"{first.name} are kept apart" in words(app)


def test_a_runs_split_can_be_checked(open_app: App, phantom_folder: Path, finished_run: RunFolder) -> None:
    studies = sorted(path.name for path in (phantom_folder / "train").iterdir())
    split = Split(train=tuple(studies[:3]), val=(studies[3],), test=(), unit="patient", seed=0, cohort_digest="")
    (finished_run.path / "split.json").write_text(split.to_json())
    app = open_app("cohort.py", phantom_folder)
    chooser = next(box for box in app.selectbox if box.label == "Split to check")
    chooser.set_value("done").run()
    app.button(key="audit.start").click().run()
    assert not app.exception
    assert "16 series in the split" in words(app)


def test_who_is_in_another_cohort_too_is_shown(open_app: App, phantom_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(phantom_folder, folder)
    shutil.rmtree(sorted((folder / "train").iterdir())[0])
    app = open_app("cohort.py", phantom_folder)
    assert "Nobody twice" in words(app)
    app.text_input(key="overlap.root").set_value(str(folder)).run()
    app.button(key="overlap.start").click().run()
    assert not app.exception
    assert not app.error
    values = {metric.label: metric.value for metric in app.metric}
    assert (values["In both"], values["Persons compared"]) == ("3", "4 with 3")
    app.text_input(key="overlap.root").set_value(str(tmp_path / "nowhere")).run()
    app.button(key="overlap.start").click().run()
    assert "nowhere" in app.error[0].value
