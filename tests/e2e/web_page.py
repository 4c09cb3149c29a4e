"""A built web page behind a server of its own, in a browser; and what core says of the same files."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import gdcm
import numpy as np
import psutil
from numpy.typing import NDArray

from core.data.upload import open_scan
from core.errors import DataError
from core.explain.cam import explain_many
from core.explain.validation.saliency_record import default_map
from core.inference.handed_in import predict_all
from core.inference.predict import Predictor
from core.inference.prediction import Prediction
from core.mri import MRSequence
from core.settings import load_settings
from tests.processes import add_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FETCH = """
  const files = [];
  for (const path of paths) files.push({ path, blob: await (await fetch('/scan/' + path.split('/').map(encodeURIComponent).join('/'))).blob() });
  const encode = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = '';
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };
"""
ASK = f"""async ([paths, options]) => {{{FETCH}
  const started = performance.now();
  try {{
    const document = await window.mgmtLab.predict(files, options);
    const seconds = (performance.now() - started) / 1000;
    const slices = window.mgmtLab.views.map((view) => view.slices.map(({{ sequence, index, pixels, heat }}) => ({{ sequence, index, pixels: encode(pixels), heat: encode(heat) }})));
    return {{ document, seconds, slices }};
  }} catch (error) {{ return {{ error: error.message }}; }}
}}"""
READ = f"""async ([paths, options, wanted]) => {{{FETCH}
  const [{{ loadRules }}, {{ gather }}, {{ indexFiles }}] = await Promise.all(['rules', 'files', 'scan'].map((name) => import(`./${{name}}.js`)));
  try {{
    await loadRules(location.href);
    const {{ studies }} = await indexFiles((await gather(files)).files, options);
    const found = {{}};
    for (const series of studies.flatMap((study) => study.series)) {{
      if (series.kind === 'picture' || (wanted && wanted !== series.uid)) continue;
      const {{ shape, affine, voxels }} = await series.read({{ reader_version: 2 }});
      const digest = encode(new Uint8Array(await crypto.subtle.digest('SHA-256', voxels)));
      found[series.uid] = {{ shape, affine, digest, voxels: wanted ? encode(voxels) : null }};
    }}
    return found;
  }} catch (error) {{ return {{ error: error.message }}; }}
}}"""
TIE = 1e-4
"""Of the strongest value: pixels that are so near to it tie with it."""


SYNTAXES = (
    "ImplicitVRLittleEndian",
    "ExplicitVRBigEndian",
    "DeflatedExplicitVRLittleEndian",
    "RLELossless",
    "JPEGLosslessProcess14_1",
    "JPEGLSLossless",
    "JPEG2000Lossless",
)
"""Transfer syntaxes that keep every value, by gdcm's names."""


def transcode(source: Path, target: Path, syntax: str) -> Path:
    """Write the files of a folder in another transfer syntax; return the new folder."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.dcm")):
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change(), f"{path.name} cannot be written as {syntax}"
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(target / path.name))
        assert writer.Write()
    return target


class _Handler(http.server.SimpleHTTPRequestHandler):
    scan: Path | None = None
    isolated = True

    def translate_path(self, path: str) -> str:
        if path.startswith("/scan/") and _Handler.scan is not None:
            plain = super().translate_path(path.removeprefix("/scan"))
            return str(_Handler.scan / Path(plain).relative_to(self.directory))
        return super().translate_path(path)

    def end_headers(self) -> None:
        if _Handler.isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the tests count requests themselves."""


