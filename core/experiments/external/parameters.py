"""What the two questions over several cohorts ask, and how they are made from folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.config import RunConfig
from core.data.join import name_cohorts
from core.errors import ConfigError, DataError
from core.files import digest_file, read_document
from core.jobs.experiment import Question, make_question
from core.models.card import BEST, read_card
from core.models.catalogue import checkpoint_name
from core.runs.folder import RunFolder, absolute_source
from core.runs.records import DataSource

EXTERNAL = "external"
LEAVE_OUT = "leave_one_cohort_out"
MOST_COHORTS = 50


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    crosswalk: str = ""
    """Table of ids that are one person in two of the cohorts; empty where there is none."""
    pairs: str = ""
    """Table in which a person says of pairs that only look the same whether they are one."""


class ExternalParameters(_Parameters):
    """Which checkpoint is evaluated on which cohorts."""

    checkpoint: str
    """Its file."""
    sha256: str
    """Of the file: another training under the same name is another question."""
    run: str = ""
    """Folder of its run, by which its own patients are known; empty for a file that came alone."""
    cohorts: tuple[DataSource, ...]
    """In the order in which they are evaluated: of a person in two of them, the first keeps it."""


class LeaveOutParameters(_Parameters):
    """What is left out in turn."""

    by: Literal["cohort", "site"] = "cohort"
    """Cohorts of several that are joined, or sites within one."""
    matrix: bool = False
    """Also train on each alone, and evaluate on every other."""


def ask_external(checkpoint: Path, cohorts: Sequence[DataSource], *, crosswalk: str = "", pairs: str = "") -> Question:
    """Return the question how a checkpoint does on cohorts.

    Raises
    ------
    CheckpointError
        It is missing or damaged.
    ConfigError
        No cohort, one twice, or too many.
    """
    _check_cohorts(cohorts, 1)
    card = read_card(checkpoint)
    run = RunFolder(checkpoint.parent) if checkpoint.name == BEST else None
    parameters = ExternalParameters(
        checkpoint=str(checkpoint.expanduser().resolve()),
        sha256=digest_file(checkpoint),
        run="" if run is None else str(run.path),
        cohorts=tuple(absolute_source(one) for one in cohorts),
        crosswalk=_absolute(crosswalk),
        pairs=_absolute(pairs),
    )
    return make_question(EXTERNAL, parameters, card.config, cohorts[0] if run is None else run.source)


def ask_leave_out(
    config: RunConfig,
    cohorts: Sequence[DataSource],
    *,
    by: Literal["cohort", "site"] = "cohort",
    matrix: bool = False,
    crosswalk: str = "",
    pairs: str = "",
) -> Question:
    """Return the question what training without each cohort, or site, finds on it.

    Who is in two of the cohorts is settled when it is answered.

    Raises
    ------
    ConfigError
        Too few cohorts, or several for sites within one.
    """
    _check_cohorts(cohorts, 1 if by == "site" else 2)
    if by == "site" and len(cohorts) > 1:
        raise ConfigError("Sites are left out within one cohort; name one, or leave out whole cohorts (--by cohort).")
    parameters = LeaveOutParameters(by=by, matrix=matrix, crosswalk=_absolute(crosswalk), pairs=_absolute(pairs))
    by_patient = config.model_copy(update={"split": config.split.model_copy(update={"split_unit": "patient"})})
    source = cohorts[0].model_copy(update={"joined": tuple(cohorts[1:])})
    return make_question(LEAVE_OUT, parameters, by_patient, source)


def read_cohort_source(place: str, options: Mapping[str, object]) -> DataSource:
    """Return how a cohort is read: `place` is its folder, read by `options`, or a JSON file that says it all.

    The file holds an object with ``root`` (relative to the file, unless absolute) and any of the other fields of
    :class:`core.runs.records.DataSource`, as a run's data.json does; `options` fill what it leaves open.

    Raises
    ------
    DataError
        There is neither, or the file says something else.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        return DataSource(root=place, **options)  # type: ignore[arg-type]
    if path.suffix.lower() != ".json" or not path.is_file():
        raise DataError(
            f"There is no folder {place}; name one that holds a cohort, or a .json file that says how to read it."
        )
    try:
        content = read_document(path)
        for name in ("root", "labels", "identity"):
            if content.get(name):
                content[name] = str(path.parent / Path(content[name]).expanduser())
        unknown = sorted(set(content) - set(DataSource.model_fields))
        if unknown:
            raise ValueError(f"it does not know {', '.join(unknown)}; there are: {', '.join(DataSource.model_fields)}")
        source = DataSource.model_validate({**options, **content})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise DataError(
            f'{place} does not say how to read a cohort ({reason}); it needs at least {{"root": FOLDER}}.'
        ) from error
    if not Path(source.root).is_dir():
        raise DataError(f"There is no folder {source.root}, which {place} names; name one that holds a cohort.")
    return source


def count_trainings(question: Question) -> int | None:
    """Return how many trainings leaving out takes; None for sites, which are known once the cohort is read."""
    parameters = LeaveOutParameters(**question.parameters)
    if parameters.by == "site":
        return None
    return (1 + len(question.source.joined)) * (2 if parameters.matrix else 1)


def subject_name(parameters: ExternalParameters) -> str:
    """Return the name of the checkpoint."""
    return checkpoint_name(Path(parameters.checkpoint))


def cohort_names(sources: Sequence[DataSource]) -> tuple[str, ...]:
    """Return a short name for each cohort, none twice."""
    return name_cohorts(Path(one.root) for one in sources)


def _check_cohorts(cohorts: Sequence[DataSource], fewest: int) -> None:
    if not fewest <= len(cohorts) <= MOST_COHORTS:
        raise ConfigError(f"It takes {fewest} to {MOST_COHORTS} cohorts, not {len(cohorts)}; name their folders.")
    roots = [str(Path(one.root).expanduser().resolve()) for one in cohorts]
    twice = sorted({root for root in roots if roots.count(root) > 1})
    if twice:
        raise ConfigError(f"{twice[0]} is named twice; name each cohort once.")


def _absolute(place: str) -> str:
    return str(Path(place).expanduser().resolve()) if place else ""
