import errno
from pathlib import Path

import pytest

from core.errors import StorageError
from core.files import append_line, replace_atomically, write_atomic


def test_a_whole_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "status.json"
    write_atomic(path, "one")
    write_atomic(path, b"two", durable=False)
    assert path.read_text() == "two"
    assert [child.name for child in path.parent.iterdir()] == ["status.json"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    write_atomic(path, "old")

    def write_half() -> None:
        with replace_atomically(path) as beside:
            beside.write_text("hal")
            raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["best.safetensors"]


def test_lines_are_appended(tmp_path: Path) -> None:
    append_line(tmp_path / "runs" / "epochs.jsonl", "1")
    append_line(tmp_path / "runs" / "epochs.jsonl", "2\n")
    assert (tmp_path / "runs" / "epochs.jsonl").read_text() == "1\n2\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_full_disk_is_told_in_one_line() -> None:
    with pytest.raises(StorageError, match="/dev/full cannot be written: no space is left on the disk"):
        append_line(Path("/dev/full"), "x")


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resume.pt"
    write_atomic(path, "old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"resume\.pt cannot be written"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "folder", "text")
