"""Class activation maps: which part of an image speaks for a class, with the map's strength beside its pattern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[attr-defined]

from core.data.prepare.examples import PreparedSeries
from core.errors import ConfigError
from core.explain.activations import Values, enlarge, weigh
from core.explain.methods import INPUT, METHODS, CamMethod, find_method
from core.explain.occlusion import occlude
from core.inference.engine import Coarse
from core.inference.predict import Predictor
from core.inference.prediction import Cam
from core.models.registry import limit_batch
from core.progress import Progress, silent


def explain(
    predictor: Predictor,
    prepared: PreparedSeries,
    image: int,
    method: str = "gradcam",
    target_class: int | None = None,
) -> Cam:
    """Explain one example; see :func:`explain_many`."""
    return explain_many(predictor, prepared, [image], method, target_class)[0]


def explain_many(
    predictor: Predictor,
    prepared: PreparedSeries,
    images: Sequence[int] | None = None,
    method: str = "gradcam",
    target_class: int | None = None,
    *,
    layer: str | None = None,
    batch_size: int = 16,
    progress: Progress = silent,
) -> tuple[Cam, ...]:
    """Return the map of each example, a slice or a volume, for a class; of an ensemble, the mean of its members' maps.

    Explained is the class's log-odds, its logit less the log of the other classes' summed exponentials: with two
    classes, the difference of the two logits. One logit alone does not decide the answer, for the same number can be
    added to all of them.

    The map is the method's weighted sum at the architecture's target layer, cut at zero and enlarged linearly to the
    example: (size, size) for a slice, (depth, size, size) for a volume, (streams, size, size) where each stream has a
    layer of its own. Where only a part of the volume is classified, the map is put back to its place. pytorch_grad_cam's
    own scaling is left out: it subtracts each map's minimum, which makes a weak map look strong. ``heat * raw_max`` is the
    map itself.

    Parameters
    ----------
    predictor
        Whose network is explained; it is locked meanwhile and left as it was (mode, gradients, hooks).
    prepared
        The examples.
    images
        Positions in ``prepared.pixels``; all of them by default.
    method
        A key of :data:`METHODS`.
    target_class
        The class that the map speaks for; the card's positive class by default.
    layer
        One of the architecture's ``layers``; its target layer by default. Methods without layers ignore it.

    Returns
    -------
    tuple of Cam
        One per example, in the order asked for.

    Raises
    ------
    ConfigError
        No such method, image, class or layer.
    """
    (cams,) = explain_each(
        predictor, prepared, [(method, layer)], images, target_class, batch_size=batch_size, progress=progress
    )
    return cams


def explain_each(
    predictor: Predictor,
    prepared: PreparedSeries,
    combinations: Sequence[tuple[str, str | None]],
    images: Sequence[int] | None = None,
    target_class: int | None = None,
    *,
    batch_size: int = 16,
    progress: Progress = silent,
) -> tuple[tuple[Cam, ...], ...]:
    """Return the maps of several methods and layers; one forward and backward pass a batch serves all of them.

    Parameters
    ----------
    combinations
        A method and a layer each; the others are as in :func:`explain_many`.

    Returns
    -------
    tuple of tuples of Cam
        For each combination what :func:`explain_many` gives.

    Raises
    ------
    ConfigError
        No such method, image, class or layer.
    """
    wanted = [_find_layer(predictor, method, layer) for method, layer in combinations]
    numbers = range(len(prepared.pixels)) if images is None else images
    outside = [index for index in numbers if not 0 <= index < len(prepared.pixels)]
    if outside:
        raise ConfigError(f"There is no image {outside[0]}; this series has 0 to {len(prepared.pixels) - 1}.")
    target = _find_class(predictor, target_class)
    cams: list[list[Cam]] = [[] for _ in wanted]
    batch_size = limit_batch(batch_size, prepared.pixels.shape[1:])
    for start in range(0, len(numbers), batch_size):
        batch = list(numbers[start : start + batch_size])
        by_member = [_map(member, prepared.pixels[batch], wanted, target) for member in predictor.members]
        for (method, layer), several, found in zip(wanted, zip(*by_member, strict=True), cams, strict=True):
            found += _finish(several, prepared.slice_index[batch], method, layer, target)
        progress(min(start + batch_size, len(numbers)), len(numbers), wanted[0][0].title if len(wanted) == 1 else "")
    return tuple(tuple(found) for found in cams)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoarseMaps:
    """The maps of a series by every method and layer for one class, as small as the layers are; no network is run again."""

    predictor: Predictor
    prepared: PreparedSeries
    target: int
    by_member: Sequence[Mapping[tuple[str, str], list[Values]]]
    """Of each member, by method and layer: an array (n, ...) for each stream."""

    def draw(self, method: str, layer: str | None = None) -> tuple[Cam, ...]:
        """Return what :func:`explain_many` gives for all examples; occlusion, which has no layer, is computed anew."""
        found, chosen = _find_layer(self.predictor, method, layer)
        if not found.by_layer:
            return explain_many(self.predictor, self.prepared, None, method, self.target)
        drawn = []
        for member, coarse in zip(self.predictor.members, self.by_member, strict=True):
            with member.lock:
                drawn.append(_draw(member, self.prepared.pixels, coarse[method, chosen]))
        return tuple(_finish(drawn, self.prepared.slice_index, found, chosen, self.target))


def map_coarsely(
    predictor: Predictor, prepared: PreparedSeries, target_class: int | None = None, *, batch_size: int = 16
) -> CoarseMaps:
    """Return the maps of all examples by every method at every layer that is offered, from one pass a batch.

    The parameters are those of :func:`explain_many`; raises ConfigError where there is no such class.
    """
    target = _find_class(predictor, target_class)
    layers = predictor.architecture.layers
    wanted = [(name, layer) for name, method in METHODS.items() if method.by_layer for layer in layers]
    batch_size = limit_batch(batch_size, prepared.pixels.shape[1:])
    by_member = []
    for member in predictor.members:
        parts = []
        for start in range(0, len(prepared.pixels), batch_size):
            with member.lock:
                parts.append(_weigh(member, prepared.pixels[start : start + batch_size], wanted, target))
        by_member.append(
            {
                key: [np.concatenate(stream) for stream in zip(*(part[key] for part in parts), strict=True)]
                for key in wanted
            }
        )
    return CoarseMaps(predictor=predictor, prepared=prepared, target=target, by_member=by_member)


def _find_class(predictor: Predictor, target_class: int | None) -> int:
    """The class that is explained: the card's positive one by default."""
    target = predictor.card.positive_class if target_class is None else target_class
    if not 0 <= target < len(predictor.card.class_names):
        names = ", ".join(f"{index} {name}" for index, name in enumerate(predictor.card.class_names))
        raise ConfigError(f"There is no class {target}; this checkpoint has: {names}.")
    return target


