"""What stands in a page is for people: a command or an option is only ever offered in a block of code, to be copied."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import PROJECT_ROOT

FILES = sorted(path for folder in ("ui", "pages") for path in (PROJECT_ROOT / folder).rglob("*.py"))
COMMAND = re.compile(r"python3? -m|pip install|(?<![\w-])--[a-z]{2,}")


def shown_texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts of a module but those that are passed to st.code, docstrings and style sheets."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr == "code":
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and "<style>" not in child.value:
            yield child.value
        yield from shown_texts(child)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_a_page_names_no_command_outside_a_block_of_code(path: Path) -> None:
    found = [text for text in shown_texts(ast.parse(path.read_text())) if COMMAND.search(text)]
    assert not found


def test_a_command_in_a_sentence_would_be_found() -> None:
    tree = ast.parse("st.caption('Run `python -m core maps`.')\nst.code('python -m core maps')\nst.help('as --set')")
    assert [text for text in shown_texts(tree) if COMMAND.search(text)] == ["Run `python -m core maps`.", "as --set"]
