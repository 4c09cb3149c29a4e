"""Every write, fsync, opening, renaming and removal fails once: with a full disk, with an I/O error, and with the process's end.

For each task (runs, their records, trash, queue, ledger, seals, cache, uploads, zips of runs, experiments, a search's journal,
answers for a PACS, a training) the operations on files are counted, and each of them fails in turn, in a copy of the same home; of a write that
fails the first half is on the disk. SQLite's own writes are its own guarantee: that its errors are named is tested
(tests/experiments/search).

Pass rules, fixed before the first run: no error but the project's own comes out; every state can be read afterwards; each item
is what it was before or what it is after the whole task (a training, an upload, the queue, answers for a PACS, and a run that is
deleted and brought back have states in between, which must be readable); the same task, asked for again, ends as one without a fault; and but for a killed process, nothing half-written stays behind.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from measuring import PROJECT, machine, parse_arguments, print_table

from core.data.upload import open_scan, receive
from core.dataset.split import make_split
from core.dataset.table import build_table
from core.errors import MGMTLabError
from core.experiments.search.storage import open_study, read_place, storage_errors
from core.files import read_document
from core.inference.predict import Predictor
from core.jobs import queue
from core.jobs.experiment import Experiment, Question, RunOptions
from core.models.registry import ARCHITECTURES
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.runs.bundle import export_run
from core.runs.cohort import open_cohort
from core.runs.evaluation import evaluate_validation, read_evaluation, store_evaluation
from core.runs.folder import RunFolder, delete_run, list_runs
from core.runs.ledger import check_ledger, list_looks, record_evaluation
from core.runs.records import DataSource
from core.runs.seal import Criterion, list_seals, make_seal
from core.runs.tags import change_tags, read_tags
from core.runs.trash import Trash, empty_dead_trashes
from core.runs.unbundle import import_run
from core.serve.rounds import Rounds
from core.serve.rules import Rules
from core.settings import Settings, load_settings
from core.training.trainer import run_training, train
from tests.experiments.judged_runs import make_epoch, make_judged_run
from tests.jobs.killing import KINDS, Killed, Killer, killing
from tests.serve.archive import Archive, lying_server
from tests.training.tiny import TINY_NETWORK, build_tiny, tiny_config
from ui.server.visitor import visitor_key

HALF_WRITTEN = (".part", ".new", ".deleted", ".tmp")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is done in a home, and how its state is read."""

    act: Callable[[Settings], object]
    """Does it; done again after a fault, it goes on."""
    look: Callable[[Settings], dict[str, Any]]
    """Each item by name; must never raise."""
    prepare: Callable[[Settings], object] = lambda settings: None
    steps: bool = False
    """It has states in between."""


