"""How well maps match a truth, another map and chance: pure functions on arrays.

Maps are (images, ...), truths bool of the same shape, patients the (images,) ids: images of one patient count as one
observation in every interval.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from monai.metrics.regression import SSIMMetric
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt  # type: ignore[attr-defined]
from scipy.special import stdtrit

from core.errors import EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.influence import cluster_influence, mean_interval, share_interval

Maps = NDArray[np.float32]
Truth = NDArray[np.bool_]
Names = NDArray[np.str_]

ONE_STUDY = "an interval needs two studies that differ"


def broadcast_truth(truth: Truth, like: NDArray[np.generic]) -> Truth:
    """Return a truth in the shape of maps: the streams of an example share it."""
    if truth.ndim < like.ndim:
        truth = truth[:, None]
    return np.broadcast_to(truth, like.shape)


def dilate(truth: Truth, pixels: float) -> Truth:
    """Return what lies within so many pixels of a truth, slice by slice."""
    flat = truth.reshape(-1, *truth.shape[-2:])
    near = np.stack(
        [distance_transform_edt(~one) <= pixels if one.any() else np.zeros(one.shape, bool) for one in flat]
    )
    return near.reshape(truth.shape)


def pointing_game(maps: Maps, truth: Truth, patients: Names) -> Figure:
    """Return the share of maps that are strongest inside the truth (Zhang et al. 2018); an empty map is a miss."""
    flat = maps.reshape(len(maps), -1)
    at = flat.argmax(axis=1)
    right = broadcast_truth(truth, maps).reshape(len(maps), -1)[np.arange(len(maps)), at] & (flat.max(axis=1) > 0)
    return clustered_share(right, patients)


def share_inside(maps: Maps, truth: Truth, patients: Names) -> Figure:
    """Return the mean share of the maps' sums that lies inside the truth (Wang et al. 2020)."""
    rows = tuple(range(1, maps.ndim))
    total = maps.sum(axis=rows)
    within = (maps * broadcast_truth(truth, maps)).sum(axis=rows)
    return clustered_mean(np.divide(within, total, out=np.zeros(len(maps)), where=total > 0), patients)


def chance_level(truth: Truth, heads: Truth, patients: Names) -> Figure:
    """Return how often a pixel drawn at random inside the head lies in the truth: its share of the head."""
    rows = tuple(range(1, truth.ndim))
    shares = (truth & heads).sum(axis=rows) / np.maximum(heads.sum(axis=rows), 1)
    return clustered_mean(shares, patients)


def similarity(maps: Maps, others: Maps, patients: Names) -> Figure:
    """Return the mean SSIM over the images, slice by slice (Wang et al. 2004; windows of 11, both maps 0..1)."""
    one, other = (part.reshape(-1, 1, *part.shape[-2:]) for part in (maps, others))
    values = SSIMMetric(spatial_dims=2, data_range=1.0)(torch.from_numpy(one), torch.from_numpy(other))
    assert isinstance(values, torch.Tensor)
    by_image = values.numpy().astype(np.float64).reshape(len(maps), -1).mean(axis=1)
    return _within(clustered_mean(by_image, patients, signed=True), -1.0)


def clustered_share(right: NDArray[np.bool_], patients: Names) -> Figure:
    """Return a share of images with its interval."""
    try:
        value, low, high = share_interval(right, np.zeros(len(right), int), patients)
    except EvaluationError:
        return Figure(value=float(right.mean()), low=None, high=None, n=len(right), reason=ONE_STUDY)
    return Figure(value=value, low=low, high=high, n=len(right), method="Agresti and Coull, clustered by patient")


def clustered_mean(values: NDArray[np.float64], patients: Names, *, signed: bool = False) -> Figure:
    """Return a mean with its interval: of shares (0..1), or of `signed` values, which may lie anywhere."""
    strata = np.zeros(len(values), int)
    mean = float(values.mean())
    try:
        if not signed:
            value, low, high = mean_interval(values, strata, patients)
        else:
            moved, freedom = cluster_influence((values - mean) / len(values), strata, patients)
            half = float(stdtrit(freedom, 0.975) * np.sqrt((moved**2).sum()))
            value, low, high = mean, mean - half, mean + half
    except EvaluationError:
        return Figure(value=mean, low=None, high=None, n=len(values), reason=ONE_STUDY)
    figure = Figure(value=value, low=low, high=high, n=len(values), method="influence function, clustered by patient")
    return figure if signed else _within(figure, 0.0)


def _within(figure: Figure, least: float) -> Figure:
    """The interval kept inside `least` and 1, beyond which the figure cannot lie."""
    if figure.low is None or figure.high is None:
        return figure
    return replace(figure, low=max(figure.low, least), high=min(figure.high, 1.0))
