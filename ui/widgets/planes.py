"""Three planes and a volume, drawn by the browser's own graphics; where it has none the slices are shown instead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import MGMTLabError
from core.explain.overlay import colour_table
from core.explain.volume_map import VolumeImages
from ui.widgets.slices import SliceStack, compose_slice

ASSETS = Path(__file__).parents[1] / "assets" / "planes"
FAILED = "planes.failed"
"""Entry of the session's state: why this browser cannot draw volumes."""
COLOURS = 16

LoadVolume = Callable[[SliceStack, Mapping[int, NDArray[np.float32]]], VolumeImages]
"""The volume of a stack with the maps of its slices, by index."""


def has_volume(stack: SliceStack) -> bool:
    """Whether a stack's slices lie at known places, so that they form a volume."""
    return stack.in_mm and len(stack.pixels) > 1


def show_planes(
    stacks: Sequence[SliceStack],
    first: int,
    maps: Callable[[int], Mapping[int, NDArray[np.float32]]],
    load: LoadVolume,
    key: str,
) -> None:
    """Draw one of the series, which a person chooses by its picture.

    Parameters
    ----------
    stacks
        Those that form volumes, and others.
    first
        Number of the one that is shown unless another is chosen.
    maps
        The maps of a stack's slices, 0..1, by its number.
    load
        Reads a volume.
    key
        Tells one viewer from another.
    """
    seen = [number for number, stack in enumerate(stacks) if stack.probabilities]
    choice = f"{key}.series.of.{first}.{seen}"  # another answer begins with its own series, whatever was chosen before
    chosen = st.session_state.setdefault(choice, first)
    with st.container(horizontal=True, gap="small"):
        for number, stack in enumerate(stacks):
            with st.container(gap="xxsmall", width=120):
                picture = compose_slice(stack, len(stack.pixels) // 2, field_mm=1.12 * stack.extent_mm, side_px=240)
                st.image(picture, width="stretch", output_format="PNG", alt=f"middle slice of {stack.title}")
                st.button(
                    stack.title,
                    key=f"{key}.series.{number}",
                    type="primary" if number == chosen else "secondary",
                    width="stretch",
                    disabled=not has_volume(stack),
                    help=None if has_volume(stack) else "Loose images have no place in the patient and form no volume.",
                    on_click=st.session_state.__setitem__,
                    args=(choice, number),
                )
    try:
        images = load(stacks[chosen], maps(chosen))
    except MGMTLabError as error:
        st.error(str(error))
        return
    name = f"{key}.planes"
    _component()(
        data=_pack(
            images,
            f"{stacks[chosen].title} in three planes and as a volume" + (", with its map" if images.heat else ""),
        ),
        key=name,
        on_failed_change=lambda: st.session_state.update({FAILED: st.session_state[name].get("failed")}),
    )
    if images.stride > 1:
        st.caption(f"Every {images.stride}. voxel along each axis is shown: the whole is too large for a browser.")
    if images.heat:
        st.caption("The network saw single slices; between two of them the map is interpolated.")


def _component() -> Callable[..., object]:
    html, css, js = ((ASSETS / f"planes.{kind}").read_text() for kind in ("html", "css", "js"))
    return st.components.v2.component("planes", html=html, css=css, js=js)


def _pack(images: VolumeImages, label: str) -> bytes:
    """Put a head of JSON before the two files: a component gets one block of bytes as it is, and nothing beside it."""
    table = colour_table()[np.linspace(0, 255, COLOURS).astype(int)]
    digest = hashlib.blake2b(images.grey + images.heat, digest_size=8).hexdigest()
    facts = {
        "label": label,
        "digest": digest,
        "size": len(images.grey),
        "window": images.window,
        "start": images.start_mm,
        "colours": table.tolist(),
    }
    head = json.dumps(facts).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, images.grey, images.heat])