def main() -> int:
    """Let each operation of each task fail, print the table, and return 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="try every so many-th operation only")
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    arguments = parse_arguments(parser, every=9)
    warnings.simplefilter("ignore")
    logging.raiseExceptions = False
    print(machine())
    began, rows, broken = time.process_time(), [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantom(folder / "cohort", PhantomConfig(studies=12, slices=4, size=32, signal=3.0), jobs=1)
        make_phantom(folder / "scanned", PhantomConfig(studies=2, slices=4, size=32, signal=3.0), jobs=1)
        for title, task in tasks(folder / "cohort", folder / "scanned").items():
            if arguments.only in title and not (arguments.tiny and title == "training"):
                tried, problems = try_task(title, task, folder / "homes", arguments.every)
                broken += len(problems)
                rows.append((title, *(tried[kind] for kind in KINDS), len(problems)))
    total = sum(sum(row[1:4]) for row in rows)
    title = f"{total:,} faults (operation x kind), rules broken {broken}; {time.process_time() - began:.0f} s of CPU"
    print_table(title, ("task", *KINDS, "broken"), rows)
    return 1 if broken else 0


def try_task(title: str, task: Task, folder: Path, every: int) -> tuple[dict[str, int], list[str]]:
    """Return how many faults of each kind were tried, and which rules were broken, each of them printed."""
    shutil.rmtree(folder, ignore_errors=True)
    prepared = folder / "prepared"
    prepared.mkdir(parents=True)
    task.prepare(home(prepared))

    def copied(name: str) -> Path:
        shutil.copytree(prepared, folder / name)
        return folder / name

    before = task.look(home(copied("before")))
    task.act(home(copied("whole")))
    after = task.look(home(folder / "whole"))
    tried, problems = dict.fromkeys(KINDS, 0), []
    for kind in KINDS:
        place = copied(f"counted-{kind}")
        counter = Killer(inside(place), kind=kind, writes=True)
        with killing(counter):
            task.act(home(place))
        for at in range(0, counter.count, every):
            place = copied(f"{kind}-{at}")
            problem = try_fault(task, place, Killer(inside(place), at, kind, writes=True), before, after)
            tried[kind] += 1
            if problem:
                problems.append(problem)
                print(f"{title}, {kind} at {at} of {counter.count}: {problem}", flush=True)
            shutil.rmtree(place)
    return tried, problems


def try_fault(task: Task, place: Path, killer: Killer, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return which rule one fault broke, or ""."""
    settings = home(place)
    try:
        with killing(killer):
            task.act(settings)
    except (Killed, MGMTLabError):
        pass
    except Exception as error:  # noqa: BLE001 - what is looked for
        return f"uncaught {error!r}"
    try:
        found = task.look(settings)
    except Exception as error:  # noqa: BLE001 - what is looked for
        return f"unreadable: {error!r}"
    torn = [name for name in before.keys() | after.keys() | found.keys() if not _known(name, found, before, after)]
    if torn and not task.steps:
        return f"neither before nor after: {torn[0]} is {str(found.get(torn[0]))[:200]}"
    try:
        task.act(settings)
        found = task.look(settings)
    except Exception as error:  # noqa: BLE001 - what is looked for
        return f"asked again: {error!r}"
    if found != after:
        differ = {name: (found.get(name), after.get(name)) for name in after if found.get(name) != after.get(name)}
        return f"asked again, other than the whole: {str(differ)[:300]}"
    left = [path.name for path in place.rglob("*") if path.name.endswith(HALF_WRITTEN)]
    return f"left behind: {left[0]}" if left and killer.kind != "kill" else ""


