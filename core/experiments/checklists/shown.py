"""What a run shows of each matter that the checklists ask for; the keys are those of the tables' column "evidence"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from core.config import RunConfig
from core.dataset.split import Split
from core.evaluation.calibration import measure_calibration
from core.evaluation.power import smallest_auroc
from core.evaluation.thresholds import decision_curve, decision_words
from core.experiments.checklists.checklist import Evidence
from core.experiments.evidence import Control
from core.explain.validation.saliency_record import read_saliency_record
from core.figure_text import number_text, value_text
from core.models.card import CheckpointCard
from core.models.costs import read_costs
from core.runs.evaluation import Evaluation
from core.runs.folder import RunFolder
from core.runs.seal import SealReport

SELECTED_BY = {
    "val_accuracy": "validation accuracy by slice",
    "val_patient_auroc": "validation AUROC by patient",
    "val_loss": "validation loss",
}
"""What chose the epoch, in words."""
ROBUST = ("robustness", "specification", "optimism")
WORST = 10
"""Patients listed as judged worst."""
SCANNER = ("manufacturer", "scanner", "field_strength", "magnetic_field", "model", "site")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything known of a run, read once."""

    run: RunFolder
    card: CheckpointCard
    split: Split
    test: Evaluation | None
    others: Sequence[Evaluation]
    external: str
    seal: SealReport
    looks: int
    controls: Mapping[str, Control]
    participants: Sequence[tuple[str, int, int]]
    leakage: Sequence[str] | None
    parts: Sequence[Mapping[str, str]]
    """Characteristics by part (:func:`describe_parts`)."""
    study: Mapping[str, Any]
    """Results of a whole study of this run by step; empty where there was none."""


def show_evidence(known: Known) -> dict[str, Evidence]:
    """Return the evidence on every matter that a checklist names."""
    return {**_design(known), **_method(known), **_results(known), **_checks(known)}


def describe_slices(config: RunConfig) -> str:
    """Which slices of a series are taken."""
    prep = config.prep
    return (
        "every slice"
        if prep.slice_choice == "all"
        else f"{prep.slice_count} slices of each series ({prep.slice_choice})"
    )


def list_worst(test: Evaluation | None) -> tuple[tuple[str, str, str, str], ...]:
    """Return the test patients whose probability is farthest from their class: id, class, probability, said to be."""
    if test is None:
        return ()
    labels, probabilities = test.patient_labels, test.patient_probabilities
    own = probabilities[np.arange(len(labels)), labels]
    positive = probabilities[:, test.positive_class]
    rows = []
    for index in np.argsort(own, kind="stable")[:WORST]:
        wrong = (positive[index] >= test.threshold) != (labels[index] == test.positive_class)
        rows.append(
            (str(test.patient_ids[index]), test.class_names[labels[index]], f"{positive[index]:.3f}",
             "wrong" if wrong else "right")
        )  # fmt: skip
    return tuple(rows)


def describe_parts(run: RunFolder, class_names: Sequence[str]) -> list[dict[str, str]]:
    """Return patients, slices and slices of each class by part, a row each, as the run recorded them."""
    sizes = run.environment().get("sizes") or {}
    parts = [part for part in ("train", "val", "test") if part in sizes]
    if not parts:
        return []
    rows = [{"covariate": name, **{part: str(sizes[part][name]) for part in parts}} for name in ("patients", "slices")]
    for index, name in enumerate(class_names):
        rows.append({"covariate": f"slices, {name}", **{part: str(sizes[part]["per_class"][index]) for part in parts}})
    return rows


def describe_compute(known: Known) -> tuple[tuple[str, str], ...]:
    """What it took: network, machine, time and memory, and the version of the code."""
    environment, epochs = known.run.environment(), known.run.epochs()
    cost = read_costs().get(known.card.config.architecture)
    memory = max((record.memory_bytes or 0 for record in epochs), default=0)
    gpu = max((record.gpu_memory_bytes or 0 for record in epochs), default=0)
    size = (
        f"; {cost.parameters:,} weights, {cost.multiply_adds / 1e9:.2f} x 10^9 multiply-adds an example" if cost else ""
    )
    rows = (
        ("Network", known.card.config.architecture + size),
        ("Processor", f"{environment.get('processor', '')}, {environment.get('threads', '?')} threads"),
        ("Training", f"{sum(record.seconds for record in epochs):.0f} s in {len(epochs)} epochs"),
        ("Most memory", f"{memory / 1e9:.1f} GB" + (f", {gpu / 1e9:.1f} GB on the GPU" if gpu else "")),
        ("Code", f"MGMT Lab {known.card.versions.get('mgmt-lab', '?')}, commit {(environment.get('commit') or 'not recorded')[:13]}"),
    )  # fmt: skip
    return tuple((name, text) for name, text in rows if text.strip(", ?"))


