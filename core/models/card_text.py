"""A checkpoint's card in words, for people who find the file without the app."""

from __future__ import annotations

from core.evaluation.figure import ESTIMANDS
from core.figure_text import figure_text
from core.models.card import EVALUATED_PATIENTS, CheckpointCard

SHOWN = ("auroc", "auprc", "balanced_accuracy", "accuracy", "majority_accuracy", "sensitivity", "specificity", "brier")


def describe_card(card: CheckpointCard) -> str:
    """Write a model card in Markdown: what the checkpoint is, what it is not, and what was measured."""
    config = card.config
    lines = [f"# {card.name}", "", *_what_it_is(card), "", "## What it is not", "", *_what_it_is_not(card), ""]
    lines += [
        "## Figures",
        "",
        f"Per patient, with 95% intervals. {ESTIMANDS['folds' if card.members else 'checkpoint']}",
        "",
    ]
    for part in EVALUATED_PATIENTS:
        figures = card.metrics.get(part, {}).get("patient", {})
        if figures:
            lines += [f"On {card.describe_patients(part)}:", "", "| figure | value |", "| --- | --- |"]
            lines += [
                f"| {name.replace('_', ' ')} | {figure_text(figures[name])} |" for name in SHOWN if name in figures
            ]
            lines += [""]
    lines += _maps(card)
    lines += ["## How it was made", "", f"Epoch {card.epoch} of {config.epochs}, selected on {config.select_on}.", ""]
    lines += ["```json", config.model_dump_json(indent=2), "```", ""]
    lines += [f"- cohort digest {card.cohort_digest}, split digest {card.split_digest}"]
    lines += [f"- {name} {version}" for name, version in sorted(card.versions.items())]
    return "\n".join(lines) + "\n"


def _maps(card: CheckpointCard) -> list[str]:
    """What the test of its map found, where one was kept."""
    test = card.map_test
    if not test:
        return []
    return [
        "## Its map",
        "",
        f"{test['method']} at {test['layer']}, on {test['pictures']} images of {test['studies']} synthetic studies, which "
        "alone know where the tumour is. Strongest inside the tumour:",
        "",
        "| map | share |",
        "| --- | --- |",
        f"| as learnt | {figure_text(test['hits'])} |",
        f"| as learnt, within {test['tolerance_px']:.0f} px | {figure_text(test['near_hits'])} |",
        f"| the network with random weights | {figure_text(test['random_hits'])} |",
        f"| a place drawn at random in the head | {figure_text(test['chance'])} |",
        "",
    ]


def _what_it_is(card: CheckpointCard) -> list[str]:
    positive = card.class_names[card.positive_class]
    patients = ", ".join(f"{count} in {part}" for part, count in card.patients.items())
    return [
        f"A {card.config.architecture} that gives the probability of {positive!r} for single slices of "
        f"{', '.join(card.sequences)}, averaged over a study.",
        "",
        f"- trained on: {'a synthetic cohort' if card.synthetic else 'a cohort'}; patients: {patients}",
        f"- split: by {card.split_unit}{' (leaky: slices of one patient on both sides)' if card.split_unit == 'slice' else ''}",
        f"- weights started from: {card.weights_origin}",
        f"- threshold {card.threshold:.3f} and temperature {card.temperature:.3f}, {card.describe_calibration()}",
        *(f"- {line}" for line in _sets(card)),
        f"- guard: {card.describe_guard()}",
        f"- image: {card.config.prep.size_px} x {card.config.prep.size_px} px, planes seen: {', '.join(card.planes) or 'not stated'}",
    ]


def _sets(card: CheckpointCard) -> list[str]:
    """What the checkpoint promises of sets of classes, per class."""
    if not card.conformal:
        return []
    return [
        f"sets of classes at {card.conformal['level']:.0%}, {name}: {words}"
        for name, words in zip(card.class_names, card.describe_sets(), strict=True)
    ]


def _what_it_is_not(card: CheckpointCard) -> list[str]:
    lines = ["- Not a medical device; for research only. Nothing it says is advice."]
    if card.synthetic:
        lines.append(
            "- Not a model of real brains: it has seen synthetic ones alone. On a real scan its answer means nothing."
        )
    if card.labels_shuffled:
        lines.append("- Not a model of anything: its labels were dealt out to the patients at random, as a control.")
    if not card.reproduction:
        lines.append("- Not a reproduction of the paper.")
    if card.split_unit == "slice":
        lines.append("- Not evidence of how well a new patient is predicted: its split leaks.")
    return lines
