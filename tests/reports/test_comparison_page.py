import csv
import re
from io import StringIO
from pathlib import Path

import pytest

from core.experiments.comparison.comparison import compare_runs
from core.figure_text import value_text
from core.reports.comparison_figures import COURSES, draw_courses, draw_differences, draw_roc_of_runs, has_course
from core.reports.comparison_page import write_comparison_page
from core.reports.comparison_table import COLUMNS, write_comparison_table
from core.reports.palette import LIGHT
from core.runs.folder import RunFolder
from core.runs.records import EpochRecord
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def hostile_run(settings: Settings, tmp_path: Path) -> RunFolder:
    """A run whose folder, note and data are called what a browser must not run."""
    run = make_judged_run(settings, "other", seed=1)
    moved = RunFolder(Path(run.path.rename(tmp_path / "<img src=x onerror=alert(1)>")))
    moved.write_status(moved.status().model_copy(update={"note": HOSTILE}))
    (moved.path / "data.json").write_text('{"root": "/data/</script><script>alert(2)</script>"}')
    return moved


def test_the_report_is_one_file_with_one_script_that_fetches_nothing(settings: Settings) -> None:
    runs = [make_judged_run(settings, name, seed=seed) for seed, name in enumerate(("one", "other", "third"))]
    page = write_comparison_page(compare_runs(runs, settings))
    assert page.count("plotly.js v") == 1
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", page)
    assert "default-src &#39;none&#39;" in page
    figure = compare_runs(runs, settings).differences[0].figure
    assert figure is not None
    assert value_text(figure, signed=True) in page
    assert "3 runs are compared, 2 differences" in page
    assert "n = 20" in page
    # Six figures and more, each with a place of its own.
    assert len(set(re.findall(r'<div id="([0-9a-f-]+)" class="plotly-graph-div"', page))) == 7


def test_nothing_that_comes_from_a_run_is_markup(settings: Settings, hostile_run: RunFolder) -> None:
    page = write_comparison_page(compare_runs([make_judged_run(settings, "one"), hostile_run], settings))
    own = page.split("</head>")[1]
    assert "<img" not in own
    assert "alert(1)</script>" not in own
    assert "</script><script>alert" not in own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in own
    assert "&lt;img src=x onerror=alert(1)&gt;" in own
    # Within plotly's data the name is escaped for plotly, and its signs for the script around it.
    assert "\\u003cimg" not in own


def test_a_run_without_figures_is_in_the_report_with_the_reason(settings: Settings) -> None:
    one, young = make_judged_run(settings, "one"), make_judged_run(settings, "young")
    young.checkpoint.unlink()
    page = write_comparison_page(compare_runs([one, young], settings))
    assert "no epoch of it has finished yet" in page
    assert "None of the runs can be paired with the reference." in page


def test_the_table_has_every_figure_difference_setting_and_epoch(settings: Settings, hostile_run: RunFolder) -> None:
    comparison = compare_runs([make_judged_run(settings, "one", batch_size=9), hostile_run], settings)
    rows = list(csv.DictReader(StringIO(write_comparison_table(comparison))))
    assert tuple(rows[0]) == COLUMNS
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in {row["kind"] for row in rows}}
    areas = [row for row in kinds["figure"] if row["name"] == "auroc" and row["level"] == "patient"]
    assert [row["n"] for row in areas] == ["20", "20"]
    assert all(0 <= float(row["value"]) <= 1 for row in areas)
    assert {(row["low"], row["high"]) for row in areas} == {("", "")}, "these patients chose the epoch"
    (difference,) = kinds["difference"]
    assert float(difference["value"]) == pytest.approx(float(areas[1]["value"]) - float(areas[0]["value"]))
    assert [row["value"] for row in kinds["setting"] if row["name"] == "batch_size"] == ["9", "32"]
    losses = [row for row in kinds["epoch"] if row["name"] == "train_loss" and row["run"] == "one"]
    assert [(row["epoch"], float(row["value"])) for row in losses] == [("1", 0.7), ("2", 0.35)]


def test_a_cell_of_text_is_no_formula(settings: Settings, tmp_path: Path) -> None:
    run = make_judged_run(settings, "other")
    named = RunFolder(Path(run.path.rename(tmp_path / "=cmd()")))
    table = write_comparison_table(compare_runs([make_judged_run(settings, "one"), named], settings))
    assert "'=cmd()" in table
    assert not re.search(r"(^|,)=cmd", table, re.MULTILINE)


def test_every_course_can_be_drawn_and_is_a_field_of_an_epoch(settings: Settings) -> None:
    comparison = compare_runs([make_judged_run(settings, name) for name in ("one", "other")], settings)
    assert set(COURSES) <= set(EpochRecord.model_fields)
    for name in COURSES:
        figure = draw_courses(comparison, name, LIGHT)
        lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
        assert [len(trace.x) for trace in lines] == [2, 2]
        assert figure.layout.yaxis.title.text == COURSES[name]
    assert has_course(comparison, "val_loss")
    assert not has_course(comparison, "gradient_norm")


def test_figures_name_the_leaky_run_and_carry_n_and_interval(settings: Settings) -> None:
    runs = [make_judged_run(settings, "one"), make_judged_run(settings, "sly", unit="slice", seed=1)]
    comparison = compare_runs(runs, settings)
    roc = draw_roc_of_runs(comparison, LIGHT)
    names = [trace.name for trace in roc.data if trace.name]
    assert names[0].startswith("one: 0.")
    assert names[1].startswith("sly (leaky): ")
    assert all(name.endswith("n = 20") for name in names)
    differences = draw_differences(comparison, LIGHT)
    assert differences is not None
    assert differences.layout.yaxis.ticktext == ("sly (leaky), n = 20",)
