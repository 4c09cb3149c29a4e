"""A zip from a stranger is refused with a word and leaves nothing behind."""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load, save

from core.errors import ArchiveError, DataError, HostedModeError, LimitError, MGMTLabError, RunError
from core.models.card import CheckpointCard, read_card
from core.phantom.config import PhantomConfig
from core.runs.bundle import export_run
from core.runs.cohort import open_cohort
from core.runs.evaluation import evaluate_validation, store_evaluation, with_figures
from core.runs.records import UNNAMED, DataSource
from core.runs.unbundle import import_run, name_data
from core.settings import Settings
from tests.experiments.judged_runs import make_judged_run
from tests.phantoms import copy_phantom
from tests.training.tiny import build_tiny

Contents = dict[str, bytes]


@pytest.fixture
def contents(settings: Settings, tmp_path: Path) -> Contents:
    """What the zip of a whole run holds."""
    torch.manual_seed(0)
    there = replace(settings, home=tmp_path / "there")
    run = make_judged_run(there, "one", state=build_tiny(2).state_dict(), architecture="tiny")
    store_evaluation(
        run, with_figures(replace(evaluate_validation(run), part="test", looked_at=1), read_card(run.checkpoint)), ""
    )
    export_run(run, tmp_path / "whole.zip", there)
    with zipfile.ZipFile(tmp_path / "whole.zip") as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Zip contents, with a manifest that agrees with them unless one is given."""

    def write(contents: Contents, *, honest: bool = True) -> Path:
        if honest:
            manifest = json.loads(contents["manifest.json"])
            manifest["files"] = {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                for name, content in contents.items()
                if name != "manifest.json"
            }
            contents = contents | {"manifest.json": json.dumps(manifest).encode()}
        path = tmp_path / "handed-in.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path

    return write


def refuse(archive: Path, settings: Settings, kind: type[MGMTLabError], *said: str) -> None:
    """Check that it is refused in these words and that nothing is left, and nothing written elsewhere."""
    around = {path for path in archive.parent.rglob("*") if not path.is_relative_to(settings.home)}
    with pytest.raises(kind) as caught:
        import_run(archive, settings)
    for text in said:
        assert text in str(caught.value), str(caught.value)
    assert not settings.runs.exists() or list(settings.runs.iterdir()) == []
    assert {path for path in archive.parent.rglob("*") if not path.is_relative_to(settings.home)} == around


def changed(contents: Contents, document: str, /, **changes: object) -> Contents:
    """One document with other values."""
    return contents | {document: json.dumps(json.loads(contents[document]) | changes).encode()}


def table(contents: Contents, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Contents:
    """Another table of predictions."""
    buffer = io.BytesIO()
    change(pd.read_parquet(io.BytesIO(contents["predictions.parquet"]))).to_parquet(buffer)
    return contents | {"predictions.parquet": buffer.getvalue()}


def card(contents: Contents, **changes: object) -> Contents:
    """The same weights under another card."""
    length = int.from_bytes(contents["best.safetensors"][:8], "little")
    header = json.loads(contents["best.safetensors"][8 : 8 + length])
    text = json.dumps(json.loads(header["__metadata__"]["card"]) | changes)
    return contents | {"best.safetensors": save(load(contents["best.safetensors"]), metadata={"card": text})}


def test_marks_of_patients_that_are_none_are_refused(
    contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    spoilt = contents | {"persons.json": b'{"schema": 1, "persons": 3}'}
    refuse(pack(spoilt), settings, RunError, "persons.json")


def test_the_untouched_zip_is_taken_in(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    assert import_run(pack(contents), settings).name == "one"


@pytest.mark.parametrize(
    "name", ["../../escaped.json", "/etc/escaped", "..\\escaped", "config.json/x", "resume.pt", "x/"]
)
def test_a_name_that_no_run_has_is_refused(
    name: str, contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    refuse(pack(contents | {name: b"{}"}), settings, ArchiveError, name[:3], "no part of an exported run")


def test_links_are_refused(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    path = pack(contents)
    link = zipfile.ZipInfo("tags.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refuse(path, settings, ArchiveError, "links are refused")


def test_a_name_that_stands_twice_is_refused(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    path = pack(contents)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", contents["config.json"])
    refuse(path, settings, ArchiveError, "'config.json' twice")


def test_a_bomb_is_counted_while_it_inflates(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    small = replace(settings, upload_bytes=4 * 2**20)
    refuse(pack(contents | {"epochs.jsonl": b" " * 5 * 2**20}), small, LimitError, "unpacked")


def test_too_many_files_are_refused(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    many = {f"evaluation-data-{number:012x}.json": b"{}" for number in range(64)}
    refuse(pack(contents | many), settings, LimitError, "more than 64 files")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 10, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(content: bytes, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    path.write_bytes(content)
    refuse(path, settings, DataError, "run.zip")


def test_a_zip_that_is_not_there_and_a_tar_are_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no file"):
        import_run(tmp_path / "none.zip", settings)
    (tmp_path / "run.tar").write_bytes(b"\0" * 257 + b"ustar" + b"\0" * 300)
    refuse(tmp_path / "run.tar", settings, ArchiveError, "no zip")


def test_every_cut_of_the_zip_is_refused(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    path = pack(contents)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        refuse(path, settings, MGMTLabError)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        member = archive.getinfo("best.safetensors")
    flipped = bytearray(whole)
    flipped[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF
    path.write_bytes(bytes(flipped))
    refuse(path, settings, MGMTLabError)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 7}, "schema 7, this version reads schema 1"),
        ({"kind": "something"}, "not the manifest of a run"),
        ({"name": "../up"}, "cannot name a run"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_is_none_is_refused(
    changes: dict[str, object], said: str, contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    refuse(pack(changed(contents, "manifest.json", **changes)), settings, RunError, "manifest.json", said)


@pytest.mark.parametrize("content", [b"[1]", b"{", b"[" * 200_000, b"\xff\xfe", b"null"])
def test_a_manifest_that_does_not_read_is_refused(
    content: bytes, contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    refuse(pack(contents | {"manifest.json": content}, honest=False), settings, RunError, "manifest.json")


def test_the_manifest_must_agree_with_the_files(
    contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    without = {name: content for name, content in contents.items() if name != "manifest.json"}
    refuse(pack(without, honest=False), settings, RunError, "manifest.json is missing")
    other = contents | {"epochs.jsonl": contents["epochs.jsonl"] + b" "}
    refuse(pack(other, honest=False), settings, RunError, "epochs.jsonl is not what manifest.json says")
    missing = {name: content for name, content in contents.items() if name != "split.json"}
    refuse(pack(missing, honest=False), settings, RunError, "do not agree", "split.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"), ("config.json", b'{"epochs": "many"}'), ("status.json", b'{"state": "dancing"}'),
        ("status.json", b'{"state": "finished", "created": "yesterday"}'), ("data.json", b"[]"),
        ("split.json", b'{"unit": "nobody"}'), ("environment.json", b'{"sizes": {"val": 3}}'),
        ("environment.json", b'{"participants": {"found": 3}}'), ("environment.json", b'{"threads": 1000000000}'), ("epochs.jsonl", b'{"epoch": 1}\n'), ("tags.json", b'["a,b"]'),
        ("looks.json", b'[{"run": 1}]'), ("predictions.parquet", b"PAR1"), ("evaluation-test.json", b"{}"),
        ("evaluation-test.parquet", b"\x80\x04K\x01."), ("best.safetensors", b"\x80\x04K\x01."),
    ],
)  # fmt: skip
def test_a_document_that_does_not_validate_is_named(
    name: str, content: bytes, contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    stem = name.rsplit(".", 1)[0]
    refuse(pack(contents | {name: content}), settings, RunError, "handed-in.zip cannot be imported", stem)


@pytest.mark.parametrize(
    "name", ["config.json", "data.json", "status.json", "best.safetensors", "evaluation-test.parquet"]
)
def test_a_file_that_must_be_there_is_missed(
    name: str, contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    refuse(
        pack({key: value for key, value in contents.items() if key != name}), settings, RunError, "cannot be imported"
    )


def test_a_checkpoint_that_is_not_this_runs_is_refused(
    contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    for changes, said in (
        ({"config": json.loads(contents["config.json"]) | {"seed": 5}}, "another configuration"),
        ({"split_digest": "0" * 12}, "another split"),
        ({"positive_class": 2}, "class 2 is not one of 2"),
        ({"temperature": 0.0}, "temperature"),
        ({"class_names": ["a", "b", "c"]}, "weights in the file are not those"),
        ({"metrics": {"val": {"patient": {"auroc": {"value": "<b>"}}}}}, "cannot be used"),
        ({"metrics": {"test": {}}}, "not those of validation"),
        ({"conformal": {"level": "high"}}, "cannot be used"),
        ({"schema_version": 9}, "schema 9"),
    ):
        refuse(pack(card(contents, **changes)), settings, RunError, "best.safetensors", said)  # type: ignore[arg-type]
    assert "metrics" in CheckpointCard.model_fields


def test_a_table_of_predictions_that_is_none_is_refused(
    contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    changes: tuple[tuple[Callable[[pd.DataFrame], pd.DataFrame], str], ...] = (
        (lambda frame: frame.drop(columns="logit_1"), "columns"),
        (lambda frame: frame.assign(more=1), "columns"),
        (lambda frame: frame.assign(logit_0=float("nan")), "without a value"),
        (lambda frame: frame.assign(logit_0=float("inf")), "not finite"),
        (lambda frame: frame.assign(logit_0="high"), "not a number"),
        (lambda frame: frame.assign(label=5), "a label is not one of 2 classes"),
        (lambda frame: frame.assign(person=1), "not text"),
        (lambda frame: frame.assign(slice_index="first"), "not a whole number"),
        (lambda frame: frame.assign(person="x" * 600), "more than 512 characters"),
        (lambda frame: frame.iloc[:0], "no rows"),
    )
    for change, said in changes:
        refuse(pack(table(contents, change)), settings, RunError, "predictions.parquet", said)


def test_a_table_that_inflates_is_refused_before_it_is_read(
    contents: Contents, pack: Callable[..., Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.dataset.predictions.MOST_ROWS", 39)
    refuse(pack(contents), settings, RunError, "predictions.parquet", "more than 39 rows")


def test_a_figure_written_by_hand_does_not_come_in(
    contents: Contents, pack: Callable[..., Path], settings: Settings
) -> None:
    document = json.loads(contents["evaluation-test.json"])
    honest = document["patient"]["auroc"]["value"]
    document["patient"]["auroc"] |= {"value": 0.999, "low": 0.99, "high": 1.0}
    document["class_names"] = ["<b>", "x"]
    forged = contents | {"evaluation-test.json": json.dumps(document).encode()}
    from core.runs.evaluation import read_evaluation

    evaluation = read_evaluation(import_run(pack(forged), settings), "test")
    assert evaluation is not None
    assert evaluation.patient["auroc"].value == pytest.approx(honest)
    assert evaluation.class_names == ("unmethylated", "methylated")


def test_strangers_import_nothing(contents: Contents, pack: Callable[..., Path], settings: Settings) -> None:
    refuse(pack(contents), replace(settings, mode="hosted"), HostedModeError, "takes in no runs")


def test_the_data_is_named_anew_and_must_be_the_same_cohort(
    contents: Contents, pack: Callable[..., Path], settings: Settings, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    copy_phantom(cohort, PhantomConfig(studies=4, slices=4, size=32))
    run = import_run(pack(contents), settings)
    with pytest.raises(RunError, match="is not the cohort that one was split on"):
        name_data(run, str(cohort), settings)
    assert run.source.root == UNNAMED
    digest = open_cohort(DataSource(root=str(cohort))).digest
    split = json.loads((run.path / "split.json").read_text()) | {"cohort_digest": digest}
    (run.path / "split.json").write_text(json.dumps(split))
    assert name_data(run, str(cohort), settings).root == str(cohort)
    assert run.source.root == str(cohort)
