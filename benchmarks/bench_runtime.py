"""Whether onnxruntime answers as PyTorch does, and how much sooner.

Pass rules, fixed before the run:

- equal, for every preset but the two-stage one, which is refused by name: from the same prepared example the probability within
  1e-5; Grad-CAM and LayerCAM at every layer with a correlation of 0.999 or more and the same strongest pixel (empty maps aside;
  a tie is a value within 1e-4 of the maximum). Presets have random weights and small examples of noise. From the files of a
  synthetic study, for each and for the shipped checkpoint: the probability within 1e-3, and at most 0.01% of the prepared pixels
  more than one grey level apart (both runtimes share the preparation);
- fast, on the shipped checkpoint, one thread, CPU time in turns: logits 1.5 times, Grad-CAM at the last layer 1.5 times and LayerCAM
  at the finest 2 times PyTorch's; the maps' rival goes back to the input, as the product did before it had two runtimes;
- what a prediction takes beside the bare passes is no longer in seconds than with PyTorch, give or take 0.02 s;
- bfloat16, where the processor computes in it, one thread: every probability of 30 synthetic studies (seed 9) within 0.002 of
  float32's, and the logits sooner;
- against another checkout of the project (``--against``), each with its own default runtime on one thread, processes in turns: the
  app's cold start (a process that imports, loads, reads, predicts and maps) to the sample's answer 2 times as fast, a study's
  logits 1.5 times; what a prediction takes beside the passes no longer in seconds, give or take 0.02 s.

    python benchmarks/bench_runtime.py [--rounds 9] [--presets NAME ...] [--equality | --bf16 | --against CHECKOUT]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from measuring import PROJECT, machine, parse_arguments, print_table

from core.config import PrepConfig, apply_settings
from core.data.cohort import scan_cohort
from core.data.prepare.examples import ImageFrame, PreparedSeries
from core.data.prepare.slices import prepare_source
from core.data.study import Study
from core.errors import CheckpointError, ConfigError
from core.evaluation.calibration import to_probabilities
from core.explain.cam import explain_each
from core.inference.onnx_export import export_onnx
from core.inference.onnx_graph import example_shape
from core.inference.predict import Predictor
from core.models.card import read_card
from core.models.checkpoint import save_checkpoint
from core.models.forward import to_input
from core.models.registry import find_architecture
from core.models.weights import build_random
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.presets import PRESETS

SHIPPED = PROJECT / "checkpoints" / "demo-synthetic.safetensors"
METHODS = ("gradcam", "layercam")
COLD = """
from streamlit.testing.v1 import AppTest

app = AppTest.from_file("streamlit_app.py", default_timeout=300).run()
app.switch_page("pages/predict.py").run()
app.button(key="predict.sample").click().run()
assert not app.exception and not app.error
"""
"""The app from nothing to the sample's answer with its map."""
WARM = """
import inspect, sys, time
from pathlib import Path
import torch
from core.data.cohort import scan_cohort
from core.inference.predict import Predictor

torch.set_num_threads(1)
study = scan_cohort(Path(sys.argv[1])).studies[0]
one = {"threads": 1} if "threads" in inspect.signature(Predictor.__init__).parameters else {}
predictor = Predictor(Path("checkpoints/demo-synthetic.safetensors"), **one)
predictor.predict(study)
for _ in range(int(sys.argv[2])):
    began = time.process_time()
    answer = predictor.predict(study)
    answered = time.process_time()
    for part in answer.series:
        predictor.score(part.prepared)
    scored = time.process_time()
    print(scored - answered, answered - began - (scored - answered))
"""
"""CPU seconds of a study's bare passes, and of what its prediction takes beside them, some times."""