def _shown(text: str, anchor: str) -> Evidence:
    return Evidence(state="shown here", text=text, anchor=anchor)


def _missing(text: str) -> Evidence:
    return Evidence(state="not shown here", text=text)


def _either(text: str, anchor: str, otherwise: str) -> Evidence:
    return _shown(text, anchor) if text else _missing(otherwise)


def _against(text: str, anchor: str) -> Evidence:
    return Evidence(state="contradicted here", text=text, anchor=anchor)


def _design(known: Known) -> dict[str, Evidence]:
    card, split, seal = known.card, known.split, known.seal
    counts = ", ".join(f"{count} {part}" for part, count in card.patients.items())
    held_out = card.patients.get("test", 0)
    size = f"{sum(card.patients.values())} patients"
    if held_out >= 8:
        size += f"; {held_out} held out tell an AUROC of {smallest_auroc(held_out):.2f} from 0.5 with 80% power"
    flow = "; ".join(f"{name} {studies} studies of {persons} persons" for name, studies, persons in known.participants)
    covariates = " ".join(row["covariate"].lower() for row in known.parts)
    characteristics = len(known.parts) > 0 and "age" in covariates
    if seal.state in ("broken", "changed", "late"):
        hypothesis = _against(seal.words, "seal")
    else:
        hypothesis = _either(seal.words if seal.seal else "", "seal", "no plan was sealed (seal)")
    return {
        "hypothesis": hypothesis,
        "flow": _either(flow, "participants", "the flow was not recorded; train anew"),
        "selection": _shown(
            f"{', '.join(map(str, card.sequences))}; {describe_slices(card.config)}; planes {', '.join(card.planes) or 'any'}",
            "protocol",
        ),
        "scanners": _either(
            "vendor or field strength by part" if any(name in covariates for name in SCANNER) else "",
            "characteristics",
            "make the sheet with an audit of the cohort; the author adds the protocol",
        ),
        "centres": _either(
            f"{len(known.others) + 1} cohorts" if known.others else "",
            "figures",
            "one cohort; the author can say of which sites",
        ),
        "characteristics": _either(
            f"{len(known.parts)} characteristics by part" if characteristics else "",
            "characteristics",
            "ages and the like are not there: a clinical table, and an audit with the sheet, give them",
        ),
        "partition": _shown(f"by {split.unit}, {split.source}, seed {split.seed}: {counts}", "protocol"),
        "disjoint": _against("the split is by slice: the same patients are in all parts", "leakage")
        if split.leaky
        else _against(f"{len(known.leakage)} images or persons stand on both sides", "leakage")
        if known.leakage
        else _shown("by patient" + ("" if known.leakage is None else ", no duplicates found"), "leakage"),
        "sample_size": _shown(size, "protocol"),
        "checklist": _shown("this sheet; whether every item is met is the author's to see", "claim_2024"),
    }


def _method(known: Known) -> dict[str, Evidence]:
    card, config = known.card, known.card.config
    prep, optimiser = config.prep, config.optimiser
    normal = f"{prep.normalise}, {prep.size_px} x {prep.size_px} px, {describe_slices(config)}"
    return {
        "preparation": _shown(normal, "protocol"),
        "model": _shown(f"{config.architecture}, its weights and costs", "compute"),
        "versions": _shown(", ".join(f"{name} {version}" for name, version in card.versions.items()), "protocol"),
        "initial": _shown(card.weights_origin, "protocol"),
        "training": _shown(
            f"{config.epochs} epochs, batch {config.batch_size}, {optimiser.optimiser} at {optimiser.learning_rate:g}, seed {config.seed}",
            "protocol",
        ),
        "choice": _shown(f"epoch {card.epoch}, by {SELECTED_BY[config.select_on]}", "protocol"),
        "ensemble": _shown(f"{len(card.members)} networks" if card.members else "one network, no ensemble", "protocol"),
        "imbalance": _shown(f"class weights: {config.class_weights}", "protocol"),
        "threshold": _shown(
            f"probability, threshold {card.threshold:.3f}, temperature {card.temperature:.3f}", "protocol"
        ),
        "protocol": _shown("split.json, config.json and environment.json in the run's folder", "protocol"),
    }