def _find_layer(predictor: Predictor, name: str, layer: str | None) -> tuple[CamMethod, str]:
    """The method, and the layer that it explains."""
    method, offered = find_method(name), predictor.architecture.layers
    chosen = layer or predictor.architecture.target_layer
    if not method.by_layer:
        return method, INPUT
    if chosen not in offered:
        raise ConfigError(f"There is no layer {chosen!r} to map; choose one of: {', '.join(offered)}.")
    return method, chosen


def _finish(
    by_member: Iterable[Values], slice_index: NDArray[np.int32], method: CamMethod, layer: str, target: int
) -> list[Cam]:
    """The mean of the members' maps, blurred where the method asks for it, each with its own maximum."""
    maps = np.mean(list(by_member), axis=0)
    if method.smooth:
        maps = _blur(maps, method.smooth)
    return [
        _scale(heat, int(index), method, layer, target) for index, heat in zip(slice_index.tolist(), maps, strict=True)
    ]


def _scale(heat: Values, slice_index: int, method: CamMethod, layer: str, target: int) -> Cam:
    raw_max = float(heat.max())
    return Cam(
        heat=heat / raw_max if raw_max > 0 else heat,
        raw_max=raw_max,
        slice_index=slice_index,
        target_layer=layer,
        method=method.name,
        target_class=target,
    )


def _map(
    predictor: Predictor, pixels: NDArray[np.uint8], wanted: Sequence[tuple[CamMethod, str]], target: int
) -> list[Values]:
    """The unscaled maps of one network by each method and layer: (n, ...), as large as an example without its channels."""
    by_layer = [(method.name, layer) for method, layer in wanted if method.by_layer]
    with predictor.lock:
        coarse = _weigh(predictor, pixels, by_layer, target)
        return [
            _draw(predictor, pixels, coarse[method.name, layer])
            if method.by_layer
            else occlude(predictor, pixels, target)
            for method, layer in wanted
        ]


def _weigh(predictor: Predictor, pixels: NDArray[np.uint8], wanted: Sequence[tuple[str, str]], target: int) -> Coarse:
    """Coarse maps of the examples; one pass serves all. The caller holds the lock."""
    known = predictor.engine.recall(pixels, wanted, target)
    if known is not None:
        return known
    layers = list(dict.fromkeys(layer for _, layer in wanted))
    captured = predictor.engine.capture(pixels, layers, target) if layers else {}
    return {
        (name, layer): [weigh(name, activations, gradients) for activations, gradients in captured[layer]]
        for name, layer in wanted
    }


def _draw(predictor: Predictor, pixels: NDArray[np.uint8], coarse: Sequence[Values]) -> Values:
    """Maps of one layer: (n, size, size), of volumes (n, depth, size, size), of streams (n, streams, size, size)."""
    if predictor.architecture.input_form != "volume":
        enlarged = enlarge(np.stack(coarse, axis=1), pixels.shape[-2:])
        return enlarged if len(coarse) > 1 else enlarged[:, 0]
    maps = coarse[0]
    if maps.ndim == 3:  # a slicewise network gives a map for each slice, one after the other
        maps = maps.reshape(len(pixels), -1, *maps.shape[1:])
    laid = predictor.engine.uncrop(pixels, maps)
    return enlarge(maps, pixels.shape[-3:]) if laid is None else laid


def _blur(maps: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Blur maps (n, ..., size, size) slice by slice, by a share of their side."""
    spread = (0.0,) * (maps.ndim - 2) + (share * maps.shape[-1],) * 2
    return np.asarray(gaussian_filter(maps, spread), np.float32)
