"""The claim sheet of a run: what may be claimed, which controls were run, and what was not checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.audit.checks import audit_split
from core.data.clinical.covariates import add_scanners
from core.data.clinical.participants import list_flow, tabulate_covariates
from core.data.join import name_cohorts
from core.dataset.split import PARTS, Split
from core.errors import EvaluationError, RunError
from core.evaluation.figure import Figure
from core.experiments.checklists.checklist import Checklist, Evidence, fill_checklists, read_answers
from core.experiments.checklists.shown import (
    SELECTED_BY,
    Known,
    describe_compute,
    describe_parts,
    describe_slices,
    list_worst,
    show_evidence,
)
from core.experiments.controls.shortcuts import find_shortcuts
from core.experiments.evidence import BY_KIND, Control, find_audit, find_controls, find_external, find_study
from core.experiments.evidence import CONTROLS as EVERY_CONTROL
from core.explain.validation.saliency_record import read_saliency_record
from core.figure_text import value_text
from core.models.card import CheckpointCard, read_card
from core.models.registry import find_architecture
from core.progress import Progress, silent
from core.runs.cohort import open_cohort
from core.runs.evaluation import (
    Evaluation,
    count_test_evaluations,
    describe_looks,
    read_evaluation,
    verify_evaluation,
)
from core.runs.folder import RunFolder, now
from core.runs.records import DataSource
from core.runs.seal import SealReport, seal_of_run
from core.settings import Settings

SHORTCUT_PERMUTATIONS = 99
MOST_SENTENCES = 12
"""Findings of an audit that the sheet lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSheet:
    """Everything that the page shows, in its order."""

    run: str
    created: str
    sentence: str
    """The claim, as far as it goes."""
    banners: tuple[str, ...]
    participants: tuple[tuple[str, int, int], ...]
    """Steps of the flow of participants: what, studies, persons; empty where the run does not carry it."""
    protocol: tuple[tuple[str, str], ...]
    figures: Mapping[str, Mapping[str, Figure]]
    """By whose patients they are, in words."""
    looks: int
    seal: SealReport
    controls: tuple[Control, ...]
    leakage: tuple[str, ...]
    unchecked: tuple[str, ...]
    parts: tuple[Mapping[str, str], ...]
    """Characteristics by part: "covariate", then a column a part."""
    worst: tuple[tuple[str, str, str, str], ...]
    """Test patients judged worst: id, class, probability of the positive class, "right" or "wrong"."""
    compute: tuple[tuple[str, str], ...]
    evidence: Mapping[str, Evidence]
    checklists: tuple[Checklist, ...]

    def to_dict(self) -> dict[str, Any]:
        """As the JSON beside the page: everything on it, and ``answers``, which may be filled in and handed in again."""
        document = asdict(self)
        document["seal"] = self.seal.model_dump(mode="json")
        document["scores"] = {one.name: one.score for one in self.checklists if one.score}
        document["answers"] = {
            one.name: {
                item.number: item.answer for item in one.items if item.answer or item.state == "only the author can say"
            }
            for one in self.checklists
        }
        return document


def gather_claim(
    run: RunFolder,
    settings: Settings,
    leakage: tuple[str, ...] | None = None,
    shortcuts: Control | None = None,
    covariates: Sequence[Mapping[str, str]] = (),
) -> ClaimSheet:
    """Read everything that is known of a run; nothing is evaluated.

    Parameters
    ----------
    run
        A run with a checkpoint.
    settings
        Where ledger, seals and experiments live.
    leakage
        What an audit of the split's images found, a sentence each (empty: nothing); None takes the newest that is stored.
    shortcuts
        What :func:`ask_shortcuts` found; None where it was not run.
    covariates
        What :func:`tabulate_parts` found.

    Raises
    ------
    RunError
        The run has no checkpoint yet.
    """
    if not run.checkpoint.exists():
        raise RunError(f"{run.name} has no checkpoint yet; it comes with its first finished epoch.")
    card, split = read_card(run.checkpoint), run.split()
    flow = run.participants()
    participants = tuple(list_flow(flow)) if flow else ()
    external = find_external(run, settings)
    test = read_evaluation(run, "test")
    others = _other_cohorts(run)
    seal = seal_of_run(run, settings, test.judged if test else None)
    study = find_study(run, settings)
    if shortcuts is None and "shortcuts" in study:
        shortcuts = replace(BY_KIND["shortcuts"], done=True, result=study["shortcuts"])
    leakage = find_audit(run, settings) if leakage is None else leakage
    controls = tuple(
        shortcuts if shortcuts is not None and control.kind == shortcuts.kind else control
        for control in find_controls(run, settings)
    )
    looks = count_test_evaluations(run, settings)
    parts = (*describe_parts(run, card.class_names), *covariates)
    known = Known(
        run=run, card=card, split=split, test=test, others=others, external=external, seal=seal, looks=looks,
        controls={control.kind: control for control in controls}, participants=participants, leakage=leakage, parts=parts,
        study=study,
    )  # fmt: skip
    evidence = show_evidence(known)
    conditions = ["deep", *(["segmentation"] if find_architecture(card.config.architecture).needs_masks else [])]
    return ClaimSheet(
        run=run.name,
        created=now(),
        sentence=_sentence(card, test, others, external, sealed=seal.state == "followed"),
        banners=(*_banners(card, split), *(verify_evaluation(run, card, test, settings) if test else ())),
        participants=participants,
        protocol=_protocol(run, card, split),
        figures=_figures(card, test, others),
        looks=looks,
        seal=seal,
        controls=controls,
        leakage=_leakage(split, leakage),
        unchecked=_unchecked(card, test, others, seal, controls, leakage, subgroups="subgroups" in study),
        parts=parts,
        worst=list_worst(test),
        compute=describe_compute(known),
        evidence=evidence,
        checklists=fill_checklists(evidence, read_answers(run), conditions),
    )


