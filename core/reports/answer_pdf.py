"""The page of an answer as PDF, by reportlab, with its fonts in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from reportlab.graphics.shapes import Circle, Drawing, Line, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table
from reportlab.platypus.flowables import Flowable, Image, PageBreak, Spacer

from core.evaluation.figure import estimand_of
from core.figure_text import number_text
from core.reports.answer import RESEARCH, AnswerReport, Picture, write_html

FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"
"""As matplotlib ships them, free to embed: they have Latin, Greek and Cyrillic letters; of others a box is drawn."""
WIDTH = A4[0] - 30 * mm
TEAL, GREY, PALE, ORANGE = HexColor("#0b6a78"), HexColor("#5c6975"), HexColor("#e3e8ec"), HexColor("#c65200")
WARNINGS_SHOWN, LONGEST_WARNING = 6, 260


def write_answers(kind: str, reports: Sequence[AnswerReport]) -> bytes:
    """Return the content of a file with a page for each answer; `kind` is "pdf" or "html"."""
    return write_html(reports).encode() if kind == "html" else write_pdf(reports)


def write_pdf(reports: Sequence[AnswerReport]) -> bytes:
    """Return the PDF: a page for each report, "research only" at the top and bottom of every page."""
    _register_fonts()
    story: list[Flowable] = []
    for report in reports:
        story += [PageBreak()] if story else []
        story += _compose(report)
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=15 * mm, rightMargin=15 * mm, topMargin=17 * mm, bottomMargin=15 * mm,
        title=f"MGMT Lab: {_clean(reports[0].study_id)}", author="MGMT Lab", subject=RESEARCH,
    )  # fmt: skip
    document.build(story, onFirstPage=_draw_frame, onLaterPages=_draw_frame)
    return stream.getvalue()


@cache
def _register_fonts() -> None:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (FONT, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


def _draw_frame(canvas: Any, document: Any) -> None:
    canvas.saveState()
    canvas.setFillColor(ORANGE)
    canvas.setFont(BOLD, 8)
    canvas.drawString(15 * mm, A4[1] - 10 * mm, RESEARCH)
    canvas.setFont(FONT, 7)
    canvas.drawString(15 * mm, 8 * mm, RESEARCH)
    canvas.setFillColor(GREY)
    canvas.drawRightString(A4[0] - 15 * mm, 8 * mm, f"MGMT Lab, page {document.page}")
    canvas.restoreState()


def _compose(report: AnswerReport) -> Iterator[Flowable]:
    yield _text(f"Study {report.study_id}", 15, BOLD)
    yield _text(f"{report.checkpoint}; {report.created[:16].replace('T', ' ')} UTC", 7.5, colour=GREY)
    if report.synthetic:
        yield _text(report.synthetic, 8.5, colour=ORANGE)
    yield Spacer(1, 2 * mm)
    if report.shown:
        if report.reason:
            yield _text(f"Refused, and shown anyway, for study: {report.reason}", 8.5, colour=ORANGE)
            yield _text(f"{report.title}: {number_text(report.probability)}. {report.verdict}", 8, colour=GREY)
        else:
            yield _text(f"{report.title}: {number_text(report.probability)}", 13, BOLD, TEAL)
            yield _draw_scale(report)
            yield _text(report.verdict, 9)
    else:
        yield _text("No answer", 13, BOLD, ORANGE)
        yield _text(report.reason, 9.5)
    yield from (_text(f"• {sentence}", 8) for sentence in report.worth)
    yield _text(estimand_of("predict"), 7.5, colour=GREY)
    yield Spacer(1, 2 * mm)
    if report.pictures:
        yield _lay_pictures(report.pictures)
    yield _text(report.map_words, 7.5, colour=GREY)
    more = len(report.warnings) - WARNINGS_SHOWN
    warnings = [
        *report.warnings[:WARNINGS_SHOWN],
        *([f"and {more} more: predict --json lists all."] if more > 0 else []),
    ]
    for title, sentences in (
        ("What was checked", report.checked),
        ("What was not", report.unchecked),
        ("What to doubt", warnings),
    ):
        if sentences:
            yield _text(title, 9.5, BOLD, before=2.2 * mm)
            yield from (_text(f"• {_shorten(sentence)}", 8) for sentence in sentences)


def _text(words: str, size: float, font: str = FONT, colour: Any = None, before: float = 0.6 * mm) -> Paragraph:
    style = ParagraphStyle(
        "own", fontName=font, fontSize=size, leading=size * 1.28, textColor=colour or HexColor("#18222d"),
        spaceBefore=before, splitLongWords=True,
    )  # fmt: skip
    return Paragraph(escape(_clean(words)), style)


def _draw_scale(report: AnswerReport) -> Drawing:
    drawing = Drawing(WIDTH, 14)
    drawing.add(Rect(0, 4, WIDTH, 5, fillColor=PALE, strokeColor=None))
    if report.threshold is not None:
        place = WIDTH * report.threshold
        drawing.add(Line(place, 0, place, 13, strokeColor=GREY, strokeWidth=1.2))
    drawing.add(Circle(4 + (WIDTH - 8) * report.probability, 6.5, 4, fillColor=TEAL, strokeColor=None))
    return drawing


def _lay_pictures(pictures: Sequence[Picture]) -> Table:
    """Two in a row, each over its caption."""
    width = (WIDTH - 6 * mm) / 2
    cells = [_lay_picture(picture, width) for picture in pictures]
    cells += [[]] * (len(cells) % 2)
    table = Table(
        [cells[start : start + 2] for start in range(0, len(cells), 2)], colWidths=[WIDTH / 2] * 2, hAlign="LEFT"
    )
    table.setStyle(
        [("LEFTPADDING", (0, 0), (-1, -1), 0), ("TOPPADDING", (0, 0), (-1, -1), 1), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    )
    return table


def _lay_picture(picture: Picture, width: float) -> list[Flowable]:
    image = Image(io.BytesIO(picture.png))
    scale = min(width / image.imageWidth, 44 * mm / image.imageHeight)
    image.drawWidth, image.drawHeight, image.hAlign = image.imageWidth * scale, image.imageHeight * scale, "LEFT"
    return [image, _text(picture.caption, 7.5, colour=GREY)]


def _clean(words: str) -> str:
    """One line of what the font can draw."""
    glyphs = pdfmetrics.getFont(FONT).face.charToGlyph
    return "".join(one if ord(one) in glyphs and one.isprintable() else "□" for one in " ".join(words.split()))


def _shorten(sentence: str) -> str:
    return sentence if len(sentence) <= LONGEST_WARNING else f"{sentence[: LONGEST_WARNING - 1]}…"
