"""Kill `serve dicom` at random points over an Orthanc server, and count on the server what was lost and doubled.

``python benchmarks/bench_pacs.py [--studies 100] [--kills 20] [--seed 0]``. Small synthetic studies are sent to Debian's Orthanc
(packages orthanc and orthanc-dicomweb), and `serve dicom` answers each with a structured report. The process is killed with
SIGKILL after a random time that is drawn anew for each start, counted from when it is past its imports or, every second
time, from when results lie in the outbox (the push takes some 20 ms); then it is left alone until it ends. Pass rules, fixed before the run: every study has its one report, by SOP Instance UID (0 lost, 0 doubled), none was put
off or refused, and a further round finds nothing to do. Each study counts once; the limit is the exact one-sided 95% bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from measuring import PROJECT, TINY_SCAN, machine, parse_arguments, print_table
from pydicom import dcmread
from scipy.stats import beta

from tests.serve.orthanc import run_orthanc

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def main() -> None:
    """Send, answer and kill, count; exit 1 where a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--longest", type=float, default=3.0, help="seconds after which a process is killed at the latest"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parse_arguments(parser, studies=2, kills=1, longest=0.5)
    print(machine(), flush=True)
    program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or not PLUGIN.exists():
        print("Nothing is measured: Orthanc is not installed.\napt-get install orthanc orthanc-dicomweb")
        return
    with TemporaryDirectory() as folder, run_orthanc(program, PLUGIN, Path(folder)) as url:
        studies = send_studies(url, Path(folder), arguments.studies, arguments.seed)
        found = answer(url, Path(folder), arguments)
        reports = {study: list_reports(url, study) for study in studies}
    lost = sum(not uids for uids in reports.values())
    doubled = sum(len(uids) > 1 for uids in reports.values())
    bound = beta.ppf(0.95, lost + doubled + 1, len(studies) - lost - doubled) if lost + doubled < len(studies) else 1.0
    print_table(
        f"serve dicom, {len(studies)} studies, {found['kills']} kills of {found['starts']} starts",
        ("studies", "kills", "reports on the server", "lost", "doubled", "share lost or doubled at most (95%)", "seconds"),
        [(len(studies), found["kills"], sum(map(len, reports.values())), lost, doubled, f"{bound:.3f}", f"{found['seconds']:.0f}")],
    )  # fmt: skip
    print(
        f"kills while it fetched or predicted: {found['at_work']}; between that and the end of a push: {found['pushing']}"
    )
    left = {name: count for name, count in found["last"].items() if count and name != "done_before"}
    passed = lost == doubled == 0 and not left and found["last"]["done_before"] == len(studies)
    print(f"every rule holds: {passed} (a further round: {found['last']})")
    sys.exit(not passed)


def send_studies(url: str, folder: Path, count: int, seed: int) -> list[str]:
    """Draw synthetic studies and send their FLAIR series; returns the Study Instance UIDs."""
    command = [
        sys.executable,
        "-m",
        "core",
        "phantom",
        str(folder / "cohort"),
        "--studies",
        str(count),
        "--seed",
        str(seed),
        *TINY_SCAN,
    ]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    studies = set()
    for path in sorted((folder / "cohort" / "train").rglob("FLAIR/*.dcm")):
        requests.post(f"{url}/instances", data=path.read_bytes(), timeout=60).raise_for_status()
        studies.add(str(dcmread(path, stop_before_pixels=True).StudyInstanceUID))
    assert len(studies) == count
    return sorted(studies)


PUSH_SECONDS = 0.02
"""Every second kill falls so soon after results are there to be pushed."""


def answer(url: str, folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Run `serve dicom --once`, killed so often, until it ends by itself, and once more; returns what was seen."""
    rules, state = folder / "rules.toml", folder / "state"
    rules.write_text(
        f'url = "{url}/dicom-web"\nsettle_seconds = 0\n[[rules]]\nname = "all"\ncheckpoint = "demo-synthetic"\nseries = "*"\n'
    )
    words = [sys.executable, "-m", "core", "serve", "dicom", str(rules), "--state", str(state), "--once", "--json"]
    environment = {**os.environ, "MGMT_LAB_HOME": str(folder / "home"), "MGMT_LAB_THREADS": "1"}
    draw = random.Random(arguments.seed)
    seen = {"kills": 0, "starts": 0, "at_work": 0, "pushing": 0}
    began = time.monotonic()
    while True:
        process = subprocess.Popen(words, cwd=PROJECT, env=environment, stdout=subprocess.PIPE)
        seen["starts"] += 1
        limit = None
        if seen["kills"] < arguments.kills:
            wait_for_work(state, process)
            limit = draw.uniform(0, arguments.longest)
            if seen["kills"] % 2 == 0:
                limit = draw.uniform(0, PUSH_SECONDS)
                while process.poll() is None and not any((state / "outbox").glob("*")):
                    time.sleep(0.001)
        try:
            process.communicate(timeout=limit)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            seen["kills"] += 1
            seen["at_work"] += any((state / "tries").glob("*"))
            seen["pushing"] += any((state / "outbox").glob("*"))
    seconds = time.monotonic() - began
    last = subprocess.run(words, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, check=True)
    return {**seen, "seconds": seconds, "last": json.loads(last.stdout)}


def wait_for_work(state: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process is past its imports: it empties its folder of work first."""
    (state / "work").mkdir(parents=True, exist_ok=True)
    mark = state / "work" / "mark"
    mark.touch()
    while mark.exists() and process.poll() is None:
        time.sleep(0.02)


def list_reports(url: str, study: str) -> list[str]:
    """Return the SOP Instance UIDs of the reports that the server has of a study."""
    query = {"StudyInstanceUID": study, "Modality": "SR"}
    found = requests.get(f"{url}/dicom-web/instances", params=query, timeout=60).json()
    return [one["00080018"]["Value"][0] for one in found]


if __name__ == "__main__":
    main()
