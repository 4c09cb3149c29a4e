"""The claim sheet as one HTML page, to print or to save: no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from core.evaluation.figure import Figure
from core.evaluation.figures import FIGURE_TITLES
from core.experiments.claim_sheet import ClaimSheet

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.5 system-ui, sans-serif; color: #18222d; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; border-bottom: 1px solid #cfd6dc; }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #e3e8ec; }
th { font-weight: 600; } td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.sentence { font-size: 1.1rem; border-left: 4px solid #0b6a78; padding: .4rem .8rem; background: #f1f6f7; }
.banner { border: 1px solid #c65200; border-radius: 4px; padding: .3rem .7rem; margin: .3rem 0; }
.muted { color: #5c6975; } .open { color: #5c6975; font-style: italic; } svg { max-width: 100%; height: auto; }
p { overflow-wrap: anywhere; }
@media (max-width: 600px) { tr, td, th { display: block; border: 0; padding: 0; } tr { border-bottom: 1px solid #e3e8ec; padding: .3rem 0; }
  tr.head { display: none; } td[data-is]:not([data-is=""])::before { content: attr(data-is) ": "; color: #5c6975; } }
@media print { body { margin: 0; max-width: none; font-size: 11px; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""

SHOWN = (
    "auroc", "auprc", "balanced_accuracy", "accuracy", "majority_accuracy", "sensitivity", "specificity", "brier",
    "log_loss", "ece",
)  # fmt: skip


def write_claim_page(sheet: ClaimSheet) -> str:
    """Write the page; every text from elsewhere is escaped."""
    seal = sheet.seal
    times = f"{sheet.looks} {'time' if sheet.looks == 1 else 'times'}"
    parts = [
        f"<h1>Claim sheet: {escape(sheet.run)}</h1>",
        f'<p class="muted">MGMT Lab, made {escape(sheet.created[:16].replace("T", " "))} UTC.</p>',
        *(f'<p class="banner">{escape(text)}</p>' for text in sheet.banners),
        f'<p class="sentence">{escape(sheet.sentence)}</p>',
        _forest(sheet.figures),
        "<h2>Looks and seal</h2>",
        f"<p>The test patients have been looked at {times}, by any run. {escape(seal.words)}</p>",
        f'<p class="muted">Seal SHA-256: {escape(seal.seal.hash)}</p>' if seal.seal else "",
        "<h2>Figures by patient</h2>",
        *(_figures(whose, figures) for whose, figures in sheet.figures.items()),
        "<h2>Controls</h2>",
        _controls(sheet),
        "<h2>Leakage</h2>",
        _bullets(sheet.leakage),
        "<h2>What was not checked</h2>",
        _bullets(sheet.unchecked),
        "<h2>Protocol</h2>",
        _table(((name, value) for name, value in sheet.protocol), ("", "")),
        "<h2>Checklist, in the spirit of CLAIM and TRIPOD+AI</h2>",
        '<p class="muted">Filled from the run where it can be; the rest is left open for the author.</p>',
        _checklist(sheet),
    ]
    title = escape(f"Claim sheet: {sheet.run}")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head><body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _forest(figures: Mapping[str, Mapping[str, Figure]]) -> str:
    """AUROC with interval of each group of patients, drawn from 0 to 1."""
    rows = [(whose, found["auroc"]) for whose, found in figures.items() if found["auroc"].value is not None]
    if not rows:
        return ""
    left, width, line = 330, 380, 30
    height = line * len(rows) + 40

    def place(value: float) -> float:
        return left + width * value

    marks = [
        f'<line x1="{place(0.5)}" y1="6" x2="{place(0.5)}" y2="{height - 26}" stroke="#7b8794" stroke-dasharray="4 3"/>',
        f'<text x="{place(0.5)}" y="{height - 10}" text-anchor="middle" font-size="11">0.5, guessing</text>',
        *(f'<text x="{place(x)}" y="{height - 10}" text-anchor="middle" font-size="11">{x:g}</text>' for x in (0, 1)),
    ]
    for number, (whose, figure) in enumerate(rows):
        y = 20 + line * number
        assert figure.value is not None
        marks.append(f'<text x="0" y="{y + 4}" font-size="12">{escape(whose)}, n = {figure.n}</text>')
        if figure.low is not None and figure.high is not None:
            marks.append(
                f'<line x1="{place(figure.low):.1f}" y1="{y}" x2="{place(figure.high):.1f}" y2="{y}" stroke="#0b6a78" stroke-width="2"/>'
            )
        marks.append(f'<circle cx="{place(figure.value):.1f}" cy="{y}" r="5" fill="#0b6a78"/>')
    label = "AUROC by patient with its 95% interval"
    return f'<svg viewBox="0 0 {left + width + 20} {height}" role="img" aria-label="{label}">{"".join(marks)}</svg>'


def _figures(whose: str, figures: Mapping[str, Figure]) -> str:
    rows = [
        (FIGURE_TITLES[name], _value(figures[name]), str(figures[name].n), figures[name].method or figures[name].reason)
        for name in SHOWN
        if name in figures
    ]
    return f"<h3>{escape(whose)}</h3>" + _table(rows, ("figure", "value (95% interval)", "n", "how"))


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "none"
    interval = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low is not None and figure.high is not None else ""
    return f"{figure.value:.3f}{interval}"


def _controls(sheet: ClaimSheet) -> str:
    rows = [
        (control.title, control.asks, control.result or "not done", control.otherwise) for control in sheet.controls
    ]
    return _table(rows, ("control", "asks", "result", "it would come out the other way if"))


def _checklist(sheet: ClaimSheet) -> str:
    rows = "".join(
        f"<tr><td>{'☑' if item.answer else '☐'}</td><th>{escape(item.topic)}</th>"
        + (f"<td>{escape(item.answer)}</td>" if item.answer else f'<td class="open">open: {escape(item.ask)}</td>')
        + "</tr>"
        for item in sheet.checklist
    )
    return f"<table>{rows}</table>"


def _bullets(texts: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _table(rows: Iterable[tuple[str, ...]], header: tuple[str, ...]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header) if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f'<td{" class=number" if place == 1 and len(row) == 4 and row[2].isdigit() else ""} '
                         f'data-is="{escape(header[place] if place else "")}">{escape(cell)}</td>'
                         for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )  # fmt: skip
    head_row = f'<tr class="head">{head}</tr>' if head else ""
    return f"<table>{head_row}{body}</table>"
