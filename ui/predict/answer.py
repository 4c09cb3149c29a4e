"""The answer for one study: the probability with all that a reader needs to doubt it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import streamlit as st

from core.errors import MGMTLabError
from core.explain.validation.saliency_record import map_worth
from core.figure_text import figure_text, number_text
from core.inference.prediction import OtherAnswer, Prediction
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
from ui.widgets.checkpoints import auroc_words, own_auroc
from ui.widgets.slices import SliceStack
from ui.widgets.text import plain
from ui.widgets.theme import current_palette, draw
from ui.widgets.viewer import Maps, jump_to

Others = Mapping[str, tuple[CheckpointCard, Callable[[], Prediction]]]
"""Other checkpoints by their names: the card, and what asks them about the same study."""
Said = dict[str, OtherAnswer]
"""What checkpoints said of a study in this session, by their names."""


def said_of(key: str) -> Said:
    """What checkpoints said of the study that is shown under a key."""
    found: Said = st.session_state.setdefault(f"{key}.said", {})
    return found


def with_others(prediction: Prediction, card: CheckpointCard, said: Said) -> Prediction:
    """The answer with what other checkpoints said of the study; one that is withheld stays as it is."""
    if prediction.abstained:
        return prediction
    return replace(prediction, others=tuple(one for name, one in said.items() if name != card.name))


def show_answer(
    prediction: Prediction, card: CheckpointCard, stacks: list[SliceStack], key: str, others: Others, *, ask: bool
) -> Callable[[], None] | None:
    """The verdict in words, what it rests on and what to doubt; or why there is none.

    Returns None where no number may be shown, else what asks the others, to be called when all else is drawn; without `ask` each has
    a button.
    """
    if prediction.abstained:
        return (lambda: None) if _show_refusal(prediction, card, key) else None
    said = said_of(key)
    said[card.name] = summarise(prediction, card)
    positive = card.class_names[card.positive_class]
    with st.container(border=True):
        words, scale = st.columns([2, 3], gap="large", vertical_alignment="center")
        with words:
            verdict = st.empty()
            st.markdown(" ".join(_basis(prediction, card)))
            _show_members(prediction, card)
            beside = st.empty()
        with scale:
            st.metric(
                f"Probability of {plain(positive)} MGMT promoter"
                if positive == "methylated"
                else f"Probability of {plain(positive)}",
                number_text(prediction.probability),
            )
            _show_scale(prediction, card, key)
        st.markdown(":material/verified_user: " + _trust(prediction, card))
    if prediction.warnings:
        with st.container(border=True):
            st.markdown(f":material/warning: **What to doubt** ({len(prediction.warnings)})")
            st.markdown("\n".join(f"- {plain(warning, 600)}" for warning in prediction.warnings))
    if not _answers_for_volumes(prediction):
        _show_jumps(stacks, positive, key)

    def show() -> None:
        whole = with_others(prediction, card, said)
        verdict.markdown(f"## {_verdict_words(whole)}{', disputed' if whole.disputed else ''}")
        with beside.container():
            _show_others(whole, others, said, key, ask=ask)

    def ask_others() -> None:
        unasked = [name for name in others if name not in said]
        for name in unasked:
            said[name] = ask_other(*others[name])
        if unasked:
            show()

    show()
    return ask_others if ask else lambda: None


def _show_refusal(prediction: Prediction, card: CheckpointCard, key: str) -> bool:
    """Why there is no answer and what to do, where the number would stand; a person may ask for it anyway."""
    with st.container(border=True):
        st.markdown("## No answer")
        st.markdown(f":material/block: {plain(prediction.reason, 1200)}")
        anyway = st.toggle("Show the number anyway, for study", key=f"{key}.anyway.{card.name}")
        if anyway:
            positive = plain(card.class_names[card.positive_class])
            st.caption(
                f"Probability of {positive}: {number_text(prediction.probability)}. It means nothing for this scan: research "
                "use only."
            )
    return anyway


def _verdict_words(prediction: Prediction) -> str:
    verdict = plain(prediction.verdict)
    return verdict[:1].upper() + verdict[1:]


def summarise(prediction: Prediction, card: CheckpointCard) -> OtherAnswer:
    """What a checkpoint said, as it stands beside the answer of another."""
    if prediction.abstained:
        return OtherAnswer(checkpoint=card.name)
    return OtherAnswer(checkpoint=card.name, prediction=prediction.prediction, probability=prediction.probability)


def ask_other(card: CheckpointCard, ask: Callable[[], Prediction]) -> OtherAnswer:
    """What another checkpoint says; one that cannot be asked, because the study lacks its sequence say, gives no answer."""
    try:
        return summarise(ask(), card)
    except MGMTLabError:
        return OtherAnswer(checkpoint=card.name)


def _show_others(prediction: Prediction, others: Others, said: Said, key: str, *, ask: bool) -> None:
    """What other checkpoints say of the same study, and those that ship and have not been asked."""
    for other in prediction.others:
        st.markdown(f":material/compare_arrows: {plain(other.describe(prediction.prediction), 400)}")
    for name, (card, asking) in others.items():
        if name in said:
            continue
        if ask:
            st.markdown(f":material/hourglass_top: {plain(name)}, which ships too, is being asked.")
            continue
        st.markdown(
            f":material/help: {plain(name)}, which ships too, was not asked; it may say otherwise. "
            f"Its own AUROC by patient: {auroc_words(card)}."
        )
        if st.button(f"Ask {plain(name)} too", key=f"{key}.ask.{name}"):
            said[name] = ask_other(card, asking)
            st.rerun()


def show_map_worth(card: CheckpointCard, method: str, layer: str) -> None:
    """What is known of whether a map is true, and the way to the test."""
    st.caption(plain(map_worth(card, method, layer), 600))
    st.page_link(
        "pages/validity.py", label="Are the maps true?", icon=":material/target:", query_params={"section": "maps"}
    )


def _basis(prediction: Prediction, card: CheckpointCard) -> list[str]:
    """What the verdict rests on: the threshold, the slices, and the promised coverage."""
    sentences = []
    if prediction.verdict != prediction.prediction:
        left = " and ".join(plain(name) for name in prediction.possible or ())
        sentences.append(
            f"At {prediction.possible_level:.0%} coverage {left} remain possible."
            if left
            else "It is unlike the patients of either class."
        )
    if len(card.class_names) == 2:
        side = "at or above" if prediction.probability >= prediction.threshold else "below"
        sentences.append(f"It lies {side} the threshold of {prediction.threshold:.2f}: {plain(prediction.prediction)}.")
        if len(prediction.slices) > 1 and not _answers_for_volumes(prediction):
            sentences.append(f"**{prediction.agreeing} of {len(prediction.slices)}** slices say so too.")
    else:
        sentences.append(f"The most probable of {len(card.class_names)} classes is {plain(prediction.prediction)}.")
    return [*sentences, "Research use only."]


def _trust(prediction: Prediction, card: CheckpointCard) -> str:
    """One line: how good the checkpoint is by itself, on whom it was calibrated, and whether the scan was checked."""
    found = own_auroc(card)
    own = f"**{figure_text(found[0], 'patients')}** ({found[1]})" if found else "not recorded"
    checked = {
        "passed": "the scan is within the limits of what it learnt from",
        "not checked": "whether the scan is like what it learnt from was **not checked**",
    }[prediction.guard]
    fitted = "" if card.members else f" Probabilities {plain(card.describe_calibration(), 300)};"
    return f"The checkpoint's own AUROC by patient: {own}.{fitted} {checked}."


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
