"""Damaged documents, tables, cards and scans: whether each is read, or named by one of the project's errors.

Families: scans (as in tests/data/mutations.py: DICOM, NIfTI, pictures, archives), run documents, tables of predictions, label
tables, cards, weights, ONNX graphs, zips of runs (the zip, or one document in it with its hash made right again), tables of splits and
of pairs, and answers of a DICOMweb server (lists, instances, what was stored). Each case is a whole file with one to five places damaged, from a seed that
is printed where it got through. Memory is bounded to 3 GiB of address space more than the libraries take, and a case that takes over 20 s counts as uncaught.

Pass rule, fixed before the first run: 0 cases end in another error than ours. The exit status is 1 where it does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
import shutil
import signal
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import psutil
from google.protobuf.message import DecodeError
from measuring import PROJECT, machine, parse_arguments, print_table
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from core.audit.persons import PersonMatch, read_pairs, write_pairs
from core.audit.split_source import parse_split
from core.data.clinical.labels import read_labels
from core.data.formats.untrusted_files import Budget
from core.errors import MGMTLabError
from core.inference.onnx_engine import read_weights
from core.inference.onnx_graph import GraphInfo, read_graph, seal
from core.models.card import graph_path, read_card
from core.models.checkpoint import load_model
from core.models.registry import ARCHITECTURES
from core.runs.bundle import MANIFEST, write_bundle
from core.runs.evaluation import read_evaluation
from core.runs.folder import RunFolder
from core.runs.tags import read_tags
from core.runs.unbundle import import_run
from core.serve.dicomweb import COUNT, FAILED, MODALITY, REASON, REFERENCED, SERIES, STORED, STUDY, DicomWeb
from core.settings import Settings, load_settings
from tests.data.dicom_files import write_mr
from tests.data.mutations import DAMAGES, MEMORY_BYTES, SECONDS_EACH, mutate, read
from tests.experiments.judged_runs import make_judged_run
from tests.training.tiny import TINY_NETWORK, build_tiny

Case = tuple[str, bytes]


def main() -> int:
    """Run every family, print the table, and return 1 where a case got through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000, help="of each family")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parse_arguments(parser, cases=40)
    most = psutil.Process().memory_info().vms + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, _too_slow)
    warnings.simplefilter("ignore")
    print(machine())
    rows, uncaught = [], 0
    with tempfile.TemporaryDirectory() as name:
        for family, attempt in families(Path(name)).items():
            found = try_family(family, attempt, range(arguments.first, arguments.first + arguments.cases))
            through = sum(count for outcome, count in found.items() if outcome.startswith("uncaught"))
            uncaught += through
            rows.append((family, arguments.cases, found["read"], found["named"], through))
    total = arguments.cases * len(rows)
    title = f"n = {total:,}; uncaught {uncaught}" + ("" if uncaught else f", upper 95% limit {3 / total:.4%}")
    print_table(title, ("family", "n", "read", "named", "uncaught"), rows)
    return 1 if uncaught else 0


def try_family(family: str, attempt: Callable[[int], object], seeds: range) -> Counter[str]:
    """Count what came of the cases of some seeds; each that got through is printed."""
    found: Counter[str] = Counter()
    for seed in seeds:
        signal.alarm(SECONDS_EACH)
        try:
            outcome = attempt(seed)
            found["named" if isinstance(outcome, str) and outcome != "read" else "read"] += 1
        except MGMTLabError:
            found["named"] += 1
        except Exception as error:  # noqa: BLE001 - what is counted here
            found[f"uncaught {type(error).__name__}"] += 1
            print(f"{family}, seed {seed}: {type(error).__name__}: {str(error)[:200]}", flush=True)
        finally:
            signal.alarm(0)
    return found


