"""Foreign text on every page: no image, link, HTML, colour or icon of a stranger's comes out of any of 25 strings."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from core.models.card import replace_card
from core.phantom.cohort import make_phantom
from core.phantom.config import PhantomConfig
from core.runs.folder import RunFolder
from core.runs.records import DataSource
from core.runs.tags import change_tags, write_words
from core.settings import PROJECT_ROOT
from tests.pages.reading import App
from ui.widgets import text as widget_text

INJECTED = (
    "![evil](http://evil)", "[evil](http://evil)", "<img src=//evil>", "<script>evil</script>", "<a href=//evil>x</a>",
    "http://evil.example", "https://evil.example", "www.evil.example", "<http://evil>", "me@evil.example",
    ":red[evil]", ":material/evil:", ":blue-badge[evil]", "$evil$", "**evil**", "~~evil~~",
    "`evil`", "# evil", "> evil", "- evil", "[evil]: http://evil", "&lt;evil&gt;", "<style>evil{}</style>",
    "[x](javascript:evil)", "<svg onload=evil>",
)  # fmt: skip
"""None is longer than a tag."""
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("strikethrough")
OURS = re.compile(r":material/(?!evil)\w+:")
DIRECTIVE = re.compile(r"(?<!\\):(?:[\w-]*\[|material/)[^\]]*evil")
BARE = re.compile(r"(?:https?://|www\.|\S+@)evil", re.IGNORECASE)
MATHS = re.compile(r"(?<!\\)\$evil")
READ = frozenset({"body", "label", "help", "tooltip", "text", "caption"})
"""Fields of Streamlit's messages that are drawn as markdown."""


def texts(message: Message) -> Iterator[str]:
    """Yield what is drawn as markdown, at any depth."""
    for field, value in message.ListFields():
        for one in [value] if isinstance(value, (Message, str, bytes, int, float)) else value:
            if isinstance(one, Message):
                yield from texts(one)
            elif isinstance(one, str) and field.name in READ:
                yield one


def active(text: str) -> list[str]:
    """Return what a browser would make of a text beside words: links, images, markup, directives, formatting."""
    found = [match.group() for pattern in (DIRECTIVE, MATHS) for match in pattern.finditer(text)]
    plain_words = []
    for block in MARKDOWN.parse(text):
        for token in (block, *(block.children or ())):
            if token.type == "text":
                plain_words.append(token.content)
            elif "evil" in f"{token.content} {token.attrs}" and token.type != "inline":
                found.append(f"{token.type} {token.content} {token.attrs}")
        inside = [token.type for token in block.children or ()]
        if "evil" in block.content and {"strong_open", "s_open", "em_open"} & set(inside):
            bare = block.content.replace("\\*", "").replace("\\~", "")
            found += re.findall(r"\*\*evil|~~evil", bare)
    return found + BARE.findall("".join(plain_words))


def on_page(app: AppTest) -> list[str]:
    """Return what is active of the injected strings on a page."""
    found = []
    for node in app._tree:
        message = getattr(node, "proto", None)
        if isinstance(message, Message) and getattr(node, "type", "") not in (
            "code",
            "json",
            "iframe",
            "arrow_data_frame",
        ):
            found += [f"{node.type}: {one}" for text in texts(message) if "evil" in text for one in active(text)]
    return found


@pytest.fixture(scope="module")
def hostile_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort whose folder and studies have a stranger's names."""
    root = tmp_path_factory.mktemp("hostile") / "www.evil.example ![evil] :red[evil] `evil`"
    make_phantom(root, PhantomConfig(studies=4, signal=3, slices=8, size=48), jobs=1)
    for number, study in enumerate(sorted((root / "train").iterdir())):
        name = (*[one.replace("/", "⁄") for one in INJECTED[6 : 6 + 4]],)[number]
        study.rename(study.with_name(f"{study.name} {name}"))
    return root


@pytest.fixture
def hostile(finished_run: RunFolder, with_checkpoint: Path, hostile_root: Path) -> DataSource:
    """A run, its checkpoint, an own checkpoint and a cohort in which everything that is text is a stranger's."""
    some, others, more = (" ".join(INJECTED[start::3]) for start in range(3))
    card: dict[str, Any] = {
        "name": some[:500],
        "class_names": (INJECTED[0], INJECTED[4]),
        "weights_origin": others[:500],
        "processing": more[:500],
    }
    for path in (with_checkpoint, finished_run.checkpoint):
        content = path.resolve()
        path.unlink()
        shutil.copy(content, path)
        replace_card(path, lambda stored: stored.model_copy(update=card))
    status = {"note": others[:500], "message": more, "state": "stopped"}
    finished_run.write_status(finished_run.status().model_copy(update=status))
    environment = {"class_names": list(card["class_names"]), "weights": {"summary": some}, "versions": {"x": others}}
    (finished_run.path / "environment.json").write_text(json.dumps(environment))
    change_tags(finished_run, add=[one for one in INJECTED if "," not in one][:20])
    write_words(finished_run, INJECTED[0] + INJECTED[5], " ".join([*INJECTED[10:], *INJECTED[:5]])[:500])
    return DataSource(root=str(hostile_root))


PAGES = sorted(path.name for path in (PROJECT_ROOT / "pages").glob("*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_no_page_makes_anything_of_them(page: str, open_app: App, hostile: DataSource) -> None:
    app = open_app(page, Path(hostile.root), query={"run": "done"} if page in ("runs.py", "compare.py") else None)
    assert not app.exception
    assert on_page(app) == []


def test_without_the_escaping_it_would_be_found(
    open_app: App, hostile: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = re.compile(r"((?!))")  # with the group that the replacement names
    monkeypatch.setattr(widget_text, "_MARKDOWN", never)
    monkeypatch.setattr(widget_text, "_LINK", never)
    app = open_app("runs.py", Path(hostile.root), query={"run": "done"})
    assert not app.exception
    found = on_page(app)
    assert {kind for kind in ("link_open", "image", "html_inline", "[evil") if any(kind in one for one in found)} == {
        "link_open", "image", "html_inline", "[evil",
    }  # fmt: skip


@pytest.mark.parametrize("text", INJECTED)
def test_each_of_them_is_active_by_itself_and_words_once_escaped(text: str) -> None:
    tame = {*INJECTED[17:22], "[x](javascript:evil)"}  # a line of their own, or nothing at all
    assert bool(active(f"{text} ")) or text in tame
    assert active(f"See {widget_text.plain(text)} here.") == []
