"""The house stays as it was drawn: imports run one way, and nothing heavy stands at the top."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import core
from core.settings import PROJECT_ROOT

LAYERS = (
    ("core",),
    ("core.presets",),
    ("core.evaluation",),
    ("core.models",),
    ("core.data",),
    ("core.phantom",),
    ("core.dataset",),
    ("core.audit", "core.deidentify", "core.inference"),
    ("core.explain",),
    ("core.runs",),
    ("core.training",),
    ("core.jobs",),
    ("core.experiments",),
    ("core.reports",),
    ("core.serve",),
)
"""Our packages from the lowest to the highest: each imports itself and what stands below it. ``core`` alone is errors,
settings, config and their like; the command line stands above all."""

HEAVY = {"torch", "torchvision", "pytorch_grad_cam", "monai", "sklearn"}
"""Seconds to import. A module either imports them at its top, or is free of them: see :data:`LIGHT`."""

LIGHT = (
    "ui", "pages", "core.cli.main", "core.config", "core.presets", "core.settings", "core.data.cohort",
    "core.data.upload", "core.models.card", "core.models.catalogue", "core.models.zoo", "core.runs", "core.training.trainer",
    "core.training.evaluate", "core.jobs.queue", "core.jobs.experiment", "core.phantom",
    "core.evaluation", "core.models.registry", "core.models.ensemble", "core.models.card_text", "core.models.costs",
    "core.explain.methods", "core.explain.overlay", "core.explain.validation.saliency_record",
    "core.inference.prediction", "core.audit",
)  # fmt: skip
"""Modules, and packages with all their modules, whose top-level imports must not lead to anything heavy: the app's first
paint and the start of the command line load them."""

MIXED = {"core.training.segmenter", "core.training.tensorboard", "ui.widgets.loaders"}
"""Modules that import a heavy library late all the same: MONAI's losses and TensorBoard, which few trainings need; the app's
one place that loads a network."""

LATE_IMPORTS = 60
"""Ceiling on imports inside functions in the whole tree."""

FULLEST_FOLDER = 20
"""Ceiling on modules in one folder."""

BEHIND_LOOP = 45
"""Ceiling on modules of ours that the training loop leads to, imports inside functions counted."""

LONGEST_FUNCTION, LONGEST_FILE = 90, 500
"""Ceilings on lines, docstrings counted: a function fits two screens, a file is read at one sitting."""

NAMED_WIDGETS = {
    "button", "download_button", "link_button", "form_submit_button", "popover", "expander", "toggle", "checkbox", "radio",
    "selectbox", "multiselect", "pills", "segmented_control", "slider", "select_slider", "text_input", "text_area",
    "number_input", "date_input", "file_uploader", "menu_button",
}  # fmt: skip
"""Widgets whose label is their name; where it takes too much room, ``label_visibility`` hides it from the eye alone."""

ENTRANCES = {"core.cli", "core.__main__"}
"""The command line stands above everything in core."""


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        yield from imports_of(node)


def imports_of(node: ast.AST) -> Iterator[str]:
    """What one statement imports, with the module that a name is imported from in front."""
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
    upwards = {(package(name), target) for target in ours - {package(name), *below}}
    assert not upwards, f"{name} imports upwards: {upwards}"


def is_light(name: str) -> bool:
    return any(name == light or name.startswith(f"{light}.") for light in LIGHT)


def late_imports(tree: ast.AST) -> set[ast.AST]:
    """Import statements inside functions; one in a nested function counts once."""
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {
        node for function in functions for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
    }


def own(target: str) -> str | None:
    """The module of ours that an imported name is, or belongs to."""
    if target in TREES:
        return target
    parent = target.rpartition(".")[0]
    return parent if parent in TREES else None


TREES = {name: ast.parse(path.read_text()) for name, path in modules("core", "ui", "pages")}
LOADED = {name: set(top_level_imports(tree)) for name, tree in TREES.items()}
"""What each module imports when it is imported."""


def loaded_with(name: str) -> set[str]:
    """Every name that importing a module imports, however far away."""
    found: set[str] = set()
    pending = [name]
    while pending:
        for target in LOADED[pending.pop()] - found:
            found.add(target)
            module = own(target)
            while module:
                pending.append(module)
                module = own(module.rpartition(".")[0])
    return found


def import_edges() -> dict[str, set[str]]:
    """Which modules of ours each imports, at the top or inside functions; a package's own __init__ does not count."""
    edges: dict[str, set[str]] = {}
    for name, tree in TREES.items():
        typing_only = for_types(tree)
        found = {own(target) for node in ast.walk(tree) if node not in typing_only for target in imports_of(node)}
        edges[name] = {module for module in found if module} - {name, name.rpartition(".")[0]}
    return edges


