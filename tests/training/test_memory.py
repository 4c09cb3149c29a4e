import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.training import memory

TELL = """
from core.training.memory import peak_memory
before = peak_memory()
block = bytearray(64 * 2**20)
del block
print(before, peak_memory())
"""


def test_the_peak_is_kept_when_memory_is_given_back() -> None:
    ballast = bytearray(300 * 2**20)  # a fresh process must not count what belongs to the one that started it
    told = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True).stdout.split()
    before, after = map(int, told)
    assert before < len(ballast)
    assert after - before >= 60 * 2**20


def test_elsewhere_the_system_is_asked_in_its_own_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = memory.peak_memory()
    monkeypatch.setattr(memory, "LINUX_STATUS", tmp_path / "none")
    asked = memory.peak_memory()
    assert known is not None
    assert asked is not None
    assert 0.5 < asked / known < 2


def test_a_lack_of_memory_is_told_from_other_errors() -> None:
    assert memory.is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert memory.is_out_of_memory(caught.value)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert not memory.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_where_the_system_does_not_count_its_kills_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "LINUX_EVENTS", tmp_path / "none")
    assert memory.oom_kills() is None