def main() -> None:
    """Compare, time, print; exit 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 alone")
    parser.add_argument("--equality", action="store_true", help="time nothing")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="an older version of the project, and no more")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    arguments = parse_arguments(parser, rounds=1, presets=[])
    torch.set_num_threads(1)
    print(machine())
    with TemporaryDirectory() as folder:
        make_phantom(Path(folder), PhantomConfig(studies=2, signal=3, seed=4), jobs=1)
        if arguments.against or arguments.tiny:
            sooner = compare_checkouts(arguments.against or PROJECT, Path(folder), arguments.rounds)
            print(f"every rule against the other checkout holds: {sooner}")
            if not arguments.tiny:
                sys.exit(not sooner)
        bf16 = arguments.equality or measure_bf16(2 if arguments.tiny else 30, arguments.rounds) or arguments.tiny
        if arguments.bf16:
            print(f"the rule of bfloat16 holds: {bf16}")
            sys.exit(not bf16)
        equal = [compare_preset(name, Path(folder)) for name in arguments.presets]
        print_table(
            "equality by preset: largest difference of a probability, least correlation of a map, same strongest pixel; from the "
            "file: difference of the probability, prepared pixels more than one grey level apart",
            ("preset", "n", "probability", "correlation", "same place", "from the file", "pixels apart"),
            [row for row, _ in equal],
        )
        if arguments.equality:
            print(f"every rule of equality holds: {all(found for _, found in equal)}")
            sys.exit(not all(found for _, found in equal))
        rows = measure_speed(Path(folder), arguments.rounds, 1 if arguments.tiny else None)
    print_table(
        f"CPU time, PyTorch's over onnxruntime's: median of {arguments.rounds} rounds and their range",
        ("what", "torch s", "onnx s", "ratio", "low", "high", "asked"),
        [row[:-1] for row in rows],
    )
    passed = bf16 and all(found for _, found in equal) and (arguments.tiny or all(row[-1] for row in rows))
    print(f"every rule holds: {passed}")
    sys.exit(not passed)


def compare_preset(name: str, folder: Path) -> tuple[tuple[object, ...], bool]:
    """One preset with random weights, made small: a row of the table, and whether the rule holds."""
    config = apply_settings(PRESETS[name].config, ["size_px=64", "slice_count=8", "weights=none"])
    entry = find_architecture(config.architecture)
    card = read_card(SHIPPED).model_copy(
        update={"config": config, "sequences": config.prep.sequences, "temperature": 1.0}
    )
    study = scan_cohort(folder).studies[0]
    with TemporaryDirectory() as workspace:
        path = Path(workspace) / "random.safetensors"
        save_checkpoint(path, build_random(entry, 2, 0).state_dict(), card, half=True)
        try:
            export_onnx(path, path.parent, path.stem)
        except CheckpointError as error:
            print(f"{name} is refused: {error}")
            return (name, 0, "refused", "", "", "", ""), name == "two-stage"
        row, equal = compare(path, [make_noise(config.prep)], name, 1e-5)
        difference, apart, total = compare_files(path, study)
    row = (*row, f"{difference:.1e}", f"{apart} of {total}")
    print(*row, flush=True)
    return row, equal and difference <= 1e-3 and apart <= 1e-4 * total


def compare_files(path: Path, study: Study) -> tuple[float, int, int]:
    """Compare both runtimes from the files: difference of the probability, pixels that are apart, and all pixels."""
    one, other = (Predictor(path, runtime=runtime, threads=1).predict(study) for runtime in ("torch", "onnx"))
    pixels, others = (
        np.concatenate([series.prepared.pixels.ravel() for series in each.series]).astype(int) for each in (one, other)
    )
    return abs(one.probability - other.probability), int((abs(pixels - others) > 1).sum()), len(pixels)


def compare(path: Path, series: list[PreparedSeries], name: str, tolerance: float) -> tuple[tuple[object, ...], bool]:
    """Compare both runtimes on prepared examples."""
    one, other = (Predictor(path, runtime=runtime, threads=1) for runtime in ("torch", "onnx"))
    wanted = [(method, layer) for method in METHODS for layer in one.architecture.layers]
    differences, correlations, same = [0.0], [1.0], []
    for prepared in series:
        answers = [to_probabilities(each.score(prepared), each.card.temperature) for each in (one, other)]
        differences.append(float(np.abs(answers[0] - answers[1]).max()))
        for cams, others in zip(*(explain_each(each, prepared, wanted) for each in (one, other)), strict=True):
            for cam, twin in zip(cams, others, strict=True):
                if cam.raw_max > 0 and np.ptp(cam.heat) > 0:
                    correlations.append(float(np.corrcoef(cam.heat.ravel(), twin.heat.ravel())[0, 1]))
                    same.append(bool(cam.heat.flat[twin.heat.argmax()] >= 1 - 1e-4))
    row = (name, len(same), f"{max(differences):.1e}", f"{min(correlations):.6f}", f"{sum(same)} of {len(same)}")
    return row, max(differences) <= tolerance and min(correlations) >= 0.999 and all(same)


def make_noise(prep: PrepConfig) -> PreparedSeries:
    """Two examples of coarse noise."""
    shape = (2, *example_shape(prep))
    coarse = np.random.default_rng(0).uniform(0, 255, (*shape[:-2], shape[-2] // 8, shape[-1] // 8))
    side = shape[-1]
    frame = ImageFrame(source_shape=(side, side), row_start=0, row_stop=side, column_start=0, column_stop=side,
                       top=0, bottom=side, left=0, right=side)  # fmt: skip
    return PreparedSeries(
        pixels=np.kron(coarse, np.ones((8, 8))).astype(np.uint8), slice_index=np.arange(2, dtype=np.int32),
        position_mm=np.arange(2.0), files=("", ""), frames=(frame, frame), slice_total=2, blank_count=0,
    )  # fmt: skip


def measure_speed(folder: Path, rounds: int, most: int | None) -> list[tuple[object, ...]]:
    """Time the shipped checkpoint on a synthetic study, after comparing both runtimes on it."""
    study = scan_cohort(folder).studies[0]
    own, graph = (Predictor(SHIPPED, runtime=runtime, threads=1) for runtime in ("torch", "onnx"))
    series = [prepare_source((one,), own.card.config.prep) for one in study.series[:most]]
    row, equal = compare(SHIPPED, series, "demo-synthetic", 1e-5)
    files, apart, total = compare_files(SHIPPED, study)
    print_table(
        "the shipped checkpoint on a synthetic study", ("", "n", "probability", "correlation", "same place"), [row]
    )
    equal = equal and files <= 1e-3 and apart <= 1e-4 * total
    print(f"from the file its probability differs by {files:.1e}, {apart} of {total} pixels are apart; equal: {equal}")
    if not equal:
        sys.exit(1)
    pixels = np.concatenate([one.pixels for one in series])
    prepared = make_noise(own.card.config.prep.model_copy(update={"size_px": pixels.shape[-1]}))
    layers = own.architecture.layers

    def predict(predictor: Predictor) -> Callable[[], object]:
        return lambda: predictor.predict(study)

    rows = [
        take_turns("logits of a study", lambda: own.engine.score(pixels), lambda: graph.engine.score(pixels), rounds, 1.5),
        take_turns(
            "Grad-CAM, last layer", lambda: back_to_input(own, prepared.pixels, layers[0]),
            lambda: explain_each(graph, prepared, [("gradcam", layers[0])]), rounds, 1.5,
        ),
        take_turns(
            "LayerCAM, finest layer", lambda: back_to_input(own, prepared.pixels, layers[-1]),
            lambda: explain_each(graph, prepared, [("layercam", layers[-1])]), rounds, 2.0,
        ),
    ]  # fmt: skip
    whole = take_turns("a prediction, study to answer", predict(own), predict(graph), rounds, 0.0)
    scored = {"torch": float(whole[1]) - float(rows[0][1]), "onnx": float(whole[2]) - float(rows[0][2])}  # type: ignore[arg-type]
    print(f"beside the bare passes: torch {scored['torch']:.3f} s, onnx {scored['onnx']:.3f} s")
    return [*rows, (*whole[:-1], scored["onnx"] <= scored["torch"] + 0.02)]


def measure_bf16(studies: int, rounds: int) -> bool:
    """Compare bfloat16 with float32 on synthetic studies, and time it; whether the rule holds."""
    try:
        low, own = (Predictor(SHIPPED, runtime=runtime, threads=1) for runtime in ("bf16", "torch"))
    except ConfigError as error:
        print(f"bfloat16 is refused, and not measured: {error}")
        return True
    with TemporaryDirectory() as folder:
        make_phantom(Path(folder), PhantomConfig(studies=studies, slices=20, signal=3, seed=9), jobs=1)
        found = scan_cohort(Path(folder)).studies
        apart = [abs(low.predict(one).probability - own.predict(one).probability) for one in found]
        pixels = prepare_source((found[0].series[0],), own.card.config.prep).pixels
    row = take_turns("logits", lambda: own.engine.score(pixels), lambda: low.engine.score(pixels), rounds, 1.0)
    print_table(
        "bfloat16 against float32: difference of the probability over studies, CPU time of the logits",
        ("studies", "median", "largest", "float32 s", "bfloat16 s", "ratio", "low", "high"),
        [(len(apart), f"{statistics.median(apart):.1e}", f"{max(apart):.1e}", *row[1:6])],
    )
    return max(apart) < 0.002 and bool(row[-1])


def back_to_input(predictor: Predictor, pixels: np.ndarray, layer: str) -> object:
    """Pass forth and all the way back, as maps were made before: the rival of the maps."""
    kept: list[torch.Tensor] = []
    model = predictor.model
    handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: kept.append(output))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    compute = predictor.engine.compute  # type: ignore[attr-defined]
    inputs = to_input(torch.from_numpy(pixels), predictor.architecture, compute).requires_grad_()
    logits = model(inputs)
    (logits[:, 1] - logits[:, 0]).sum().backward()
    handle.remove()
    return inputs.grad


def take_turns(
    what: str, first: Callable[[], object], second: Callable[[], object], rounds: int, asked: float,
    clock: Callable[[], float] = time.process_time,
) -> tuple[object, ...]:  # fmt: skip
    """Run both in turns: a row with the medians, the median ratio and its range, and whether it is what was asked."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + (rounds > 1)):
        for place, work in enumerate((first, second)):
            started = clock()
            work()
            if number or rounds == 1:  # the first of several warms up
                seconds[place].append(clock() - started)
    ratios = sorted(one / max(other, 1e-9) for one, other in zip(*seconds, strict=True))
    middle = statistics.median(ratios)
    medians = [statistics.median(one) for one in seconds]
    return (what, *(f"{value:.3f}" for value in medians), f"{middle:.2f}", f"{ratios[0]:.2f}", f"{ratios[-1]:.2f}",
            f"{asked}", middle >= asked)  # fmt: skip