@dataclass
class WebPage:
    """The page, opened."""

    page: Page
    url: str
    outside: list[str] = field(default_factory=list)
    """Addresses asked for that are not the server's own."""
    complaints: list[str] = field(default_factory=list)

    def ask(self, scan: Path, *, anyway: bool = True, sequence: str | None = None) -> dict[str, Any]:
        """Hand in a file or a folder: {document, seconds, slices} or {error}."""
        options = {"anyway": anyway, "statedSequence": sequence}
        started = _cpu_below()
        answer: dict[str, Any] = self.page.evaluate(ASK, [self._serve(scan), options])
        return answer | {"cpu_seconds": _cpu_below() - started}

    def read(self, scan: Path, *, sequence: str | None = None, uid: str = "") -> dict[str, Any]:
        """Read a scan by the page's own modules: {uid: {shape, affine, digest, voxels}}, the voxels only of one; or {error}."""
        answer: dict[str, Any] = self.page.evaluate(READ, [self._serve(scan), {"statedSequence": sequence}, uid])
        return answer

    def _serve(self, scan: Path) -> list[str]:
        _Handler.scan = scan.parent
        files = sorted(path for path in scan.rglob("*") if path.is_file()) if scan.is_dir() else [scan]
        return [path.relative_to(scan.parent).as_posix() for path in files]


def wait_until(tab: Page, expression: str) -> None:
    """Wait until it is true on the page, which forbids the eval that Playwright's own wait_for_function polls with."""
    end = time.monotonic() + 120
    while not tab.evaluate(f"Boolean({expression})"):
        if time.monotonic() > end:
            raise TimeoutError(expression)
        tab.wait_for_timeout(50)


@contextmanager
def open_page(folder: Path, browser: Browser, *, isolated: bool = True, **context: Any) -> Iterator[WebPage]:
    """Serve a built page and open it; every request is noted."""
    _Handler.isolated = isolated
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    tab = browser.new_context(**context).new_page()
    tab.set_default_timeout(300_000)
    opened = WebPage(page=tab, url=url)
    tab.on(
        "request",
        lambda one: None if one.url.startswith((url, "data:", f"blob:{url}")) else opened.outside.append(one.url),
    )
    tab.on("console", lambda one: opened.complaints.append(one.text) if one.type == "error" else None)
    tab.on("pageerror", lambda error: opened.complaints.append(str(error)))
    try:
        tab.goto(url)
        wait_until(tab, "window.mgmtLab")
        yield opened
    finally:
        tab.context.close()
        server.shutdown()
        server.server_close()


def _cpu_below() -> float:
    """CPU time of the browser and of all else that was started here."""
    return add_up(lambda one: sum(one.cpu_times()[:2]), psutil.Process().children(recursive=True))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One study, answered by the browser and by core; or one scan that either refuses."""

    name: str
    slices: int = 0
    core: float | None = None
    difference: float = 0
    """Of the probability."""
    pixels: float = 0
    """Share of prepared pixels that differ."""
    correlation: float = 1
    """Smallest among the maps that are not empty."""
    strongest: int = 0
    """Maps whose strongest pixel is core's, or ties with it."""
    guard: str = ""
    """Core's word; of a scan that core refuses, its reason."""
    same_guard: bool = True
    """Whether the browser says the same, to the letter; of a refusal as well."""
    seconds: float = 0
    cpu_seconds: float = 0
    """Of the browser."""
    core_seconds: float = 0
    runtime: str = ""
    """What computed in the browser."""
    fault: str = ""