def _results(known: Known) -> dict[str, Evidence]:
    test, look = known.test, "evaluate the test patients once, when the plan is final (evaluate)"
    names = ("performance", "uncertainty", "internal", "failures", "calibration", "usefulness")
    found: dict[str, Evidence] = {name: _missing(look) for name in names}
    if test is not None:
        area = value_text(test.patient["auroc"])
        found |= {
            "performance": _shown(f"AUROC {area}, and AUPRC, Brier and others by patient", "figures"),
            "uncertainty": _shown("95% intervals over patients with n and method", "figures"),
            "internal": _against(f"AUROC {area}, but other slices of these patients were trained on", "figures")
            if test.leaky
            else _shown(f"AUROC {area} on {test.patient['auroc'].n} patients that chose nothing", "figures"),
            "failures": _shown(f"the {len(list_worst(test))} patients judged worst", "worst"),
        }
        if len(test.class_names) == 2:
            found |= _probabilities(test)
    found["external"] = _either(
        known.external or (f"{len(known.others)} other cohorts were evaluated" if known.others else ""),
        "figures",
        "patients of another institution (external)",
    )
    found["looks"] = (
        _against(f"the test patients were evaluated {known.looks} times", "seal")
        if known.looks > 1
        else _shown(f"the test patients were evaluated {known.looks} times", "seal")
    )
    return found


def _probabilities(test: Evaluation) -> dict[str, Evidence]:
    """Calibration and use of the probabilities that the checkpoint gives, on the test patients."""
    truth = test.patient_labels == test.positive_class
    probability = test.patient_probabilities[:, test.positive_class]
    measured = measure_calibration(truth, logit(np.clip(probability, 1e-12, 1 - 1e-12)))
    words = ", ".join(f"{name.replace('_', ':')} {value_text(figure)}" for name, figure in measured.items())
    return {
        "calibration": _shown(f"{words}; n = {len(truth)}", "figures"),
        "usefulness": _shown(decision_words(decision_curve(truth, probability)), "figures"),
    }


def _checks(known: Known) -> dict[str, Evidence]:
    controls = known.controls
    done = [controls[kind] for kind in ROBUST if kind in controls and controls[kind].done]
    record = read_saliency_record(known.card)
    shortcuts, optimism = controls["shortcuts"], controls.get("cross_validation") or controls["optimism"]
    inner = [one for one in (optimism, controls["optimism"], controls["permutation"]) if one.done]
    guilty = shortcuts.done and not shortcuts.result.startswith("None predicts")
    baselines, sites = str(known.study.get("baselines", "")), str(known.study.get("sites", ""))
    return {
        "robustness": _either(
            " ".join(f"{one.result.rstrip('.')}." for one in done), "controls", "robustness, specification or optimism"
        ),
        "maps": _shown(f"strongest inside the tumour in {value_text(record.hits, percent=True)} of {record.pictures} synthetic "
                       f"pictures, with random weights in {number_text(record.random_hits.value, percent=True)}", "protocol")
        if record
        else _missing("maps were not checked (maps)"),
        "confounding": (_against if guilty else _shown)(shortcuts.result, "controls")
        if shortcuts.done
        else _missing("shortcuts were not asked (shortcuts, or an audit with the sheet)"),
        "optimism": _either(" ".join(f"{one.result.rstrip('.')}." for one in inner), "controls",
                            "cross-validation, optimism or permutation"),
        "subgroups": _either(str(known.study.get("subgroups", "")), "figures",
                             "age, sex, site and scanner were not compared here (study, or referee with those columns)"),
        "sites": _either(sites, "controls", "one cohort as a whole; leave-one-cohort-out by site shows it"),
        "baselines": _either(baselines, "controls", "no clinical predictor was compared (study)"),
        "simple_models": _either(baselines, "controls", "no simple model was compared (study)"),
        "sequences": _shown("one sequence", "protocol")
        if len(known.card.sequences) == 1
        else _missing("several sequences and no single one compared (specification --vary sequences)"),
    }  # fmt: skip