def tabulate_parts(run: RunFolder, settings: Settings) -> list[dict[str, str]]:
    """Return the covariates and scanners of a run's patients by part, a row each; its cohort is scanned again."""
    split = run.split()
    if split.leaky:
        return []
    of_person = {person: part for part in PARTS for person in split.units(part)}
    return tabulate_covariates(add_scanners(open_cohort(run.source, silent, settings)), of_person)


def audit_leakage(run: RunFolder, settings: Settings, progress: Progress = silent) -> tuple[str, ...]:
    """Read every image of a run's cohort and list what is on both sides of its split, a sentence each."""
    cohort = open_cohort(run.source, progress, settings)
    report = audit_split(cohort, run.split(), settings, progress=progress)
    return tuple(finding.message for finding in report.findings if finding.kind.endswith("-on-both-sides"))


def ask_shortcuts(
    source: DataSource, settings: Settings, progress: Progress = silent, *, permutations: int = SHORTCUT_PERMUTATIONS
) -> Control:
    """Return whether headers, blanked brains or shuffled slices of a cohort predict the label.

    Nothing is trained but linear heads (:mod:`core.experiments.controls.shortcuts`). Where it cannot be asked the control is not done, and says why.
    """
    control = next(control for control in EVERY_CONTROL if control.kind == "shortcuts")
    try:
        found = find_shortcuts(
            open_cohort(source, silent, settings), settings, permutations=permutations, progress=progress
        )
    except EvaluationError as error:
        return replace(control, result=f"could not be asked: {error}")
    return replace(control, done=True, result=found.sentence)


def _other_cohorts(run: RunFolder) -> list[Evaluation]:
    digests = sorted(path.stem.removeprefix("evaluation-data-") for path in run.path.glob("evaluation-data-*.json"))
    return [found for digest in digests if (found := read_evaluation(run, "data", digest)) is not None]


def _sentence(
    card: CheckpointCard, test: Evaluation | None, others: list[Evaluation], external: str, *, sealed: bool
) -> str:
    kind = "synthetic " if card.synthetic else ""
    if len(others) > 1:
        return f"External validation. {external}" if external else _range(others)
    evaluations = [("patients of another cohort", one) for one in others] + (
        [("test patients of the same cohort, which chose nothing", test)] if test else []
    )
    if not evaluations:
        return (
            "Nothing may be claimed yet: only validation patients have been evaluated, and they chose the epoch, the "
            "temperature and the threshold."
        )
    whose, evaluation = evaluations[0]
    figure = evaluation.patient["auroc"]
    if figure.value is None or figure.low is None or figure.high is None:
        return f"On {figure.n} {kind}{whose}, no AUROC with an interval can be given: {figure.reason}."
    if evaluation.leaky:
        return (
            f"On {figure.n} {kind}patients whose other slices were trained on, the AUROC by patient with its 95% interval "
            f"is {value_text(figure)}. This says nothing of a new patient."
        )
    # A sealed plan is one look by intent; without one the first look keeps a share of the error for those to come.
    area = (evaluation.judged if sealed else evaluation.corrected or evaluation.patient)["auroc"]
    told = "It is not told from guessing: its interval holds 0.5"
    if area.low is not None and area.low > 0.5:
        told = "It is told from 0.5"
    elif area.high is not None and area.high < 0.5:
        told = "Its interval lies below 0.5: a ranking turned round, or chance, and nothing to claim"
    looks = "".join(f" {sentence}" for sentence in describe_looks(evaluation))
    return f"On {figure.n} {kind}{whose}, the AUROC by patient with its 95% interval is {value_text(figure)}. {told}.{looks}"


