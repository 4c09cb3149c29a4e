"""The Referee page: a table in, a report out."""

from __future__ import annotations

from tests.experiments.referee.tables import draw_table
from tests.pages.reading import App, words


def test_a_table_is_judged_and_a_leak_is_told(open_app: App) -> None:
    app = open_app("referee.py")
    table = draw_table(120, parts=True).assign(sex=["M", "F"] * 60)
    table.loc[110:, "id"] = table["id"].to_numpy()[:10]
    app.file_uploader(key="referee.file").set_value([("a.csv", table.to_csv(index=False).encode(), "text/csv")]).run(
        timeout=120
    )
    assert not app.exception
    assert "10 ids stand in more than one part" in app.error[0].value
    assert "Cannot be seen here" in words(app)
    assert [metric.label for metric in app.metric] == ["AUROC by patient"]
    assert any("age" in table.value.to_string() or "sex" in table.value.to_string() for table in app.dataframe)


def test_what_is_no_table_of_predictions_is_one_error(open_app: App) -> None:
    app = open_app("referee.py")
    app.file_uploader(key="referee.file").set_value([("a.csv", b"a,b\n1,2\n", "text/csv")]).run(timeout=120)
    assert not app.exception
    assert len(app.error) == 1
    assert "expected id, label and probability" in app.error[0].value.replace("\\", "")
