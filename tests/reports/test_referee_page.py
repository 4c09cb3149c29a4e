from pathlib import Path

from core.experiments.referee.judge import Questions, judge
from core.reports.referee_page import list_figures, write_referee_page
from tests.experiments.referee.tables import draw_table, read


def test_the_page_says_everything_and_runs_nothing(tmp_path: Path) -> None:
    table = draw_table(200, parts=True).assign(sex=["<b>M</b>", "F"] * 100)
    result = judge(read(table, tmp_path), Questions(label_error=(0.9, 0.9)))
    page = write_referee_page(result)
    assert "<script" not in page
    assert "<b>M</b>" not in page
    assert page.count("<svg") == 3  # the forest, reliability and the decision curve
    for words in ("Cannot be seen here", "By subgroup", "By part", "errors at random", *dict(list_figures(result))):
        assert words.replace("'", "&#39;") in page


def test_a_page_of_scores_has_no_reliability(tmp_path: Path) -> None:
    result = judge(read(draw_table(60).rename(columns={"probability": "score"}), tmp_path))
    assert write_referee_page(result).count("<svg") == 1
