"""Are the maps true? Whether they point at the tumour where it is known, and whether they depend on what was learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from core.data.study import Cohort
from core.evaluation.figure import Figure
from core.experiments.controls.measurements import MAPS, ask_measurement
from core.explain.methods import METHODS
from core.explain.overlay import blend
from core.explain.validation.saliency_result import MapExample, MapTest
from core.figure_text import figure_text, value_text
from core.runs.records import DataSource
from ui.figures.maps import draw_cascade, draw_hits
from ui.validity.measurement import ask_data, ask_measured
from ui.validity.remarks import show_falsifier
from ui.widgets.checkpoints import ask_checkpoint
from ui.widgets.state import current_settings
from ui.widgets.theme import current_palette, draw

STUDIES, PER_SERIES = 8, 2
HOSTED_STUDIES = 8
OPACITY = 0.65
EXAMPLES_PX = 720
"""Width of a row of three small images."""


def draw_section() -> None:
    """Choose a checkpoint and a cohort, test the maps, and show what was found."""
    st.markdown(
        "A map always lights up **somewhere**. Two questions tell whether that means anything. On a synthetic cohort the "
        "tumour's place is known: **does the map point at it**, more often than a place drawn at random? And on any data: "
        "**does the map change when the network's weights are replaced by random ones?** If it does not, it shows the "
        "image's edges, not what was learnt."
    )
    st.caption(
        "A synthetic patient can be drawn twice, with nothing changed but the biomarker: the pixels that differ are the whole "
        "truth, and the answer ought to follow. ROAD asks the network itself: what a map marks is taken away, filled from "
        "its neighbours, and the answer should fall."
    )
    data = ask_data()
    if data is not None:
        path = ask_checkpoint()
        if path is not None:
            _ask_and_show(*data, path)
    show_falsifier(
        "the network decided by something other than the tumour, or the map's layer saw too much at once: each place of "
        "a late layer has seen most of the head."
    )


def _ask_and_show(source: DataSource, cohort: Cohort, path: Path) -> None:
    most = HOSTED_STUDIES if current_settings().hosted else len(cohort)
    studies = int(
        st.number_input("Studies", 1, max(most, 1), min(STUDIES, most), key="validity.maps.studies", width=140)
    )
    st.caption(
        f"Every method at every layer, on {PER_SERIES} images of each series: some minutes on two processor cores, longer "
        "while a run trains. Occlusion, which takes hours, is left to the terminal."
    )
    question = ask_measurement(MAPS, source, cohort, checkpoint=str(path), studies=studies, per_series=PER_SERIES)
    found = ask_measured("validity.maps", question, "Test the maps", ":material/target:")
    if found is not None:
        show_map_test(found)


def show_map_test(found: MapTest) -> None:
    """The figures, the cascade and small multiples of one test."""
    st.markdown(_sentence(found))
    palette = current_palette()
    left, right = st.columns(2)
    with left:
        if found.chance is not None:
            draw(draw_hits(found, palette), key="validity.maps.hits", alt="How often each method's map hits the tumour")
    with right:
        draw(
            draw_cascade(found, palette), key="validity.maps.cascade", alt="Similarity of maps as weights are replaced"
        )
    _show_examples(found)
    with st.expander("All figures", icon=":material/table:"):
        st.dataframe(_table(found), hide_index=True)


def _sentence(found: MapTest) -> str:
    what = "volumes" if found.volumes else "images"
    n = f"n = {found.images} {what} of {found.studies} studies"
    best = found.best
    name = f"**{METHODS[best.method].title}** at `{best.layer}`"
    if found.chance is None or best.hits is None:
        return (
            f"These data do not say where the tumours are, so no map can be called right or wrong here ({n}). The map that "
            f"depends most on what was learnt is {name}: similarity to random weights {value_text(best.similarity[-1])}."
        )
    text = (
        f"{name} hits the tumour most often: **{value_text(best.hits)}** of its maps are strongest inside it, and "
        f"{value_text(best.near_hits)} within {found.tolerance_px:.0f} pixels. A place drawn at random inside the head would in "
        f"{value_text(found.chance)} and {value_text(found.near_chance)}; the same network with random weights in "
        f"{value_text(best.random_hits)} and {value_text(best.random_near_hits)} ({n}, synthetic)."
    )
    if len(found.scores) > 1:
        text += (
            f" It is the best of {len(found.scores)} on these very images, and so a little too good: what is to be reported "
            "names its method beforehand."
        )
    if found.moved is not None:
        text += (
            f"\n\nWith nothing changed but the biomarker, the answer moves its way in **{value_text(found.moved)}** of the {what} "
            f"(n = {found.moved.n}; 0.5 would be chance): that is whether the network reads the trait at all, whatever its "
            "maps show."
        )
    return text


def _show_examples(found: MapTest) -> None:
    best = (found.best.method, found.best.layer)
    st.markdown(
        f"**{METHODS[best[0]].title}** at `{best[1]}`, one image of each study, as learnt and with random weights. White: the "
        "tumour's outline. Green: what the biomarker alone changes, which is all that says anything of the label."
    )
    with st.container(width=EXAMPLES_PX):
        for example in found.examples:
            images = {
                "as learnt": _draw(example, example.maps[best]),
                "random weights": _draw(example, example.random_maps[best]),
            }
            if example.changed is not None:
                images["the biomarker"] = _draw_changed(example, example.changed)
            st.caption(f"{example.study_id}, {example.sequence}")
            with st.grid(3, min_column_width=90, gap="small"):
                for caption, image in images.items():
                    st.image(image, caption=caption, alt=f"{example.study_id}: {caption}", width="stretch")


def _draw(example: MapExample, heat: NDArray[np.float32]) -> Image.Image:
    return _outline(example, blend(example.image, heat, OPACITY))


def _draw_changed(example: MapExample, changed: NDArray[np.bool_]) -> Image.Image:
    image = np.repeat(example.image[..., None], 3, axis=2)
    image[changed] = image[changed] // 2 + np.array([0, 110, 60], np.uint8)
    return _outline(example, image)


def _outline(example: MapExample, image: NDArray[np.uint8]) -> Image.Image:
    if example.tumour is not None:
        inner = example.tumour.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                inner &= np.roll(example.tumour, step, axis)
        image[example.tumour & ~inner] = 255
    return Image.fromarray(image)


def _table(found: MapTest) -> pd.DataFrame:
    columns = {
        "hits the tumour": [_figure(score.hits) for score in found.scores],
        f"within {found.tolerance_px:.0f} pixels": [_figure(score.near_hits) for score in found.scores],
        "hits what the biomarker changes": [_figure(score.changed_hits) for score in found.scores],
        "share inside the tumour": [_figure(score.inside) for score in found.scores],
        "hits, random weights": [_figure(score.random_hits) for score in found.scores],
        "ROAD (log-odds)": [_figure(score.road) for score in found.scores],
        "ROAD, random weights": [_figure(score.random_road) for score in found.scores],
        "similarity to random weights": [_figure(score.similarity[-1]) for score in found.scores],
    }
    names = {
        "method": [METHODS[score.method].title for score in found.scores],
        "layer": [score.layer for score in found.scores],
    }
    return pd.DataFrame({**names, **columns})


def _figure(figure: Figure | None) -> str:
    return "not known" if figure is None else figure_text(figure, "images")
