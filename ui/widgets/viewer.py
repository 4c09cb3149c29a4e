"""The slice viewer: a study's sequences side by side, moved together in millimetres, with a map laid over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.explain.overlay import blend, colour_table
from core.figure_text import number_text
from core.mri import Plane
from ui.widgets.planes import FAILED, LoadVolume, has_volume, show_planes
from ui.widgets.slices import SliceStack, compose_slice, nearest_slice, plane_positions
from ui.widgets.text import plain

SEEN, ALL = "slices the model saw", "all slices"
SLICES, PLANES = "slices", "three planes and a volume"

MARGIN = 1.12
"""Side of a square over the largest head in it."""

AXIS_NAMES: Mapping[Plane, str] = {
    Plane.AXIAL: "towards the head",
    Plane.CORONAL: "towards the back",
    Plane.SAGITTAL: "towards the left",
}
"""Which way positions grow, by plane (LPS coordinates)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapLayer:
    """A class activation map laid back over its source slice."""

    heat: NDArray[np.float32]
    """(rows, columns) of the source slice, 0..1, scaled by its own maximum."""
    raw_max: float
    """That maximum."""


Maps = Mapping[tuple[int, int], MapLayer]
"""By number of the series in the viewer and slice index."""

Below = Callable[[Maps, Mapping[Plane, float | None]], None]
"""What to draw under the slices, given the maps and the position in each plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSource:
    """Where the viewer gets maps from."""

    methods: Mapping[str, str]
    """Title by name."""
    classes: Sequence[str]
    """Names of the classes that a map can speak for."""
    first_class: int
    """The one that it speaks for unless another is chosen."""
    layers: Mapping[str, str]
    """Title by name, the usual one first."""
    highest_first: bool
    """Whether the viewer opens on the slice with the highest probability, else on that with the lowest: what supports the answer."""
    first: tuple[str, str]
    """Method and layer that are shown unless others are chosen."""
    show_worth: Callable[[str, str], None]
    """Draws what is known of whether the map by a method at a layer is true."""
    load: Callable[[str, int, str], Maps]
    """Maps of every slice that the model saw, by method's name, class and layer's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overlay:
    maps: Maps
    opacity: float
    common: bool
    method: str
    layer: str

    def tint(self, number: int, index: int, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        if (number, index) not in self.maps or self.opacity == 0:
            return None
        return blend(image, self.scaled(number)[index], self.opacity)

    def scaled(self, number: int) -> dict[int, NDArray[np.float32]]:
        """The maps of a series by slice index, on the scale that was chosen."""
        strongest = max((layer.raw_max for layer in self.maps.values()), default=0.0)
        return {
            index: layer.heat * np.float32(layer.raw_max / strongest if self.common and strongest > 0 else 1)
            for (series, index), layer in self.maps.items()
            if series == number
        }


def jump_to(key: str, plane: Plane, position: float) -> None:
    """Move a viewer to a position at its next drawing; also lets it step through every slice again."""
    st.session_state[f"{key}.jump.{plane}"] = position


def show_viewer(
    stacks: Sequence[SliceStack],
    *,
    key: str,
    load: LoadVolume,
    source: MapSource | None = None,
    below: Below | None = None,
) -> None:
    """Draw the viewer; it redraws by itself when its own controls are moved.

    Parameters
    ----------
    stacks
        The series, in the order in which they stand side by side.
    key
        Tells one viewer on a page from another, and one study from the next.
    load
        Reads a series as a volume, when a person asks for three planes.
    source
        Where maps come from; None shows slices alone.
    below
        Draws under the slices, given the maps and the position in each plane; redrawn with them.
    """
    _viewer(stacks, key, load, source, below)


@st.fragment
def _viewer(
    stacks: Sequence[SliceStack], key: str, load: LoadVolume, source: MapSource | None, below: Below | None
) -> None:
    in_planes = _ask_planes(stacks)
    seen_only, overlay = _controls(stacks, key, source, in_planes)
    positions: dict[Plane, float | None] = {}
    if in_planes:
        first = _supporting(stacks, source is None or source.highest_first)
        show_planes(stacks, first, overlay.scaled if overlay else lambda number: {}, load, key)
    else:
        positions = _show_slices(stacks, key, source, overlay, seen_only)
    if overlay is not None and source is not None:
        _show_colours(overlay)
        source.show_worth(overlay.method, overlay.layer)
    if below is not None:
        below(overlay.maps if overlay else {}, positions)


def _ask_planes(stacks: Sequence[SliceStack]) -> bool:
    """Whether volumes are to be shown; slices where there are none, or where this browser cannot draw them."""
    if not any(has_volume(stack) for stack in stacks):
        return False
    if st.session_state.get(FAILED):
        st.caption(
            f"Slices only: three planes and a volume need WebGL 2, which failed here ({plain(st.session_state[FAILED])})."
        )
        return False
    return bool(
        st.segmented_control(
            "Show", [SLICES, PLANES], default=SLICES, required=True, key="viewer.show", persist_state="session"
        )
        == PLANES
    )


def _supporting(stacks: Sequence[SliceStack], highest: bool) -> int:
    """Number of the series with the slice that supports the answer; of the first volume where there is no answer."""
    sign = 1 if highest else -1
    told = {number: [sign * value for value in stack.probabilities.values()] for number, stack in enumerate(stacks)}
    volumes = [number for number, stack in enumerate(stacks) if has_volume(stack)]
    return max(volumes, key=lambda number: max(told[number], default=-2.0))


def _show_slices(
    stacks: Sequence[SliceStack], key: str, source: MapSource | None, overlay: _Overlay | None, seen_only: bool
) -> dict[Plane, float | None]:
    """The series side by side, and the sliders that move them; returns the position in each plane."""
    planes = list(dict.fromkeys(stack.plane for stack in stacks))
    positions: dict[Plane, float | None] = {}
    with st.grid(len(planes), min_column_width=300):
        for plane in planes:
            together = [stack for stack in stacks if stack.plane == plane]
            with st.container():
                positions[plane] = _choose_position(
                    plane, together, key=key, seen_only=seen_only, highest=source is None or source.highest_first
                )
    field_mm = MARGIN * max((stack.extent_mm for stack in stacks if stack.in_mm), default=0.0)
    with st.grid(max(4, min(len(stacks), 6)), min_column_width=155, gap="small"):
        for number, stack in enumerate(stacks):
            with st.container(gap="xxsmall"):
                own = field_mm if stack.in_mm else stack.extent_mm
                position = positions[stack.plane]
                index = None if position is None else nearest_slice(stack, position, seen_only=seen_only)
                _cell(number, stack, index, field_mm=own, overlay=overlay)
    return positions


def _controls(
    stacks: Sequence[SliceStack], key: str, source: MapSource | None, in_planes: bool
) -> tuple[bool, _Overlay | None]:
    if not any(stack.probabilities for stack in stacks):
        return False, None
    step = SEEN
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if not in_planes:
            step = st.segmented_control(
                "Step through",
                [SEEN, ALL],
                default=SEEN,
                required=True,
                key=f"{key}.step",
                help="The model looks at some slices of each series only. Blank slices are never shown to it.",
            )
        overlay = _map_controls(key, source, in_planes) if source else None
    return step == SEEN, overlay


def _map_controls(key: str, source: MapSource, in_planes: bool) -> _Overlay:
    method = st.selectbox(
        "Map",
        list(source.methods),
        index=list(source.methods).index(source.first[0]),
        format_func=lambda name: source.methods[name],
        key=f"viewer.method.{source.first[0]}",
        persist_state="session",
        width=150,
        help="Where in the slice the network found what speaks for the class. A map shows what the network used, "
        "not where the disease is.",
    )
    layer = st.selectbox(
        "Detail",
        list(source.layers),
        index=list(source.layers).index(source.first[1]),
        format_func=lambda name: source.layers[name],
        key=f"{key}.layer.{source.first[1]}",
        width=130,
        help="Which layer of the network is mapped. The last one decides, and each of its places has seen much of the "
        "head; earlier ones see small places. The Validity page measures which map is true.",
    )
    target = st.selectbox(
        "Speaks for",
        range(len(source.classes)),
        index=source.first_class,
        format_func=lambda index: plain(source.classes[index], 40),
        key=f"{key}.class.{source.first_class}",
        width=160,
    )
    opacity = 55
    if not in_planes:  # there the browser mixes them
        opacity = st.slider(
            "Map opacity", 0, 100, 55, 5, format="%d%%", key="viewer.opacity", persist_state="session", width=200
        )
    scale = st.segmented_control(
        "Map scale",
        ["same for all slices", "each its own"],
        default="same for all slices",
        required=True,
        key="viewer.scale",
        persist_state="session",
        help="With one scale a weak map looks weak. With its own scale each map's strongest place is brightest, "
        "however weak it is: compare the raw maxima.",
    )
    return _Overlay(
        maps=source.load(method, target, layer),
        opacity=opacity / 100,
        common=scale == "same for all slices",
        method=method,
        layer=layer,
    )


def _show_colours(overlay: _Overlay) -> None:
    """The map's colours, from weak to strong."""
    strongest = "the strongest place of all slices" if overlay.common else "each slice's strongest place"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("nothing", width="content")
        st.image(np.repeat(colour_table()[None], 12, axis=0), width=180, output_format="PNG", alt="colours of the map")
        st.caption(strongest, width="content")


def _choose_position(
    plane: Plane, stacks: list[SliceStack], *, key: str, seen_only: bool, highest: bool = True
) -> float | None:
    positions = plane_positions(stacks, seen_only=seen_only)
    in_mm = all(stack.in_mm for stack in stacks)
    if not positions:
        st.caption(f"The model saw no {plane} slice.")
        return None
    name = f"{key}.{plane}.{'seen' if seen_only else 'all'}.{'highest' if highest else 'lowest'}"
    jump = st.session_state.pop(f"{key}.jump.{plane}", None)
    if jump is not None or st.session_state.get(name) not in positions:
        # Another checkpoint saw other slices: stay near.
        wanted = st.session_state.get(name, _first_position(stacks, positions, highest)) if jump is None else jump
        st.session_state[name] = min(positions, key=lambda position: abs(position - wanted))
    if len(positions) == 1:
        return positions[0]
    title = f"{str(plane).capitalize()} position, mm {AXIS_NAMES[plane]}" if in_mm else "Image"
    chosen = st.select_slider(
        title,
        positions,
        format_func=(lambda position: f"{position:.1f} mm") if in_mm else (lambda position: f"{position:.0f}"),
        key=name,
    )
    return float(chosen)


def _first_position(stacks: list[SliceStack], positions: list[float], highest: bool = True) -> float:
    """Where to begin: at the slice that supports the answer (the middle one, where several share its probability), or in the
    middle of what is not blank."""
    answers = [
        (value, float(stack.positions[index])) for stack in stacks for index, value in stack.probabilities.items()
    ]
    telling = (max if highest else min)((value for value, _ in answers), default=None)
    shown = {
        float(place) for stack in stacks for place, blank in zip(stack.positions, stack.blank, strict=True) if not blank
    }
    places = sorted(place for value, place in answers if value == telling)
    places = places or sorted(shown) or positions
    return places[len(places) // 2]


def _cell(number: int, stack: SliceStack, index: int | None, *, field_mm: float, overlay: _Overlay | None) -> None:
    tint = overlay.tint(number, index, stack.pixels[index]) if overlay and index is not None else None
    st.image(
        compose_slice(stack, index, field_mm=field_mm, tint=tint),
        width="stretch",
        output_format="PNG",
        alt=f"{stack.title} slice {'' if index is None else index + 1}",
    )
    st.markdown(f"**{stack.title}** " + _slice_words(stack, index), width="stretch")
    if stack.probabilities:
        st.caption(_answer_words(number, stack, index, overlay))


def _slice_words(stack: SliceStack, index: int | None) -> str:
    if index is None:
        return ":gray[not covered here]"
    place = f"{stack.positions[index]:.1f} mm, " if stack.in_mm else ""
    blank = " :orange-badge[blank]" if stack.blank[index] else ""
    return f":gray[{place}{index + 1} of {len(stack.pixels)}]{blank}"


def _answer_words(number: int, stack: SliceStack, index: int | None, overlay: _Overlay | None) -> str:
    if index is None or index not in stack.probabilities:
        return "not seen by the model"
    words = f":material/visibility: p {number_text(stack.probabilities[index])}"
    layer = overlay.maps.get((number, index)) if overlay else None
    if layer is None:
        return words
    return (
        f"{words} · raw maximum {layer.raw_max:.3g}" if layer.raw_max > 0 else f"{words} · nothing here speaks for it"
    )
