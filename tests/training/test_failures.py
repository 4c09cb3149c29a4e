"""What a night can bring, really brought about: a full disk, a limit on files, no memory, data that go away."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import RunConfig
from core.errors import DataError
from core.jobs.process import process_environment
from core.models.checkpoint import load_model
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.settings import PROJECT_ROOT, Settings
from core.training.trainer import train
from tests.training.tiny import finished_epochs, tiny_config

EPOCHS = 3
TRAIN = """
import os, resource, shutil, sys
from core.models.registry import ARCHITECTURES
from core.settings import load_settings
from core.runs.folder import RunFolder
from core.training.trainer import train
from tests.training.tiny import TINY_NETWORK

ARCHITECTURES[TINY_NETWORK.name] = TINY_NETWORK
run = RunFolder(__import__("pathlib").Path(sys.argv[1]))

def after_an_epoch(record):
    if record.epoch == 1:
        {what}

train(run, load_settings(), on_epoch=after_an_epoch)
"""
"""A trainer of the tiny network to which something happens after its first epoch."""


def train_and_let(what: str, run: RunFolder, settings: Settings, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", textwrap.dedent(TRAIN.format(what=what)), str(run.path)],
        cwd=PROJECT_ROOT, env=process_environment(settings, 1), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def config() -> RunConfig:
    return tiny_config(f"epochs={EPOCHS}", "select_on=val_loss")


@pytest.fixture
def run(settings: Settings, config: RunConfig, source: DataSource) -> RunFolder:
    return RunFolder.create(settings, config, source)


def assert_it_goes_on(run: RunFolder, settings: Settings, config: RunConfig, source: DataSource) -> None:
    """The best checkpoint is whole, and when the trouble is over the run ends as one that never had any."""
    assert load_model(run.checkpoint)[1].epoch == 1
    assert len(run.epochs()) == 1
    assert train(run, settings).state == "finished"
    whole = RunFolder.create(settings, config, source, name="whole")
    train(whole, settings)
    assert finished_epochs(run.path) == finished_epochs(whole.path)


def test_a_file_that_may_not_grow(run: RunFolder, settings: Settings, config: RunConfig, source: DataSource) -> None:
    """RLIMIT_FSIZE, as ``ulimit -f`` and some batch systems set it; the status still fits."""
    train_and_let("resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))", run, settings)
    status = run.status()
    assert status.state == "failed"
    assert "a limit on the size of a file is reached" in status.message
    assert_it_goes_on(run, settings, config, source)


FILL = (
    "stream = open(run.path / 'filler', 'wb', buffering=0)\n"
    "        try:\n"
    "            while True: stream.write(bytes(4096))\n"
    "        except OSError: pass"
)


@pytest.mark.skipif(not hasattr(os, "unshare") and shutil.which("unshare") is None, reason="needs Linux namespaces")
def test_a_disk_that_is_full_to_the_last_byte_still_takes_the_last_word(
    run: RunFolder, settings: Settings, config: RunConfig, source: DataSource, tmp_path: Path
) -> None:
    """A file system of 4 MB of its own, filled by somebody else after the first epoch."""
    inside = tmp_path / "small"
    inside.mkdir()
    script = tmp_path / "inside.sh"
    script.write_text(
        'mount -t tmpfs -o size=4m none "$1" || exit 77\n'
        'cp -a "$2" "$1/run"\nshift_to="$1"\nback="$2"\nshift 2\n'
        '"$@" "$shift_to/run"\nrm -f "$shift_to/run/filler"\ncp -a "$shift_to/run/." "$back/"\n'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", str(script), str(inside), str(run.path), sys.executable, "-c", TRAIN.format(what=FILL)],
        cwd=PROJECT_ROOT, env=process_environment(settings, 1), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no file system of its own may be mounted here: {done.stderr[-200:]}")
    status = run.status()
    assert status.state == "failed", done.stderr[-2000:]
    assert "no space is left on the disk; free some" in status.message
    assert not (run.path / ".reserve").exists()
    assert_it_goes_on(run, settings, config, source)


def test_memory_that_gives_out(settings: Settings, source: DataSource) -> None:
    """RLIMIT_AS at what the process has: the next large allocation fails, in Python or in torch."""
    config = tiny_config("epochs=2", "select_on=val_loss", "architecture=resnet18", "sequences=FLAIR")
    run = RunFolder.create(settings, config, source)
    what = (
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (used, used))"
    )
    done = train_and_let(what, run, settings)
    assert done.returncode != 0
    status = run.status()
    if "memory allocation of" in done.stderr:  # in safetensors, which is Rust and ends the process
        assert status.state == "interrupted"
    else:
        assert status.state == "failed", done.stderr[-2000:]
        assert "Memory does not suffice" in status.message
    assert_it_goes_on(run, settings, config, source)


def test_raw_data_that_go_away_do_not_matter_to_a_run_that_has_prepared_them(
    settings: Settings, config: RunConfig, source: DataSource, tmp_path: Path
) -> None:
    root, away = tmp_path / "cohort", tmp_path / "away"
    shutil.copytree(source.root, root)
    mine = DataSource(root=str(root))
    run = RunFolder.create(settings, config, mine)

    def unplug(record: object) -> None:
        if root.exists():
            root.rename(away)
            run.ask_to_stop()

    assert train(run, settings, on_epoch=unplug).state == "stopped"
    with pytest.raises(DataError, match="cohort"):
        train(run, settings)
    assert run.status().state == "failed"
    assert str(root) in run.status().message
    away.rename(root)
    assert_it_goes_on(run, settings, config, mine)


def test_data_that_go_away_while_they_are_prepared_do_not_make_a_smaller_cohort(
    settings: Settings, config: RunConfig, source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, away = tmp_path / "cohort", tmp_path / "away"
    shutil.copytree(source.root, root)
    run = RunFolder.create(settings, config, DataSource(root=str(root)))
    from core.dataset import table

    prepare: Callable[..., object] = table.fill_cache
    left = iter(range(5))

    def unplug(*arguments: object) -> object:
        if next(left, None) is None and root.exists():
            root.rename(away)
        return prepare(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(table, "fill_cache", unplug)
        patch.setattr(table, "INLINE", 1000)
        with pytest.raises(DataError, match=r"went away while they were prepared.*resume the run"):
            train(run, settings)
    assert run.status().state == "failed"
    assert not (run.path / "split.json").exists()
    away.rename(root)
    assert train(run, settings).state == "finished"
    assert not run.environment()["sizes"]["train"]["slices"] < 32
