"""Whether the series of a study share one frame of reference, so that one place in millimetres is one place in the patient.

Positions of two DICOM series can be compared where their Frame of Reference UID (0020,0052) is the same (PS3.3 C.7.4.1).
NIfTI has no such attribute, and de-identification often removes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from core.data.select import is_set_aside
from core.data.study import Series, Study
from core.errors import FrameOfReferenceError

if TYPE_CHECKING:
    from core.config import PrepConfig

Frames = Literal["same", "different", "unknown"]


def compare_frames(series: Iterable[Series]) -> Frames:
    """Return "different" where two series state different frames, "unknown" where one of several states none."""
    stated = [one.frame_of_reference_uid for one in series]
    if len(set(stated) - {""}) > 1:
        return "different"
    return "unknown" if "" in stated and len(stated) > 1 else "same"


def check_frames(source: Sequence[Series], prep: PrepConfig) -> None:
    """Refuse to lay series of different frames over each other; see ``PrepConfig.frames``.

    Raises
    ------
    FrameOfReferenceError
        A common grid is asked for, the frames are known to differ, and ``prep.frames`` is "refuse".
    """
    if prep.grid_mm and prep.frames == "refuse" and compare_frames(source) == "different":
        raise FrameOfReferenceError(
            f"Study {source[0].study_id}: its series lie in different frames of reference ({_describe(source)}), so a common "
            "grid would lay different places over each other. Register them (prepare --from raw does it), or, "
            "where you know that they are registered, train with --set frames=assume_registered."
        )


def warn_frames(source: Sequence[Series], prep: PrepConfig) -> list[str]:
    """Say what is assumed of series on a common grid: at most one sentence."""
    found = compare_frames(source) if prep.grid_mm else "same"
    if found == "unknown":
        silent = ", ".join(str(one.sequence) for one in source if not one.frame_of_reference_uid)
        return [f"{silent} state no frame of reference: the series are assumed to be registered to one another."]
    if found == "different":
        return [
            f"The series lie in different frames of reference ({_describe(source)}) and are assumed to be registered to one "
            "another, as the checkpoint's preparation says (frames=assume_registered)."
        ]
    return []


def count_frames(studies: Iterable[Study]) -> dict[Frames, int]:
    """Count studies of two or more volumes by whether these share a frame of reference."""
    counts: Counter[Frames] = Counter()
    for study in studies:
        volumes = [one for one in study.series if one.kind != "picture" and not is_set_aside(one)]
        if len(volumes) > 1:
            counts[compare_frames(volumes)] += 1
    return {"same": counts["same"], "different": counts["different"], "unknown": counts["unknown"]}


def note_frames(studies: Iterable[Study]) -> list[str]:
    """Say in how many studies a common grid would be refused, and in how many registration is assumed."""
    counts = count_frames(studies)
    notes = []
    if counts["different"]:
        notes.append(
            f"In {counts['different']} studies the series lie in different frames of reference: a preparation on a common grid "
            "leaves these studies out, unless they are registered or frames=assume_registered is set."
        )
    if counts["unknown"]:
        notes.append(
            f"In {counts['unknown']} studies not every series states its frame of reference: on a common grid they are assumed "
            "to be registered."
        )
    return notes


def _describe(source: Sequence[Series]) -> str:
    """Name the series frame by frame: "FLAIR, T1w | T2w"."""
    groups: dict[str, list[str]] = {}
    for one in source:
        groups.setdefault(one.frame_of_reference_uid, []).append(str(one.sequence))
    return " | ".join(", ".join(names) + ("" if uid else " (none stated)") for uid, names in groups.items())
