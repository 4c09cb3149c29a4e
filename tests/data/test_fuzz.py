"""Damaged inputs: each is read, or named by one of the project's errors, within bounded memory and time."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from core import errors
from core.settings import PROJECT_ROOT
from tests.data.mutations import SECONDS_EACH, bases, mutate

NAMED = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.MGMTLabError)}

ONCE_FATAL = (42, 53, 104_397, 213_651)
"""Seeds whose inputs once got through as another error: a bare OSError, an index, a number that is none."""


def read_seeds(first: int, count: int, folder: Path) -> Counter[str]:
    """Read the inputs of some seeds in a process of its own, and count what came of them."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.data.mutations", str(first), str(count), str(folder)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60 + count * SECONDS_EACH,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0, f"the input of seed {lines[-1:]} ended the process: {ended.stderr[-2000:]}"
    return Counter(line.rsplit(" ", 1)[1] for line in lines)


def test_two_hundred_damaged_inputs_are_read_or_named(tmp_path: Path) -> None:
    outcomes = read_seeds(0, 200, tmp_path)
    assert outcomes.total() == 200
    assert outcomes.keys() <= NAMED | {"read"}
    assert outcomes["read"] > 20
    assert outcomes["ArchiveError"] > 5


def test_what_once_got_through_is_named(tmp_path: Path) -> None:
    outcomes = sum((read_seeds(seed, 1, tmp_path / str(seed)) for seed in ONCE_FATAL), Counter())
    assert outcomes.total() == len(ONCE_FATAL)
    assert outcomes.keys() <= NAMED


@pytest.mark.slow
@pytest.mark.parametrize("first", range(200, 5200, 1000))
def test_five_thousand_damaged_inputs_are_read_or_named(tmp_path: Path, first: int) -> None:
    outcomes = read_seeds(first, 1000, tmp_path)
    assert outcomes.total() == 1000
    assert outcomes.keys() <= NAMED | {"read"}


def test_a_seed_is_always_the_same_input_and_never_the_whole_one() -> None:
    whole = dict(bases())
    damaged = [mutate(seed) for seed in range(30)]
    assert damaged == [mutate(seed) for seed in range(30)]
    assert sum(content != whole[name] for name, content in damaged) > 25
    assert {Path(name).suffix for name, _ in map(mutate, range(120))} >= {".dcm", ".zip", ".gz", ".tar", ".nii", ".png"}
