"""prepare: fill the cache of prepared images; from raw, process the scans first."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from core.cli.cohort import on_backend, read_cohort
from core.cli.config import read_config
from core.cli.output import Outcome, TerminalProgress, fault_lines, plain
from core.cli.parser import UsageError
from core.cli.raw import read_raw
from core.data.clinical.labels import Target
from core.data.cohort import scan_cohort
from core.data.raw.cohort import process_cohort
from core.data.raw.config import RawConfig
from core.data.study import Cohort
from core.dataset.table import build_table
from core.mri import CLASS_NAMES
from core.settings import Settings


@on_backend
def prepare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Prepare every series through the cache."""
    config = read_config(arguments)
    cohort = read_cohort(arguments, settings)
    raw = read_raw(arguments)
    if raw is None and arguments.out:
        raise UsageError("--out is where scans processed from raw go; add --from raw, or leave it out.")
    processed: dict[str, Any] = {}
    if raw is not None:
        cohort, processed = process_raw(cohort, raw, arguments, settings)
    images = build_table(cohort, config.prep, settings, jobs=arguments.jobs, progress=TerminalProgress("preparing"))
    faults = [{"path": fault.path, "reason": fault.reason} for fault in (*cohort.faults, *images.faults)]
    document = {
        "studies": len(cohort),
        "series": len(images.arrays),
        "pictures": len(images),
        "blank_slices": sum(images.blank_counts),
        "prep": config.prep.model_dump(mode="json"),
        "cache": str(settings.cache),
        "unreadable": faults,
        **({"raw": processed} if processed else {}),
    }
    lines = [
        f"{len(images)} images of {config.prep.size_px} x {config.prep.size_px} px from {len(images.arrays)} series "
        f"of {len(cohort)} studies are in {settings.cache}; {document['blank_slices']} blank slices were left out.",
        *fault_lines(faults),
        *raw_lines(processed),
    ]
    return Outcome(document=document, lines=lines)


def process_raw(
    cohort: Cohort, config: RawConfig, arguments: argparse.Namespace, settings: Settings
) -> tuple[Cohort, dict[str, Any]]:
    """Process a cohort from raw and read the result as any cohort is read; what was done is returned as plain values."""
    folder = Path(arguments.out).expanduser() if arguments.out else default_folder(cohort, config, settings)
    outcome = process_cohort(
        cohort,
        config,
        folder,
        settings,
        target=arguments.target,
        jobs=arguments.jobs,
        progress=TerminalProgress("processing from raw"),
    )
    target = Target(column=arguments.target, positive=arguments.positive)
    read = scan_cohort(
        folder,
        settings=settings,
        target=Target() if cohort.class_names == CLASS_NAMES else target,
        session="all",
        identity=Path(arguments.identity) if arguments.identity else None,
    )
    return read, {"out": str(folder), "processing": config.name, **outcome.to_dict()}


def default_folder(cohort: Cohort, config: RawConfig, settings: Settings) -> Path:
    """Return where a processed cohort lies in the cache: the same cohort and steps give the same folder."""
    name = re.sub(r"[^\w.]+", "-", config.name).strip("-")
    return settings.cache / "raw" / f"{cohort.digest}-{name}"


def raw_lines(processed: dict[str, Any]) -> list[str]:
    """What was processed, and each study that was refused with the reason."""
    if not processed:
        return []
    pace = processed["cpu_seconds_per_series"]
    took = "" if pace is None else f", {pace:.1f} CPU seconds a series"
    return [
        f"{processed['processing']}: {processed['processed']} studies ({processed['reused']} of them were there already"
        f"{took}) are in {processed['out']}, a cohort as any other.",
        *(f"  ! study {plain(one['study_id'])} refused: {plain(one['reason'])}" for one in processed["refused"]),
    ]