def compare(
    name: str, scan: Path, page: WebPage, predictor: Predictor, sequence: MRSequence | None = None
) -> list[Compared]:
    """Answer a scan in the browser and in core, study by study; `sequence` is what does not say which it is."""
    asked = page.ask(scan, sequence=sequence)
    started = time.process_time()
    settings = load_settings({**os.environ, "MGMT_LAB_THREADS": "1"})
    with TemporaryDirectory(prefix="mgmt-lab-") as workspace:
        try:
            cohort = open_scan([scan], Path(workspace) / "unpacked", settings, sequence=sequence)
            predictions, failed = predict_all(predictor, cohort)
        except DataError as error:
            refused = "error" in asked
            fault = "" if refused else "the browser answers what core refuses"
            same = asked.get("error") == str(error)
            return [
                Compared(
                    name=name,
                    guard=f"{error}" if same else f"{error} / {asked.get('error')}",
                    same_guard=same,
                    fault=fault,
                )
            ]
        if "error" in asked:
            return [Compared(name=name, fault=asked["error"])]
        found = {one["study_id"]: one for one in asked["document"]["studies"]}
        seen = dict(zip(found, asked["slices"], strict=True))
        theirs = {one["study_id"]: one["reason"] for one in asked["document"]["failed"]}
        rows = [
            Compared(
                name=name,
                guard=one["reason"],
                same_guard=theirs.get(one["study_id"]) == one["reason"],
                fault="" if one["study_id"] in theirs else "the browser answers it",
            )
            for one in failed
        ]
        for one in predictions:
            label = name if len(predictions) == 1 else f"{name} {one.study_id}"
            if one.study_id not in found:
                rows.append(
                    Compared(
                        name=label, fault=f"not among the browser's studies: {json.dumps(asked['document'])[:300]}"
                    )
                )
                continue
            rows.append(_compare_study(label, one, found[one.study_id], seen[one.study_id], predictor))
    seconds = (time.process_time() - started) / max(len(rows), 1)
    browser = {key: asked[key] / max(len(rows), 1) for key in ("seconds", "cpu_seconds")}
    runtime = asked["document"]["checkpoint"]["runtime"]
    return [replace(row, **browser, core_seconds=seconds, runtime=runtime) for row in rows]


def _compare_study(
    name: str, ours: Prediction, theirs: dict[str, Any], seen: list[dict[str, Any]], predictor: Predictor
) -> Compared:
    method, layer = default_map(predictor.card)
    target = predictor.card.class_names.index(ours.prediction)
    size = predictor.card.config.prep.size_px
    places, differing, strongest, correlations = [], 0, 0, []
    drawn = iter(seen)
    for part in ours.series:
        cams = explain_many(predictor, part.prepared, method=method, target_class=target, layer=layer)
        for one in part.seen:
            places.append((one.sequence, one.slice_index))
            other = next(drawn, {"sequence": "", "index": -1})
            if (other["sequence"], other["index"]) != places[-1]:
                return Compared(
                    name=name, fault=f"core saw {places[-1]}, the browser {other['sequence'], other['index']}"
                )
            pixels = one.take(part.prepared.pixels[one.example])
            differing += int((_decode(other["pixels"], np.uint8, size) != pixels).sum())
            own, drawn_there = (
                one.take(cams[one.example].heat * cams[one.example].raw_max),
                _decode(other["heat"], np.float32, size),
            )
            if own.max() > 0 or drawn_there.max() > 0:
                correlations.append(float(np.corrcoef(own.ravel(), drawn_there.ravel())[0, 1]))
            strongest += bool(own.flat[drawn_there.argmax()] >= own.max() * (1 - TIE))
    return Compared(
        name=name,
        slices=len(places),
        core=ours.probability,
        difference=abs(theirs["probability"] - ours.probability),
        pixels=differing / (len(places) * size * size),
        correlation=min(correlations, default=1.0),
        strongest=strongest,
        guard=f"{ours.guard}: {ours.reason}" if ours.reason else ours.guard,
        same_guard=(theirs["guard"], theirs["reason"]) == (ours.guard, ours.reason),
        fault="" if len(places) == len(seen) else f"the browser saw {len(seen)} slices",
    )


def _decode(text: str, kind: type, size: int) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind).reshape(size, size)


def is_equal(rows: Sequence[Compared]) -> list[str]:
    """What breaks the rules of equality, in words; empty where nothing does. The same tensor must give the same answer."""
    return [
        f"{one.name}: {one.fault or one}"
        for one in rows
        if one.fault
        or one.difference > (1e-3 if one.pixels else 1e-4)
        or one.correlation < 0.999
        or one.strongest != one.slices
        or not one.same_guard
    ]
