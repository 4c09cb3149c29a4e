"""The answer for one study: the probability with all that a reader needs to doubt it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.figure_text import figure_text, number_text
from core.inference.prediction import Prediction
from core.models.card import CheckpointCard
from core.mri import Plane
from core.reports.palette import class_colour
from ui.figures.prediction import (
    draw_class_probabilities,
    draw_map_strengths,
    draw_probability,
    draw_slice_probabilities,
)
from ui.predict.prediction import strongest_slice
from ui.widgets.checkpoints import own_auroc
from ui.widgets.slices import SliceStack
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw
from ui.widgets.viewer import Maps, jump_to


def show_answer(prediction: Prediction, card: CheckpointCard, stacks: list[SliceStack], key: str) -> None:
    """The probability on its scale, the checkpoint's own figures, what to doubt, and ways to the telling slices."""
    positive = card.class_names[card.positive_class]
    number, scale = st.columns([2, 3], gap="large", vertical_alignment="center")
    with number:
        st.metric(
            f"Probability of {plain(positive)} MGMT promoter"
            if positive == "methylated"
            else f"Probability of {plain(positive)}",
            number_text(prediction.probability),
        )
        found = own_auroc(card)
        own = f"**{figure_text(found[0], 'patients')}** ({found[1]})" if found else "not recorded"
        st.markdown(f"The checkpoint's own AUROC by patient: {own}")
        _show_words(prediction, card)
        _show_members(prediction, card)
        _show_possible(prediction)
    with scale:
        _show_scale(prediction, card, key)
    if prediction.warnings:
        with st.container(border=True):
            st.markdown(f":material/warning: **What to doubt** ({len(prediction.warnings)})")
            st.markdown("\n".join(f"- {plain(warning, 600)}" for warning in prediction.warnings))
    if not _answers_for_volumes(prediction):
        _show_jumps(stacks, positive, key)


def show_slice_charts(
    stacks: list[SliceStack],
    prediction: Prediction,
    card: CheckpointCard,
    key: str,
    maps: Maps,
    positions: Mapping[Plane, float | None],
) -> None:
    """The answer for each slice along the body, unless a volume shares one, and how strong its map is, by plane."""
    positive = card.class_names[card.positive_class]
    palette = current_palette()
    raw_maxima = {place: layer.raw_max for place, layer in maps.items()}
    whole = _answers_for_volumes(prediction)
    if whole:
        st.caption(
            "The network answers for each volume as a whole: its slices share that answer, and each has its map."
        )
    with st.grid(2, min_column_width=300):
        for plane in dict.fromkeys(stack.plane for stack in stacks if stack.probabilities):
            here = positions.get(plane)
            if not whole:
                answers = draw_slice_probabilities(stacks, plane, prediction.threshold, positive, palette, here)
                draw(answers, key=f"{key}.slices.{plane}", alt=f"probability of {positive} for each {plane} slice")
            strengths = draw_map_strengths(stacks, plane, raw_maxima, palette, here)
            draw(strengths, key=f"{key}.maps.{plane}", alt=f"raw maximum of the map of each {plane} slice")


def _answers_for_volumes(prediction: Prediction) -> bool:
    return any(part.prepared.layers is not None for part in prediction.series)


def _show_words(prediction: Prediction, card: CheckpointCard) -> None:
    seen = sum(len(part.seen) for part in prediction.series)
    slices = "1 slice" if seen == 1 else f"{seen} slices"
    if len(card.class_names) == 2:
        side = "at or above" if prediction.probability >= prediction.threshold else "below"
        st.caption(
            f"{side} the threshold of {prediction.threshold:.2f}, which was chosen on validation patients: "
            f"{plain(prediction.prediction)}. From {slices}, in {prediction.seconds:.1f} s. Research use only."
        )
    else:
        st.caption(
            f"The most probable of {len(card.class_names)} classes is {plain(prediction.prediction)}. Research use only."
        )


def _show_members(prediction: Prediction, card: CheckpointCard) -> None:
    """Of an ensemble: how far its members lie apart."""
    members = prediction.members
    if not members:
        return
    st.markdown(
        f"Its {len(members)} members: **{min(members):.2f} to {max(members):.2f}**",
        help=f"What each member says by itself: {', '.join(f'{one:.2f}' for one in sorted(members))}. They differ in their "
        "training patients and seeds; the wider they lie apart, the more the answer hangs on who was trained on. "
        f"They mark the scale as small lines. The AUROC above is that of members on patients of {plain(card.name)} that they "
        "never saw; the mean of all was not measured.",
    )


def _show_possible(prediction: Prediction) -> None:
    """The set of classes that the promised coverage allows; both and none are the same answer: cannot tell."""
    if prediction.possible is None:
        return
    level = f"{prediction.possible_level:.0%}"
    if len(prediction.possible) == 1:
        answer = f"**{plain(prediction.possible[0])}** alone"
    else:
        answer = "**cannot tell**" + (": no class is excluded" if prediction.possible else ": unlike any class")
    st.markdown(
        f"Possible classes at {level} coverage: {answer}",
        help=f"Calibrated on validation patients so that, of the patients of each class, {level} have their class among "
        "the possible ones. A model that knows little keeps this promise by often saying that it cannot tell.",
    )


def _show_scale(prediction: Prediction, card: CheckpointCard, key: str) -> None:
    palette = current_palette()
    if len(card.class_names) == 2:
        names = (card.class_names[1 - card.positive_class], card.class_names[card.positive_class])
        figure = draw_probability(prediction.probability, prediction.threshold, names, palette, prediction.members)
    else:
        colours = [
            class_colour(palette, index, card.positive_class, len(card.class_names))
            for index in range(len(card.class_names))
        ]
        figure = draw_class_probabilities(card.class_names, prediction.class_probabilities, colours, palette)
    draw(figure, key=f"{key}.scale", alt=f"probability {prediction.probability:.3f}")


def _show_jumps(stacks: list[SliceStack], positive: str, key: str) -> None:
    with st.container(horizontal=True, gap="small"):
        for title, highest, icon in (
            ("highest", True, ":material/north_east:"),
            ("lowest", False, ":material/south_east:"),
        ):
            found = strongest_slice(stacks, highest=highest)
            if found is None or (not highest and found == strongest_slice(stacks)):
                continue
            stack, index = found
            if st.button(
                f"Slice with the {title} probability: {stack.title} {index + 1}, {stack.probabilities[index]:.2f}",
                icon=icon,
                key=f"{key}.jump.{title}",
                type="tertiary",
                help=f"Move the viewer to the slice that speaks {'most' if highest else 'least'} for {plain(positive)}.",
            ):
                jump_to(key, stack.plane, float(stack.positions[index]))
