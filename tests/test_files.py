import errno
import re
from pathlib import Path

import pytest

from core.errors import DocumentError, StorageError
from core.files import (
    DOCUMENT_BYTES,
    append_line,
    check_writable,
    describe_os_error,
    read_document,
    remove_file,
    replace_atomically,
    write_atomic,
)
from core.settings import PROJECT_ROOT


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


def test_whether_a_file_can_be_written_is_found_out_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "a.csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.csv").write_text("old")
    check_writable(tmp_path / "a.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    for place in (tmp_path, tmp_path / "a.csv" / "b", tmp_path / ("n" * 300)):
        with pytest.raises(OSError, match="Errno") as caught:
            check_writable(place)
        assert str(place) in describe_os_error(caught.value) or "a.csv: where a folder" in describe_os_error(
            caught.value
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


DAMAGES = {
    "deep": b"[" * 100_000,
    "long number": b'{"a": ' + b"1" * 5000 + b"}",
    "half a character": b'"\\ud800"',
    "cut": b'{"a": [1, 2',
    "empty": b"",
    "no text": b"\xff\xfe\xfd",
}
"""What was once another error in one reader or another."""


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_document_is_one_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.json").write_bytes(DAMAGES[kind])
    with pytest.raises(DocumentError, match=r"a\.json is damaged"):
        read_document(tmp_path / "a.json")


def test_a_whole_document_is_read_with_or_without_a_mark(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.json").write_text('{"a": "ä"}', encoding=encoding)
        assert read_document(tmp_path / "a.json") == {"a": "ä"}
    with (tmp_path / "a.json").open("wb") as stream:
        stream.truncate(DOCUMENT_BYTES + 1)
    with pytest.raises(DocumentError, match="more than 32 MB"):
        read_document(tmp_path / "a.json")


def test_foreign_documents_have_one_reader() -> None:
    """What stands beside the code is trusted, and what a process of ours answers."""
    own = {"core/files.py", "core/presets/preset.py", "core/models/costs.py", "core/data/index/folder_stamp.py"}
    own |= {"core/training/session.py"}
    found = {
        str(path.relative_to(PROJECT_ROOT))
        for folder in ("core", "ui", "pages")
        for path in (PROJECT_ROOT / folder).rglob("*.py")
        if re.search(r"json\.loads?\(|read_parquet\(", path.read_text())
    }
    assert found - {"core/dataset/predictions.py"} <= own


def test_a_file_that_a_failing_disk_keeps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_file(tmp_path / "none")
    fault = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(fault))
    with pytest.raises(StorageError, match=r"one\.txt cannot be written: the disk reports"):
        remove_file(tmp_path / "one.txt")