def compare_checkouts(other: Path, folder: Path, rounds: int) -> bool:
    """Time the app's cold start and a warm prediction in another checkout and in this one; whether the rules hold."""

    def ask(checkout: Path, *words: object) -> str:
        environment = {**os.environ, "MGMT_LAB_HOME": str(folder / "home"), "MGMT_LAB_THREADS": "1", "PYTHONPATH": "."}
        command = [sys.executable, "-c", *map(str, words)]
        done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def children() -> float:
        times = os.times()
        return times.children_user + times.children_system

    what = "the app's cold start to the sample's answer"
    cold = take_turns(what, lambda: ask(other, COLD), lambda: ask(PROJECT, COLD), rounds, 2.0, children)
    seconds: dict[Path, list[list[float]]] = {other: [], PROJECT: []}
    for checkout in [other, PROJECT] * rounds:
        lines = ask(checkout, WARM, folder / "train", rounds).splitlines()
        seconds[checkout] += [[float(word) for word in line.split()] for line in lines]
    before, after = (np.median(seconds[checkout], axis=0) for checkout in (other, PROJECT))
    titles = ("a study's logits", "1.5"), ("beside them in a prediction", "")
    warm = [
        (title, f"{one:.3f}", f"{two:.3f}", f"{one / two:.2f}", "", "", asked)
        for (title, asked), one, two in zip(titles, before, after, strict=True)
    ]
    print_table(
        f"CPU time, the other checkout's over this one's: median of {rounds} processes each, cold start with its range",
        ("what", "other s", "this s", "ratio", "low", "high", "asked"),
        [cold[:-1], *warm],
    )
    return bool(cold[-1] and before[0] >= 1.5 * after[0] and after[1] <= before[1] + 0.02)


if __name__ == "__main__":
    main()
