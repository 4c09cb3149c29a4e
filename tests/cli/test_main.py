"""The frame around the commands: exit statuses, one document on standard output, quick start, quiet end."""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cli.data import index
from core.cli.main import build_parser
from core.cli.output import Outcome
from core.cli.parser import Parser, load
from core.settings import PROJECT_ROOT
from tests.cli.commands import Command


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_as_a_process(home: Path, cohort: Path) -> None:
    result = python("-m", "core", "index", str(cohort), "--jobs", "1", "--json")
    assert result.returncode == 0
    assert result.stdout.startswith("{")
    assert result.stderr == ""
    wrong = python("-m", "core", "index", str(cohort / "nowhere"))
    assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (2, "", 1)


def test_every_command_has_help_which_loads_nothing_heavy() -> None:
    """In one process: the help of all commands, their forms and actions; what that imported stands in the last line."""
    code = """
import argparse, sys
from core.cli.main import build_parser

def show(parser):
    parser.complete()
    print(parser.format_help())
    for option in parser._actions:
        if isinstance(option, argparse._SubParsersAction):
            for command in option.choices.values():
                show(command)

show(build_parser())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    result = python("-c", code)
    assert result.returncode == 0, result.stderr
    *lines, loaded = result.stdout.splitlines()
    assert sum(line.startswith("usage: python -m core") for line in lines) > 40
    heavy = {"torch", "scipy", "pandas", "numpy", "sklearn", "pydicom", "PIL", "cv2", "matplotlib", "streamlit"}
    assert not heavy & set(loaded.split())


def commands_of(parser: Parser) -> Iterator[str]:
    parser.complete()
    if parser.get_default("command"):
        yield parser.get_default("command")
    for option in parser._actions:
        if isinstance(option, argparse._SubParsersAction):
            for command in option.choices.values():
                yield from commands_of(command)


def test_every_command_leads_to_a_function() -> None:
    found = set(commands_of(build_parser()))
    assert len(found) > 35
    assert all(callable(load(reference)) for reference in found)


def test_help_of_train_lists_the_settings(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("train", "--help")
    assert "slice_count (paper: 16, honest: 8, " in capsys.readouterr().out


def test_what_a_library_prints_does_not_spoil_the_document(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(arguments: object, settings: object) -> Outcome:
        print("loading ...")
        warnings.warn("a library is surprised", UserWarning, stacklevel=1)
        return Outcome(document={"answer": 1}, lines=["one"])

    monkeypatch.setattr(index, "index", chatty)
    result = command("index", "DATA", "--json")
    assert result.json == {"answer": 1}
    assert result.stderr == "loading ...\n"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (
            PermissionError(13, "Permission denied", "/locked"),
            2,
            "error: /locked: permission is denied; name another place, or ask for the permission.\n",
        ),
        (OSError(99, "Cannot assign", "/odd"), 2, "error: [Errno 99] Cannot assign: '/odd'\n"),
    ],
)
def test_how_commands_end(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fail(arguments: object, settings: object) -> Outcome:
        raise error

    monkeypatch.setattr(index, "index", fail)
    result = command("index", "DATA")
    assert (result.status, result.stdout, result.stderr) == (status, "", said)


def test_a_bug_of_ours_is_loud(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object, settings: object) -> Outcome:
        raise ZeroDivisionError

    monkeypatch.setattr(index, "index", fail)
    with pytest.raises(ZeroDivisionError):
        command("index", "DATA")


def test_a_closed_pipe_is_quiet(home: Path, cohort: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "core", "index", str(cohort), "--jobs", "1", "--json"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
