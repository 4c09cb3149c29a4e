"""maps: whether a checkpoint's maps point at the tumour, and whether they depend on what it learnt."""

from __future__ import annotations

import argparse

from core.cli.cohort import read_cohort
from core.cli.output import Outcome, TerminalProgress, table
from core.errors import ConfigError
from core.explain.validation.saliency_record import store_saliency_record
from core.explain.validation.saliency_result import MapScore, MapTest
from core.explain.validation.sanity import measure_maps
from core.figure_text import value_text
from core.inference.ensemble import open_predictor
from core.models.catalogue import find_checkpoint
from core.settings import Settings


def maps(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Measure localisation and dependence on weights of the maps."""
    path = find_checkpoint(arguments.checkpoint, settings)
    if arguments.keep and (len(arguments.method or []), len(arguments.layer or [])) != (1, 1):
        raise ConfigError(
            "The best of several maps looks better than it is: with --keep name one --method and one --layer."
        )
    predictor = open_predictor(path, runtime="torch", threads=settings.threads)
    cohort = read_cohort(arguments, settings)
    found = measure_maps(
        predictor,
        cohort,
        settings,
        studies=arguments.studies,
        methods=arguments.method,
        layers=arguments.layer,
        progress=TerminalProgress("maps"),
    )
    kept = []
    if arguments.keep:
        store_saliency_record(path, found)
        kept = [f"Kept on the card of {path}."]
    return Outcome(document={"data": str(cohort.root), **found.to_dict()}, lines=[*_describe(found), *kept])


def _describe(found: MapTest) -> list[str]:
    what = "volumes" if found.volumes else "images"
    lines = [
        f"Maps of {found.checkpoint} on {found.images} {what} of {found.studies} studies.",
        *table(
            [(score.method, score.layer, *_columns(score)) for score in found.scores],
            (
                "method",
                "layer",
                "hits",
                "near",
                "changed",
                "inside",
                "random weights hit",
                "ROAD",
                "its random",
                "SSIM",
            ),
        ),
        "ROAD: half the log-odds between taking away what is marked least and most, 0 where the map does not matter; SSIM: "
        "to the map of random weights.",
    ]
    if found.chance is None:
        return [*lines, "These data do not say where the tumours are: only the test with random weights was made."]
    lines += [
        f"hits: strongest inside the tumour; a place drawn at random inside the head would in {value_text(found.chance)}.",
        f"near: inside or within {found.tolerance_px:.0f} pixels; at random {value_text(found.near_chance)}.",
    ]
    if found.moved is not None:
        lines += [
            f"changed: strongest where the biomarker alone changes the image; at random {value_text(found.changed_chance)}.",
            f"With nothing changed but the biomarker, the answer moves its way in {value_text(found.moved)} of the {what}.",
        ]
    return [*lines, f"The most hits: {found.best.method} at {found.best.layer}."]


def _columns(score: MapScore) -> tuple[str, ...]:
    figures = (
        score.hits, score.near_hits, score.changed_hits, score.inside, score.random_hits, score.road, score.random_road
    )  # fmt: skip
    return (*(value_text(figure) for figure in figures), value_text(score.similarity[-1]))