def families(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return how the case of a seed is made and read, by family."""
    home = load_settings({"MGMT_LAB_HOME": str(folder), "MGMT_LAB_THREADS": "1", "MGMT_LAB_UPLOAD_MB": "50"})
    documents, table, labels = (
        whole_documents(),
        whole_table(folder),
        b"BraTS21ID,MGMT_value\n00001,1\n00002,0\n00003,1\n",
    )
    checkpoint = (PROJECT / "checkpoints" / "demo-synthetic.safetensors").read_bytes()
    head = 8 + int.from_bytes(checkpoint[:8], "little")

    def scan(seed: int) -> str:
        name, content = mutate(seed)
        place = folder / "scan"
        place.mkdir()
        try:
            (place / name).write_bytes(content)
            return read(place / name, place / "unpacked", home)
        finally:
            shutil.rmtree(place)

    def document(seed: int) -> None:
        run = RunFolder(folder / "run")
        run.path.mkdir(exist_ok=True)
        name = list(documents)[seed % len(documents)]
        for other in documents:
            (run.path / other).unlink(missing_ok=True)
        (run.path / name).write_bytes(damage(documents[name], seed))
        run.status(), run.epochs(), read_tags(run)
        {
            "config.json": lambda: run.config,
            "data.json": lambda: run.source,
            "split.json": run.split,
            "environment.json": run.environment,
            "evaluation-test.json": lambda: read_evaluation(run),
        }.get(name, run.log_tail)()

    def predictions(seed: int) -> None:
        run = RunFolder(folder / "run")
        run.path.mkdir(exist_ok=True)
        (run.path / "predictions.parquet").write_bytes(damage(table, seed))
        run.predictions()

    def label_table(seed: int) -> None:
        (folder / "labels.csv").write_bytes(damage(labels, seed))
        read_labels(folder / "labels.csv")

    def card(seed: int) -> None:
        path = folder / "a.safetensors"
        header = damage(checkpoint[8:head], seed)
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with path.open("r+b") as stream:  # a hole for the tensors, which a card does not read
            stream.truncate(8 + len(header) + len(checkpoint) - head)
        read_card(path).describe_calibration()

    return {
        "scans": scan, "run documents": document, "predictions": predictions, "label tables": label_table, "cards": card,
        **tables_of_persons(folder), **networks(folder), "run zips": run_zips(folder, home), "DICOMweb answers": answers(folder, home),
    }  # fmt: skip


def tables_of_persons(folder: Path) -> dict[str, Callable[[int], object]]:
    """Tables of splits and of pairs."""
    split = b"name,part\n00001,train\n00002,val\n00003,test\n"
    pairs = b"person,same_as,same,why\n00001,00007,yes,same pixels\n00002,00009,,\n"
    match = PersonMatch(person="1", same_as="2", certain=False, reasons=("same pixels",))

    def pair_table(seed: int) -> None:
        path = folder / "pairs.csv"
        path.write_bytes(damage(pairs, seed))
        write_pairs(path, [match]) if seed % 2 else read_pairs(path)

    return {"splits": lambda seed: parse_split(damage(split, seed), "split.csv"), "pairs": pair_table}


def networks(folder: Path) -> dict[str, Callable[[int], object]]:
    """A small network's weights, and the shipped graph; beside the graph lies a checkpoint that is whole."""
    ARCHITECTURES["tiny"] = TINY_NETWORK
    small = make_judged_run(load_settings({"MGMT_LAB_HOME": str(folder / "small")}), "one", state=build_tiny(2).state_dict(),
                            architecture="tiny")  # fmt: skip
    whole = small.checkpoint.read_bytes()
    beside = folder / "demo-synthetic.safetensors"
    shutil.copy(PROJECT / "checkpoints" / beside.name, beside)
    card, graph = read_card(beside), (PROJECT / "checkpoints" / "demo-synthetic.onnx").read_bytes()

    def weights(seed: int) -> None:
        path = folder / "weights.safetensors"
        path.write_bytes(damage(whole, seed))
        load_model(path) if seed % 2 else read_weights(path)

    def onnx_graph(seed: int) -> None:
        content = damage(graph, seed)
        if seed % 2:  # its own hash made right again, so that what it says is looked at
            with suppress(DecodeError, ValueError, KeyError, IndexError, MGMTLabError):
                model = onnx.load_model_from_string(content)
                content = seal(model, GraphInfo.model_validate_json(model.metadata_props[0].value))
        graph_path(beside).write_bytes(content)
        read_graph(beside, card)

    return {"weights": weights, "ONNX graphs": onnx_graph}


def run_zips(folder: Path, home: Settings) -> Callable[[int], object]:
    """Zips of a run, damaged as a whole, or in one of their documents."""
    stream = io.BytesIO()
    write_bundle(RunFolder(folder / "small" / "runs" / "one"), stream, home)
    whole = stream.getvalue()
    with zipfile.ZipFile(stream) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    named = sorted(set(members) - {MANIFEST})

    def attempt(seed: int) -> None:
        path = folder / "run.zip"
        path.write_bytes(damage(whole, seed))
        if seed % 3:
            changed = {**members, named[seed % len(named)]: damage(members[named[seed % len(named)]], seed)}
            manifest = json.loads(members[MANIFEST])
            for name in manifest["files"]:
                manifest["files"][name]["sha256"] = hashlib.sha256(changed[name]).hexdigest()
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in {**changed, MANIFEST: json.dumps(manifest).encode()}.items():
                    archive.writestr(name, content)
        shutil.rmtree(home.runs, ignore_errors=True)
        import_run(path, home, name="taken-in")

    return attempt


class _Answering(HTTPAdapter):
    """In the place of a network: gives one answer to every request."""

    content, kind = b"", ""

    def send(self, request: PreparedRequest, *_: object, **__: object) -> Response:
        """Return the answer."""
        headers = {"Content-Type": self.kind}
        return self.build_response(request, HTTPResponse(io.BytesIO(self.content), headers, 200, preload_content=False))


def answers(folder: Path, home: Settings) -> Callable[[int], object]:
    """Answers of a DICOMweb server: two lists, instances, and what is said of those that were pushed."""
    file = write_mr(folder / "pushed.dcm", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4", SOPInstanceUID="1.2.5")
    series = [{STUDY: _value("1.2.3"), SERIES: _value("1.2.4"), MODALITY: _value("MR"), COUNT: _value(1)}]
    stored = {STORED: _value({REFERENCED: _value("1.2.5")}), FAILED: _value({REASON: _value(272)})}
    lists = [json.dumps(one).encode() for one in (series, series, stored)]
    instances = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n--x--\r\n"
    server, answer = DicomWeb("http://pacs.invalid", home, wait=lambda seconds: None), _Answering()
    server._session.mount("http://", answer)

    def attempt(seed: int) -> None:
        what = seed % 4
        answer.content = damage(instances if what == 3 else lists[what], seed)
        answer.kind = (
            'multipart/related; type="application/dicom"; boundary=x' if what == 3 else "application/dicom+json"
        )
        if what == 0:
            server.list_studies({}, most=3)
        elif what == 1:
            server.list_series("1.2.3")
        elif what == 2:
            server.store("1.2.3", [file])
        else:
            server.fetch_series("1.2.3", "1.2.4", 1, folder / "fetched", Budget(home))

    return attempt


def _value(value: object) -> dict[str, list[object]]:
    return {"Value": [value]}


def damage(whole: bytes, seed: int) -> bytes:
    """Return a copy with one to five places damaged, or a value exchanged for one that once got through."""
    rng = np.random.default_rng(seed)
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 6))):
        if rng.random() < 0.3:
            at = int(rng.integers(len(content) + 1))
            content[at:at] = EVIL[rng.integers(len(EVIL))]
        else:
            DAMAGES[rng.integers(len(DAMAGES))](content, rng)
    return bytes(content)