def _known(name: str, found: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> bool:
    return found.get(name) in (before.get(name), after.get(name))


def home(folder: Path) -> Settings:
    """An installation of its own."""
    return load_settings({"MGMT_LAB_HOME": str(folder), "MGMT_LAB_THREADS": "1"})


def inside(folder: Path) -> Callable[[str], bool]:
    """Whether a path lies below the folder."""
    return lambda path: path.startswith(f"{folder}/")


def look_at_runs(settings: Settings) -> dict[str, Any]:
    """What every run says of itself; times of the day apart."""
    found: dict[str, Any] = {}
    for entry in list_runs(settings):
        run, status = entry.run, entry.status
        found[f"{run.name}: state"] = (status.state, status.note)
        found[f"{run.name}: asked to stop"] = run.stop_requested()
        found[f"{run.name}: tags"] = read_tags(run)
        found[f"{run.name}: epochs"] = len(run.epochs())
        found[f"{run.name}: made of"] = (run.config, run.source)
        for what in ("split", "predictions"):
            with suppress(MGMTLabError):
                found[f"{run.name}: {what}"] = str(getattr(run, what)())
        evaluation = read_evaluation(run, "val") if run.checkpoint.exists() else None
        found[f"{run.name}: evaluation"] = str(evaluation and evaluation.patient)
    found["order"] = [run.name for run in queue.list_waiting(settings)]
    return found


def tasks(cohort: Path, scanned: Path) -> dict[str, Task]:
    """Everything that writes, by name."""
    source = DataSource(root=str(cohort))
    config = tiny_config("epochs=2", "slice_count=1", "sequences=FLAIR", "test_fraction=0.2", "val_fraction=0.3")
    ARCHITECTURES["tiny"] = TINY_NETWORK
    queue.start_detached = lambda *_, **__: None  # type: ignore[assignment]  # no worker
    trash: dict[Path, Trash] = {}

    def run_of(settings: Settings, name: str = "one") -> RunFolder:
        return RunFolder(settings.runs / name)

    def judged(settings: Settings) -> RunFolder:
        return make_judged_run(settings, "one", state=build_tiny(2).state_dict(), architecture="tiny")

    def create(settings: Settings) -> None:
        if not run_of(settings, "new").path.exists():
            split = run_of(settings).split()
            RunFolder.create(settings, config, source, "new", split=split, files={"extra.json": "{}"})

    def note(settings: Settings) -> None:
        run = run_of(settings)
        with run.lock():
            run.write_status(run.status().model_copy(update={"note": "a note", "state": "stopped"}))
            if len(run.epochs()) < 3:
                run.append_epoch(make_epoch(3))
            run.replace_epochs([*run.epochs()[:2], make_epoch(3)])
        change_tags(run, add=["kept"])
        run.ask_to_stop()

    def evaluate(settings: Settings) -> None:
        store_evaluation(run_of(settings), evaluate_validation(run_of(settings)), "")

    def delete(settings: Settings) -> None:
        empty_dead_trashes(settings)  # as the app does when it starts
        if run_of(settings).path.exists():
            delete_run(run_of(settings))

    def put_away(settings: Settings) -> None:
        if settings.home not in trash:
            trash[settings.home] = Trash(settings.runs)
        held = trash[settings.home]
        if run_of(settings).path.exists():
            held.put(run_of(settings))
        for deleted in held.list():
            held.undo(deleted)

    def enqueue(settings: Settings) -> None:
        first, second = run_of(settings, "first"), run_of(settings, "second")
        for run, seed in ((first, 3), (second, 7)):
            if not run.path.exists():
                queue.submit(settings, config.model_copy(update={"seed": seed}), source, run.name)
        for run in (first, second):
            queue.mark_queued(run)
        queue.put_first(second, settings)
        if first.status().state == "queued":
            queue.move(first, settings, "down")
            queue.cancel(first)
        queue.request_stop(second)
        queue.resume(second, settings)
        queue.resume(first, settings)

    def look_up(settings: Settings) -> None:
        for name in ("one", "two"):
            record_evaluation("digest", name, settings, persons=["p1", "p2"], model=name)

    def ledger(settings: Settings) -> dict[str, Any]:
        looks = {one["run"] for one in list_looks("digest", settings)}
        return {"fault": check_ledger(settings).fault, **dict.fromkeys(looks, "looked")}

    def seal(settings: Settings) -> None:
        if not any(not fault for _, _, fault in list_seals(settings)):
            make_seal(config, run_of(settings).split(), Criterion(), settings)

    def seals(settings: Settings) -> dict[str, Any]:
        whole = [one.criterion for _, one, fault in list_seals(settings) if one and not fault]
        return {"fault": check_ledger(settings).fault, "sealed": bool(whole)}

    def prepare_table(settings: Settings) -> dict[str, Any]:
        table = build_table(open_cohort(source, settings=settings), config.prep, settings)
        pixels = b"".join(array.tobytes() for array in table.arrays)
        return {"rows": len(table.rows), "pixels": hashlib.sha256(pixels).hexdigest()}

    def hand_in(settings: Settings) -> None:
        place = settings.home / "upload"
        if place.exists():
            shutil.rmtree(place)  # as the page does with what is not whole
        receive([("scan.zip", io.BytesIO(packed)), ("a/note.txt", b"text")], place / "files", settings)
        open_scan([place / "files"], place / "unpacked", settings)

    def handed_in(settings: Settings) -> dict[str, Any]:
        files = sorted((settings.home / "upload" / "files").rglob("*"))
        return {"upload": [(path.name, path.stat().st_size) for path in files if path.is_file()]}

    def pack(settings: Settings) -> None:
        export_run(run_of(settings), settings.home / "one.zip", settings, replace=True)

    def packed_run(settings: Settings) -> dict[str, Any]:
        path = settings.home / "one.zip"
        if not path.exists():
            return {}
        with zipfile.ZipFile(path) as archive:
            return {"zip": (archive.testzip(), sorted(archive.namelist()))}

    def unpack(settings: Settings) -> None:
        if not run_of(settings, "taken-in").path.exists():
            import_run(settings.home / "one.zip", settings, name="taken-in")

    question = Question(kind="optimism", parameters={"seeds": 2}, config=config, source=source)

    def ask(settings: Settings) -> None:
        experiment = Experiment.ask(settings, "asked", question)
        experiment.write_options(RunOptions(count=3))
        experiment.stop()
        experiment.write_split(run_of(settings).split())
        experiment.write_result({"value": 0.5})

    def asked(settings: Settings) -> dict[str, Any]:
        one = Experiment(settings.experiments / "asked")
        known: Any = None
        with suppress(MGMTLabError):
            known = one.question().model_copy(update={"created": ""})
        return {
            "question": known, "options": one.options(), "split": one.split(), "result": one.result(),
            "asked to stop": one.stop_file.exists(), "state": one.status().state == "finished",
        }  # fmt: skip

    def search(settings: Settings) -> None:
        place = read_place("found", folder=settings.home / "search", url="")
        study = open_study(place, create=True)
        with storage_errors(place):
            while len(done := study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) < 2:
                study.tell(study.ask(), float(len(done)))

    def searched(settings: Settings) -> dict[str, Any]:
        place = read_place("found", folder=settings.home / "search", url="")
        try:
            trials = open_study(place).get_trials(states=[optuna.trial.TrialState.COMPLETE])
        except MGMTLabError:  # there is none yet
            return {}
        return {f"trial {number}": trial.value for number, trial in enumerate(trials)}

    def train_it(settings: Settings) -> None:
        run = run_of(settings, "trained")
        if not run.path.exists():
            split = make_split(
                build_table(open_cohort(source, settings=settings), config.prep, settings), config.split, ""
            )
            run_training(settings, config, source, name="trained", split=replace(split, cohort_digest=digest(settings)))
        elif run.status().state != "finished":
            train(run, settings)

    def digest(settings: Settings) -> str:
        return open_cohort(source, settings=settings).digest

    def trained(settings: Settings) -> dict[str, Any]:
        found = look_at_runs(settings)
        run = run_of(settings, "trained")
        found["losses"] = [(record.epoch, record.train_loss, record.val_loss) for record in run.epochs()]
        found["best"] = run.status().best_epoch
        return found

    archive = Archive(scanned)
    predictor = Predictor(PROJECT / "checkpoints" / "demo-synthetic.safetensors", threads=1)

    def answer(settings: Settings) -> None:
        with lying_server(archive) as (url, _):
            rules = {"url": url, "settle_seconds": 0, "rules": [{"name": "all", "checkpoint": "demo-synthetic"}]}
            Rounds(Rules.model_validate(rules), settings.home / "serve", settings, lambda _: predictor).run_once()

    def answered(settings: Settings) -> dict[str, Any]:
        done = [read_document(path) for path in (settings.home / "serve" / "done").glob("*.json")]
        return {"done": sorted(one["state"] for one in done)}

    packed = _zip(cohort / "train" / sorted(path.name for path in (cohort / "train").iterdir())[0])
    both = {"prepare": judged, "look": look_at_runs}
    return {
        "create a run": Task(act=create, **both),
        "its records": Task(act=note, **both),
        "its evaluation": Task(act=evaluate, **both),
        "delete it": Task(act=delete, **both),
        "into the trash and back": Task(act=put_away, steps=True, **both),
        "queue": Task(act=enqueue, look=look_at_runs, steps=True),
        "ledger": Task(act=look_up, look=ledger),
        "seal": Task(act=seal, look=seals, prepare=judged),
        "cache": Task(act=prepare_table, look=prepare_table),
        "upload": Task(act=hand_in, look=handed_in, steps=True),
        "export a run": Task(act=pack, look=packed_run, prepare=judged),
        "import a run": Task(
            act=unpack, look=look_at_runs, prepare=lambda settings: (judged(settings), pack(settings))
        ),
        "ask an experiment": Task(act=ask, look=asked, prepare=judged),
        "a search's journal": Task(
            act=search, look=searched, prepare=lambda settings: (settings.home / "search").mkdir()
        ),
        "visitors' key": Task(act=visitor_key, look=lambda settings: {"key": len(visitor_key(settings))}),
        "answers for a PACS": Task(act=answer, look=answered, steps=True),
        "training": Task(act=train_it, look=trained, prepare=prepare_table, steps=True),
    }


def _zip(folder: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(folder.parent)))
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
