"""HTML pages from the templates beside this module: one file each, which needs nothing else and fetches nothing."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""What a browser lets a page do: nothing of it leaves the reader's machine, whatever a run is called."""

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(template: str, estimand: str, **content: object) -> str:
    """Fill a template; every text is escaped unless it is :class:`markupsafe.Markup`. `estimand`: what its figures are of."""
    return TEMPLATES.get_template(template).render(policy=POLICY, minute=_minute, estimand=estimand, **content)


def _minute(created: str) -> str:
    """A stored time to the minute: ``2026-01-31 12:00``."""
    return created[:16].replace("T", " ")