EVIL = (
    b"[" * 2000,
    b"9" * 5000,
    b'"\\ud800"',
    b"{}",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b'"' + b"x" * 200_000 + b'"',
    b"\0",
    b",,",
)


def whole_documents() -> dict[str, bytes]:
    """The documents of a run, small and whole."""
    figure = b'{"value": 0.8, "low": 0.6, "high": 0.9, "n": 24}'
    return {
        "status.json": b'{"state": "finished", "epochs": 2, "epoch": 2, "best_epoch": 1, "created": "2026-01-01T00:00:00"}',
        "config.json": b'{"preset": "honest", "epochs": 2, "prep": {"size_px": 32}, "sequences": ["FLAIR"], "seed": 3}',
        "data.json": b'{"root": "/data/rsna", "labels": null, "assign": [["1.2.3", "FLAIR"]]}',
        "split.json": b'{"train": ["1", "2"], "val": ["3"], "test": ["4"], "unit": "patient", "seed": 0, "cohort_digest": "0", '
        b'"source": "drawn", "kept": []}',
        "environment.json": b'{"threads": 2, "class_names": ["a", "b"], "sizes": {"val": {"slices": 4, "patients": 2, "per_class": [2, 2]}}}',
        "tags.json": b'["one", "two"]',
        "evaluation-test.json": b'{"data": "/d", "looked_at": 1, "threshold": 0.5, "temperature": 1.0, "epoch": 1, "leaky": false, "synthetic": '
        b'true, "created": "", "notes": [], "class_names": ["a", "b"], "positive_class": 1, "majority": {}, "patient": {"auroc": '
        + figure + b'}, "slice": {"auroc": ' + figure + b"}}",
        "epochs.jsonl": b'{"epoch": 1, "learning_rate": 0.1, "train_loss": 0.7}\n',
    }  # fmt: skip


def whole_table(folder: Path) -> bytes:
    """A table of predictions of twelve slices."""
    people = [f"{number:05}" for number in range(12)]
    frame = pd.DataFrame({"key": people, "study_id": people, "person": people, "sequence": "FLAIR"})
    frame = frame.assign(slice_index=3, label=[0, 1] * 6, logit_0=0.5, logit_1=-0.5)
    frame.to_parquet(folder / "whole.parquet")
    return (folder / "whole.parquet").read_bytes()


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"it takes more than {SECONDS_EACH} s")


if __name__ == "__main__":
    sys.exit(main())
