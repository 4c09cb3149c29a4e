"""Choosing a checkpoint, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import CheckpointError
from core.evaluation.figure import Figure
from core.figure_text import figure_text
from core.models.card import CheckpointCard
from core.models.catalogue import checkpoint_name, list_checkpoints
from core.settings import Settings
from ui.runs.runs import owns_run
from ui.widgets.loaders import load_card
from ui.widgets.state import choose_checkpoint, chosen_checkpoint, current_settings
from ui.widgets.text import plain

MAKE_DEMO = "make demo-checkpoint"
"""The command that trains the checkpoint that ships with the project."""


def offered_checkpoints(settings: Settings) -> list[Path]:
    """The checkpoints that this visitor may use: in hosted mode none of another visitor's runs."""
    found = list_checkpoints(settings)
    if not settings.hosted:
        return found
    return [path for path in found if settings.runs not in path.parents or owns_run(path.parent.name)]


def shipped_beside(path: Path) -> list[Path]:
    """The other checkpoints that ship with the project, where this one does."""
    settings = current_settings()
    shipped = [one for one in offered_checkpoints(settings) if one.parent == settings.shipped_checkpoints]
    return [one for one in shipped if one != path] if path in shipped else []


def ask_checkpoint() -> Path | None:
    """Let the visitor choose; None, with the way out, where there is no checkpoint at all."""
    offered = offered_checkpoints(current_settings())
    if not offered:
        st.info(
            f"There is no checkpoint yet. Train one on the **Train** page, or make the one that ships with the project: "
            f"`{MAKE_DEMO}`.",
            icon=":material/info:",
        )
        st.page_link("pages/train.py", label="Train a checkpoint", icon=":material/model_training:")
        return None
    paths = [str(path) for path in offered]
    chosen = chosen_checkpoint()
    picked = st.selectbox(
        "Checkpoint",
        paths,
        index=paths.index(chosen) if chosen in paths else 0,
        format_func=_title,
        key="checkpoint.asked",  # without one the widget is another after each choice, and the next choice is lost
        help="The trained network that answers. Its own figures stand below it.",
    )
    if picked not in paths:  # A forged message can name what was not offered.
        picked = paths[0]
    choose_checkpoint(picked)
    return Path(picked)


def show_badges(card: CheckpointCard) -> None:
    """What a reader must know before any figure: synthetic, leaky, a reproduction or not."""
    with st.container(horizontal=True, gap="xsmall"):
        if card.synthetic:
            st.badge(
                "trained on synthetic brains",
                icon=":material/science:",
                color="orange",
                help="Its answer on a real scan means nothing.",
            )
        if card.labels_shuffled:
            st.badge(
                "labels shuffled: a control",
                icon=":material/shuffle:",
                color="red",
                help="Its labels were dealt out to the patients at random: its answers mean nothing.",
            )
        if card.split_unit == "slice":
            st.badge(
                "leaky split",
                icon=":material/warning:",
                color="red",
                help="Slices of one patient stood in training and in validation: its figures do not say how well it "
                "does on a new patient.",
            )
        else:
            st.badge("split by patient", color="gray", help="Every patient stood in exactly one part.")
        if card.reproduction:
            st.badge("reproduces the paper", color="gray")


def own_auroc(card: CheckpointCard) -> tuple[Figure, str] | None:
    """The AUROC per patient to show beside an answer, and whose it is; None where the card has none."""
    found = card.reported_auroc()
    if found is None:
        return None
    whose, content = found
    known = {key: content[key] for key in ("value", "low", "high", "n", "reason", "method") if key in content}
    return Figure(**known), whose


def auroc_words(card: CheckpointCard) -> str:
    """The figure with its interval, its n and whose it is."""
    found = own_auroc(card)
    return f"{figure_text(found[0], 'patients')} ({found[1]})" if found else "not recorded"


def show_card(card: CheckpointCard) -> None:
    """The checkpoint's own figures, and what it was trained on."""
    show_badges(card)
    st.markdown(
        f"**Its AUROC by patient:** {auroc_words(card)}",
        help="Patients of another cohort say most; untouched test patients, and those of folds, come next. Validation patients chose the "
        "epoch, the threshold and the temperature, so their figure flatters. Runs are evaluated on the Runs page.",
    )
    with st.expander("Model card", icon=":material/description:"):
        st.table(_card_rows(card), border="horizontal", hide_header=True)


def _card_rows(card: CheckpointCard) -> dict[str, list[str]]:
    config = card.config
    rows = {
        "Network": f"{config.architecture}, {config.prep.size_px} px",
        "Weights started from": card.weights_origin,
        "Sequences": ", ".join(card.sequences),
        "Planes": ", ".join(card.planes) or "not recorded",
        "Classes": f"{', '.join(card.class_names)} (positive: {card.class_names[card.positive_class]})",
        "Patients": ", ".join(f"{part} {count}" for part, count in card.patients.items()) or "not recorded",
        "Cohort": f"{card.cohort_digest}{', synthetic' if card.synthetic else ''}",
        "Split": f"by {card.split_unit}, {card.split_digest}",
        **_how_made(card),
        "Made": card.created or "not recorded",
    }
    return {"": [plain(name) for name in rows], " ": [plain(value) for value in rows.values()]}


def _how_made(card: CheckpointCard) -> dict[str, str]:
    """Of a network its epoch and what was fitted; of an ensemble how its members answer together."""
    if card.members:
        return {
            "Ensemble": f"{len(card.members)} networks, one for each fold: the mean of their log odds, each calibrated by "
            "itself; its AUROC is its members', the mean was not measured",
            "Threshold": f"{card.threshold:.3f} (mean of the members', on the scale of log odds)",
        }
    return {
        "Epoch kept": f"{card.epoch} of {card.config.epochs}, chosen on {card.config.select_on}",
        "Threshold, temperature": f"{card.threshold:.3f}, {card.temperature:.3f} (fitted on validation patients)",
    }


def _title(path: str) -> str:
    try:
        card = load_card(Path(path))
    except CheckpointError as error:
        return f"{checkpoint_name(Path(path))} (cannot be read: {error})"
    auroc = own_auroc(card)
    value = f", AUROC {auroc[0].value:.2f}" if auroc else ""
    several = f"ensemble of {len(card.members)} " if card.members else ""
    return f"{card.name}: {several}{card.config.architecture}{value}{', synthetic' if card.synthetic else ''}"
