import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import RunBusyError
from core.runs.lock import hold_lock, is_locked

HOLD = """
import sys
from pathlib import Path
from core.runs.lock import hold_lock
with hold_lock(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_free_held_and_free_again(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not is_locked(path)
    assert not path.exists()
    with hold_lock(path, "busy"):
        assert is_locked(path)
        with pytest.raises(RunBusyError, match="another one has it"), hold_lock(path, "another one has it", 0.05):
            pass
    assert not is_locked(path)


def test_a_killed_holder_lets_go_at_once_although_it_is_still_a_zombie(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(path)
        holder.kill()
        holder.stdout.read()  # Ends when the process does; nobody has waited for it yet.
        assert not is_locked(path)


def test_many_may_ask_at_once_and_none_is_misled(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.touch()
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(is_locked, [path] * 2000))


def test_asking_does_not_keep_the_lock_from_being_taken(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.touch()
    with ThreadPoolExecutor(4) as pool:
        questions = pool.map(is_locked, [path] * 4000)
        for _ in range(50):
            with hold_lock(path, "busy"):
                pass
        list(questions)
