"""The house stays as it was drawn: imports run one way, and nothing heavy stands at the top."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT

LAYERS = (
    ("core",),
    ("core.evaluation", "core.models"),
    ("core.data",),
    ("core.phantom",),
    ("core.dataset",),
    ("core.audit", "core.inference"),
    ("core.explain",),
    ("core.runs",),
    ("core.training",),
    ("core.jobs",),
    ("core.experiments",),
    ("core.reports",),
)
"""Our packages from the lowest to the highest: each imports itself and what stands below it. ``core`` alone is errors,
settings, config and their like; the command line stands above all."""

NOT_YET = {
    ("core.data", "core.phantom"), ("core.data", "core.dataset"), ("core.phantom", "core.dataset"),
    ("core.runs", "core.training"), ("core.jobs", "core.experiments"),
}  # fmt: skip
"""What still runs upwards."""

HEAVY = {"torch", "torchvision", "pytorch_grad_cam", "monai", "sklearn"}
"""Seconds to import: only inside the functions that need them."""

ENTRANCES = {"core.cli", "core.__main__"}
"""The command line stands above everything in core."""


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    """Those that run on import: not the ones in functions, nor those under TYPE_CHECKING."""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)


def package(name: str) -> str:
    parts = name.split(".")
    is_package = len(parts) > 1 and (PROJECT_ROOT / parts[0] / parts[1]).is_dir()
    return ".".join(parts[: 2 if is_package else 1])


def layer_of(package_name: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if package_name in layer)


@pytest.mark.parametrize(("name", "path"), list(modules("core")), ids=lambda value: str(value))
def test_imports_run_one_way(name: str, path: Path) -> None:
    found = list(imports(ast.parse(path.read_text())))
    assert not [target for target in found if target.split(".")[0] in {"streamlit", "ui", "pages"}]
    if package(name) in ENTRANCES or name in ENTRANCES:
        return
    ours = {package(target) for target in found if target.split(".")[0] == "core"}
    below = [one for layer in LAYERS[: layer_of(package(name))] for one in layer]
    upwards = {(package(name), target) for target in ours - {package(name), *below}} - NOT_YET
    assert not upwards, f"{name} imports upwards: {upwards}"


@pytest.mark.parametrize(("name", "path"), list(modules("core", "ui", "pages")), ids=lambda value: str(value))
def test_nothing_heavy_is_imported_at_the_top(name: str, path: Path) -> None:
    heavy = {target.split(".")[0] for target in top_level_imports(ast.parse(path.read_text()))} & HEAVY
    assert not heavy, f"{name} imports {heavy} at its top"


@pytest.mark.parametrize(("name", "path"), list(modules("ui", "pages")), ids=lambda value: str(value))
def test_pages_stay_apart(name: str, path: Path) -> None:
    found = list(imports(ast.parse(path.read_text())))
    if name.startswith("ui"):
        assert not [target for target in found if target.startswith("pages")]
    else:
        assert not [target for target in found if target.split(".")[0] in {"pages", "torch", "pydicom"}]


def test_reading_a_cohort_needs_no_torch() -> None:
    code = "import sys, core.data.cohort, core.data.upload, core.runs.folder, core.models.checkpoint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0


def test_every_module_says_what_it_is() -> None:
    silent = [
        name
        for name, path in modules("core", "ui", "pages")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
