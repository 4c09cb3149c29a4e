import pytest

from core.config import RunConfig
from core.runs.filtering import RunFilter, filter_runs
from core.runs.folder import RunFolder, list_runs
from core.runs.records import DataSource
from core.runs.tags import change_tags
from core.settings import Settings


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RunFilter(), ["c", "b", "a"]),
        (RunFilter(states=frozenset({"finished"})), ["b"]),
        (RunFilter(states=frozenset({"finished", "queued"})), ["c", "b", "a"]),
        (RunFilter(presets=frozenset({"paper"})), ["c", "a"]),
        (RunFilter(tags=frozenset({"KEEP"})), ["b", "a"]),
        (RunFilter(tags=frozenset({"keep", "seed"})), ["b"]),
        (RunFilter(text="first TRY"), ["a"]),
        (RunFilter(text="try keep"), ["b", "a"]),
        (RunFilter(text="resnet34"), ["c"]),
        (RunFilter(text="try", presets=frozenset({"paper"}), states=frozenset({"queued"})), ["a"]),
        (RunFilter(text="nothing like it"), []),
    ],
)
def test_what_is_asked_for_is_found_in_its_order(settings: Settings, wanted: RunFilter, found: list[str]) -> None:
    source = DataSource(root="/data")
    first = RunFolder.create(settings, RunConfig(preset="paper"), source, name="a", note="my first try")
    second = RunFolder.create(settings, RunConfig(preset="honest"), source, name="b", note="a try", state="finished")
    RunFolder.create(settings, RunConfig(preset="paper", architecture="resnet34"), source, name="c")
    change_tags(first, add=["Keep"])
    change_tags(second, add=["keep", "seed"])
    assert [entry.run.name for entry in filter_runs(list_runs(settings), wanted)] == found
