"""A damaged run is shown as damaged, with the reason, and never ends a page."""

from __future__ import annotations

import pytest

from core.runs.folder import RunFolder, list_runs
from core.settings import Settings
from tests.pages.reading import App

DEEP = b"[" * 100_000
DAMAGES = (
    ("environment.json", DEEP),
    ("config.json", b'{"epochs": ' + b"1" * 5000 + b"}"),
    ("predictions.parquet", b"PAR1 cut"),
    ("epochs.jsonl", DEEP),
)


@pytest.mark.parametrize(("name", "content"), DAMAGES)
def test_the_runs_page_bears_it(
    open_app: App, home: Settings, finished_run: RunFolder, name: str, content: bytes
) -> None:
    (finished_run.path / name).write_bytes(content)
    app = open_app("runs.py", query={"run": "done"})
    assert not app.exception
    if name != "epochs.jsonl":  # which is cut off there
        assert name.split(".")[0] in " ".join(error.value for error in app.error).replace("\\", "")
    (entry,) = list_runs(home)
    if name in ("environment.json", "data.json", "config.json"):
        assert entry.status.state == "failed"
        assert name in entry.status.message
