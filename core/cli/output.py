"""What a command says: one JSON document or a few compact lines on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from core.errors import MGMTLabError
from core.evaluation.figure import ESTIMAND_OF, estimand_of
from core.files import describe_os_error

OK, WRONG, INTERRUPTED = 0, 2, 130
"""Exit statuses: done, a wrong input, and 128 + SIGINT as in shells."""

CLEAR_LINE = "\r\x1b[K"
SPARSE_SECONDS = 10.0
REDRAW_SECONDS = 0.1
BAR_WIDTH = 24
LINE_WIDTH = 110
FAULTS_SHOWN = 10
COMMAND_KINDS = {"permute": "permutation", "cross_validate": "cross_validation", "show": "runs", "list_all": "runs"}
"""Commands whose kind of question has another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a finished command prints: ``document`` with ``--json``, else ``lines``."""

    document: object
    lines: Sequence[str]
    exit_status: int = OK
    silent: bool = False
    """Print nothing: another process prints the outcome."""


def state_estimand(outcome: Outcome, command: str) -> Outcome:
    """Return the outcome of a command that prints figures with what these estimate, as a line and in the document."""
    kind = COMMAND_KINDS.get(command, command)
    if kind not in ESTIMAND_OF or not isinstance(outcome.document, dict):
        return outcome
    said = outcome.document.get("estimand", estimand_of(kind))
    return replace(outcome, document={**outcome.document, "estimand": said}, lines=[*outcome.lines, said])


def answer_folder(arguments: Sequence[str], entry: str, answer: Callable[[Path], None]) -> int:
    """Answer the question of an experiment's folder as ``python -m entry FOLDER``, and return a command's exit status."""
    if len(arguments) != 1:
        note(f"error: name the folder of one experiment: python -m {entry} FOLDER")
        return WRONG
    try:
        answer(Path(arguments[0]).resolve())
    except (MGMTLabError, OSError) as error:
        words = describe_os_error(error) if isinstance(error, OSError) else " ".join(str(error).split())
        note(f"error: {words}")
        return WRONG
    except KeyboardInterrupt:
        note("Interrupted.")
        return INTERRUPTED
    return OK


def to_json(document: object) -> str:
    """Write strict JSON: a number that JSON does not have (NaN, infinity) is a bug of ours and raises ValueError."""
    return json.dumps(document, indent=2, allow_nan=False)


def plain(text: object) -> str:
    """Make text from headers and file names safe to print: no control characters, no half code points."""
    return "".join(character if character.isprintable() else "?" for character in str(text))


def note(text: str) -> None:
    """Write a line to standard error, over an unfinished progress bar."""
    print(f"{CLEAR_LINE if sys.stderr.isatty() else ''}{plain(text)}", file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> list[str]:
    """Set rows in columns: numbers to the right, text to the left, two blanks between."""
    cells = [[_cell(value) for value in row] for row in ([header] if header else [])]
    body = [list(row) for row in rows]
    cells += [[_cell(value) for value in row] for row in body]
    if not cells:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    numeric = [
        bool(body) and all(row[column] is None or isinstance(row[column], (int, float)) for row in body)
        for column in range(len(widths))
    ]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else "-"
    return plain(value)


def fault_lines(faults: list[dict[str, str]]) -> list[str]:
    """The first faults in full and how many more there are."""
    lines = [f"  ! {plain(fault['path'])}: {plain(fault['reason'])}" for fault in faults[:FAULTS_SHOWN]]
    if len(faults) > FAULTS_SHOWN:
        lines.append(f"  ! and {len(faults) - FAULTS_SHOWN} more; --json lists them all")
    return lines


class TerminalProgress:
    """A one-line bar with rate and time left where standard error is a terminal.

    Elsewhere a line now and then, and none for what is soon done. Work that comes in stages, each counted from
    the start, gives a bar for each.
    """

    def __init__(self, title: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`stream` is standard error by default; `clock` gives seconds."""
        self.title = title
        self.stream = stream or sys.stderr
        self.clock = clock
        self.live = self.stream.isatty()
        self.stage: tuple[int, float, int] | None = None
        """Total, and when and at which item the stage was first heard of: what was done by then has no rate."""
        self.done = 0
        self.shown = -math.inf

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Report that `done` of `total` items are finished, the last of them `what`."""
        now = self.clock()
        if self.stage is None or self.stage[0] != total or done < self.done:
            self.stage, self.shown = (total, now, done), -math.inf if self.live else now
        self.done = done
        finished = done >= total
        if self.live and not finished and now - self.shown < REDRAW_SECONDS:
            return
        if not self.live and now - self.shown < SPARSE_SECONDS and not (finished and self.shown > self.stage[1]):
            return
        self.shown = now
        line = self._line(done, total, plain(what), now - self.stage[1], done - self.stage[2])
        if self.live:
            self.stream.write(f"{CLEAR_LINE}{line[:LINE_WIDTH]}" + ("\n" if finished else ""))
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def _line(self, done: int, total: int, what: str, seconds: float, gained: int) -> str:
        parts = [self.title, f"{done}/{total}"]
        if self.live:
            filled = round(BAR_WIDTH * done / total) if total else BAR_WIDTH
            parts.insert(1, f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]")
        if gained > 0 and seconds > 0:
            rate = gained / seconds
            parts.append(f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each")
            parts.append(f"{clock_text((total - done) / rate)} left" if done < total else f"in {clock_text(seconds)}")
        return "  ".join([*parts, what]).rstrip()


def clock_text(seconds: float) -> str:
    """Write a duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
