"""What one command of the command line left behind, and the settings that make a run tiny."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TINY = tuple(
    word
    for setting in ("size_px=48", "slice_count=3", "batch_size=16", "weights=none", "epochs=2")
    for word in ("--set", setting)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as one strict JSON document."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        return json.loads(self.stdout, parse_constant=refuse)

    def assert_refused(self, *said: str) -> None:
        """Check that it ended as whatever a person can get wrong must: exit 2, one line, nothing else."""
        assert self.status == 2
        assert self.stdout == ""
        assert len(self.stderr.splitlines()) == 1, self.stderr
        assert self.stderr.startswith("error: ")
        for text in said:
            assert text in self.stderr


Command = Callable[..., Result]