def _range(others: list[Evaluation]) -> str:
    """What may be said of several cohorts that nobody has put together: none of them is picked out."""
    values = [value for other in others if (value := other.patient["auroc"].value) is not None]
    if not values:
        return f"On {len(others)} other cohorts, no AUROC can be given."
    return (
        f"On {len(others)} other cohorts the AUROC by patient lies between {min(values):.3f} and {max(values):.3f}; what they say "
        "together has not been asked (external)."
    )


def _banners(card: CheckpointCard, split: Split) -> tuple[str, ...]:
    found = ["For research only; not a medical device, and no advice."]
    if card.synthetic:
        found.append("The cohort is synthetic: these figures say nothing of real scans.")
    if card.labels_shuffled:
        found.append("The labels were shuffled among the patients: a control, which no claim can rest on.")
    if split.leaky:
        found.append(
            "The split is by slice and leaks: slices of one patient are in training and in the evaluated part."
        )
    return tuple(found)


def _protocol(run: RunFolder, card: CheckpointCard, split: Split) -> tuple[tuple[str, str], ...]:
    config, environment = run.config, run.environment()
    prep = config.prep
    parts = ", ".join(f"{count} in {part}" for part, count in card.patients.items())
    commit = environment.get("commit") or "not recorded"
    return (
        ("Cohort", f"digest {card.cohort_digest}{', synthetic' if card.synthetic else ''}"),
        ("Patients", parts),
        ("Split", f"by {split.unit}, {split.source}, seed {split.seed}, digest {split.digest}"),
        ("Sequences", ", ".join(str(sequence) for sequence in card.sequences)),
        ("Images", f"{prep.size_px} x {prep.size_px} px, {describe_slices(config)}; percentiles {prep.percentile_low:g} to "
         f"{prep.percentile_high:g} of each volume"),
        ("Network", f"{config.architecture}; weights started from {card.weights_origin}"),
        ("Training", f"{config.epochs} epochs, batch {config.batch_size}, {config.optimiser.optimiser} at "
         f"{config.optimiser.learning_rate:g}, schedule {config.schedule.schedule}, seed {config.seed}"),
        ("Epoch kept", f"{card.epoch}, by {SELECTED_BY[config.select_on]}"),
        ("Threshold, temperature", f"{card.threshold:.3f}, {card.temperature:.3f}, both chosen on validation patients"),
        ("Preset", f"{config.preset}; {'the paper’s stated values' if card.reproduction else 'not a reproduction of the paper'}"),
        ("Made with", ", ".join(f"{name} {version}" for name, version in card.versions.items()) + f"; commit {commit[:13]}"),
    )  # fmt: skip


def _figures(
    card: CheckpointCard, test: Evaluation | None, others: list[Evaluation]
) -> dict[str, Mapping[str, Figure]]:
    found: dict[str, Mapping[str, Figure]] = {}
    names = name_cohorts(Path(other.data) for other in others)
    for name, other in zip(names, others, strict=True):
        found[f"Patients of another cohort{f': {name}' if len(others) > 1 else ''}"] = other.patient
    if test is not None:
        found["Test patients, which chose nothing" if not test.leaky else "Test part of a leaky split"] = test.patient
    val = card.metrics.get("val", {}).get("patient")
    if val:
        found["Validation patients, which chose the epoch"] = {name: Figure(**figure) for name, figure in val.items()}
    return found


def _leakage(split: Split, audited: tuple[str, ...] | None) -> tuple[str, ...]:
    if split.leaky:
        sides = ("The split is by slice: the same patients are in all parts.",)
    else:
        people = sum(len(split.units(part)) for part in ("train", "val", "test"))
        sides = (f"No patient is in two parts ({people} checked by identity).",)
    if audited is None:
        return (*sides, "Near-duplicate images across the parts were not searched for.")
    if not audited:
        return (*sides, "An audit of every image found no duplicates across the parts.")
    more = (f"and {len(audited) - MOST_SENTENCES} more findings",) if len(audited) > MOST_SENTENCES else ()
    return (*sides, *audited[:MOST_SENTENCES], *more)


def _unchecked(
    card: CheckpointCard,
    test: Evaluation | None,
    others: list[Evaluation],
    seal: SealReport,
    controls: tuple[Control, ...],
    leakage: tuple[str, ...] | None,
    *,
    subgroups: bool,
) -> tuple[str, ...]:
    missing = [f"{control.title}: {control.asks}" for control in controls if not control.done]
    if test is None:
        missing.insert(0, "The untouched test patients: every figure here is of patients that chose something.")
    if not others:
        missing.append("Another hospital's patients (external validation).")
    if leakage is None:
        missing.append("Near-duplicate images on both sides of the split.")
    if seal.state != "followed":
        missing.append("Whether the criterion of success was fixed beforehand (no seal was followed).")
    if card.synthetic:
        missing.append("Anything on real patients.")
    if read_saliency_record(card) is None:
        missing.append("Whether the maps point at what decides.")
    if not subgroups:
        missing.append("Subgroups: age, sex, scanner, site.")
    return tuple(missing)
