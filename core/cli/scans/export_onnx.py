"""export onnx: a checkpoint with a graph that needs no PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli.output import Outcome, plain
from core.inference.onnx_export import export_onnx
from core.models.card import read_card
from core.models.catalogue import checkpoint_name, find_checkpoint
from core.settings import Settings


def export(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write the bundle."""
    path = find_checkpoint(arguments.checkpoint, settings)
    folder = Path(arguments.out).expanduser()
    written = export_onnx(path, folder, checkpoint_name(path), replace=arguments.replace)
    document = {
        "folder": str(folder),
        "checkpoint": str(written.checkpoint),
        "graph": str(written.graph),
        "bytes": written.graph.stat().st_size,
        "difference": written.difference,
        **written.info.model_dump(mode="json", include={"architecture", "classes", "example", "times_faster"}),
        "card": read_card(written.checkpoint).model_dump(mode="json"),
    }
    lines = [
        f"Written: {plain(written.graph)} ({document['bytes']} bytes), which takes its weights from {written.checkpoint.name}.",
        f"Its probabilities differ from PyTorch's by {written.difference:.1e} at most, and it is "
        f"{written.info.times_faster:.2f} times as fast, on noise and one thread.",
    ]
    return Outcome(document=document, lines=lines)