def import_circles() -> list[list[str]]:
    """Groups of modules that import each other."""
    edges = import_edges()
    behind = {name: reach(name, edges) for name in edges}
    groups = {frozenset({name, *(other for other in behind[name] if name in behind[other])}) for name in edges}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def for_types(tree: ast.AST) -> set[ast.AST]:
    """Everything under ``if TYPE_CHECKING``."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    return {node for block in blocks for node in ast.walk(block)}


def reach(start: str, edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        new = edges[pending.pop()] - found
        found |= new
        pending += new
    return found


@pytest.mark.parametrize("name", [name for name in TREES if is_light(name)])
def test_what_starts_fast_loads_nothing_heavy(name: str) -> None:
    heavy = {target for target in loaded_with(name) if target.split(".")[0] in HEAVY}
    assert not heavy, f"importing {name} imports {sorted(heavy)}"


def test_index_starts_without_what_takes_longer_to_import_than_an_unchanged_cohort_to_read() -> None:
    names = ("core.cli.main", "core.cli.options.data", "core.cli.data.index")
    loaded = {target.split(".")[0] for name in names for target in loaded_with(name)}
    assert loaded & {"pydantic", "pandas", "pydicom", "numpy", "PIL", "scipy", *HEAVY} == set()


def test_a_module_imports_torch_at_its_top_or_not_at_all() -> None:
    """What is heavy is imported late only by a light module, and then through a module of ours that has it at its top."""
    heavy_modules = {name for name in TREES if any(target.split(".")[0] in HEAVY for target in loaded_with(name))}
    mixed = set()
    for name, tree in TREES.items():
        late = {target for node in late_imports(tree) for target in imports_of(node)}
        if any(
            target.split(".")[0] in HEAVY or (name in heavy_modules and own(target) in heavy_modules) for target in late
        ):
            mixed.add(name)
    assert mixed <= MIXED, f"{sorted(mixed - MIXED)}: import it at the top, or from a module that does"


def test_few_imports_stand_inside_functions() -> None:
    count = sum(len(late_imports(tree)) for tree in TREES.values())
    assert count <= LATE_IMPORTS


def test_an_import_inside_a_function_saves_loading() -> None:
    """A module that is loaded anyway is imported at the top."""
    useless = []
    for name, tree in TREES.items():
        loaded = loaded_with(name)
        known = loaded | {own(target) for target in loaded} | {target.split(".")[0] for target in loaded - set(TREES)}
        useless += [
            f"{name} imports {target}"
            for statement in late_imports(tree)
            for target in imports_of(statement)
            if (own(target) or target.split(".")[0]) in known - {"core", "ui", "pages"}
        ]
    assert not useless


def test_no_imports_in_circles() -> None:
    assert not import_circles()


def test_the_training_loop_is_read_without_half_the_tree() -> None:
    behind = reach("core.training.loop", import_edges())
    assert len(behind) <= BEHIND_LOOP, f"{len(behind)}: {sorted(behind)}"


def test_functions_and_files_are_read_at_one_sitting() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in modules("core", "ui", "pages")}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}
    functions = {
        f"{name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: count for name, count in functions.items() if count > LONGEST_FUNCTION} == {}


def test_no_folder_holds_too_much() -> None:
    counts = Counter(path.parent.relative_to(PROJECT_ROOT).as_posix() for _, path in modules("core", "ui", "pages")
                     if path.name != "__init__.py")  # fmt: skip
    assert not [folder for folder, count in counts.items() if count > FULLEST_FOLDER]


@pytest.mark.parametrize(("name", "path"), list(modules("ui", "pages")), ids=lambda value: str(value))
def test_pages_stay_apart(name: str, path: Path) -> None:
    found = list(imports(ast.parse(path.read_text())))
    if name.startswith("ui"):
        assert not [target for target in found if target.startswith("pages")]
    else:
        assert not [target for target in found if target.split(".")[0] in {"pages", "torch", "pydicom"}]


def test_every_button_has_a_name() -> None:
    """An icon alone is read aloud as the icon's own name, and a help text is not always read."""
    nameless = [
        f"{name}:{call.lineno}"
        for name, tree in TREES.items()
        if name.startswith(("ui", "pages"))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in NAMED_WIDGETS
        for label in (*call.args[:1], *(word.value for word in call.keywords if word.arg == "label"))
        if isinstance(label, ast.Constant) and not re.sub(r":material/\w+:", "", str(label.value)).strip()
    ]
    assert not nameless


def test_code_blocks_are_in_the_colour_of_text() -> None:
    """Streamlit's colours of a language have too little contrast: commands in the light theme, TOML in the dark one."""
    coloured = [
        f"{name}:{call.lineno}"
        for name, tree in TREES.items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "st.code"
        and "language=None" not in ast.unparse(call)
    ]
    assert not coloured


def test_reading_a_cohort_needs_no_torch() -> None:
    code = "import sys, core.data.cohort, core.data.upload, core.runs.folder, core.models.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0


def test_every_module_says_what_it_is() -> None:
    silent = [
        name
        for name, path in modules("core", "ui", "pages")
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_the_way_from_file_to_map_leads_through_what_is_there() -> None:
    way = re.findall(r"[a-z_]+(?:\.[A-Za-z_]+)+", (core.__doc__ or "").split("::")[1])
    assert len(way) == 7
    for step in way:
        pkgutil.resolve_name(f"core.{step}")
