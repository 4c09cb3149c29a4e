"""The networks: one entry each, readable without torch.

How to add a network:

1. Write one file in :mod:`core.models.networks`, with torch at its top: an ``nn.Module`` (or a function that builds one)
   whose first argument is the number of classes. Where published weights go by other names, give it
   ``rename_pretrained(name) -> list of names``; where it classifies only a part of a volume, ``uncrop(volume, maps)``.
2. Add one :class:`Architecture` to the tuples below, whose ``network`` names it: ``"core.models.networks.mine:Mine"``.

Training, prediction, maps and the Models page take it from there; what one example costs is counted from the network
itself (:mod:`core.models.zoo`). A test or a notebook can also put an entry into :data:`ARCHITECTURES` for its own process,
with the class itself as ``network``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from core.config import PrepConfig
from core.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Per-channel mean and standard deviation of images scaled to 0..1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the rest needs to know of a network."""

    name: str
    title: str
    network: str | Callable[..., nn.Module]
    """``module:name`` of a class or function, or itself, which builds the network from the number of classes and
    `arguments`; the module is imported, and torch with it, by :meth:`build`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input_form: Literal["slice", "volume", "streams"]
    """"slice": (batch, 3, size, size); "volume": (batch, channels, depth, size, size); "streams": (batch, channels, size,
    size), one grey image for each MR sequence, exactly 0 everywhere where it is absent."""
    channels: int = 3
    """Input channels; of "streams", how many there are."""
    normalisation: Normalisation
    target_layer: str
    """Dotted name of the module whose output the maps explain; "*" stands for the number of each stream."""
    finer_layers: tuple[str, ...] = ()
    """Other modules that a map may explain, usually coarse to fine: earlier layers see smaller places, and less of the
    whole."""
    head: str
    """Dotted name of the replaced classification layer; pretrained weights of it are left out."""
    pretrained: str | None
    """Name in torchvision's weights API (``ResNet18_Weights.IMAGENET1K_V1``), or None."""
    fresh: tuple[str, ...] = ()
    """Parts besides the head that no published file has; they start at random."""
    slicewise: bool = False
    """Of "volume": it takes the slices one by one, with two-dimensional convolutions."""
    needs_masks: bool = False
    """Its first stage learns from masks of the tumour (:mod:`core.training.segmenter`)."""
    cost_sides: tuple[int, ...] = ()
    """(Depth,) rows and columns of the example that its cost is counted for, where they are not the usual ones."""

    def build(self, class_count: int) -> nn.Module:
        """Build the network with random weights and as many outputs as there are classes."""
        network = self.network
        if isinstance(network, str):
            module, _, name = network.partition(":")
            network = getattr(import_module(module), name)
        return network(class_count, **self.arguments)

    @property
    def layers(self) -> tuple[str, ...]:
        """Modules whose output a map may explain, the usual one first; a "*" stands for each of several streams."""
        return (self.target_layer, *self.finer_layers)

    @property
    def convolves_depth(self) -> bool:
        """Whether its convolutions have three dimensions."""
        return self.input_form == "volume" and not self.slicewise


PIXELS = 224 * 224
"""Of one example of usual size."""

NEIGHBOURS = 3
"""The slice below, the slice, and the one above."""

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of ImageNet's training images, as torchvision's weights expect them."""

KINETICS = Normalisation(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
"""Of Kinetics-400's training clips, as torchvision's video weights expect them."""

UNCHANGED = Normalisation(mean=(0.0,), std=(1.0,))
"""Grey of 0..1 as it is, for networks that start from random weights."""


_NETWORKS = "core.models.networks"

LAST_BLOCKS = {18: (1, 1, 1), 34: (3, 5, 2), 50: (3, 5, 2), 101: (3, 22, 2), 152: (7, 35, 2)}
"""Number of the last block of the second, third and fourth layer, by depth (He et al. 2016, table 1)."""


def _resnet(depth: int) -> Architecture:
    second, third, fourth = LAST_BLOCKS[depth]
    return Architecture(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}",
        network=f"{_NETWORKS}.resnet:build_resnet",
        arguments={"name": f"resnet{depth}"},
        input_form="slice",
        normalisation=IMAGENET,
        target_layer=f"layer4.{fourth}",
        finer_layers=(f"layer3.{third}", f"layer2.{second}"),
        head="fc",
        pretrained=f"ResNet{depth}_Weights.IMAGENET1K_V1",
    )


def _average(colour: Normalisation, channels: int = 1) -> Normalisation:
    """For grey channels: the mean of the three colours'."""
    return Normalisation(mean=(sum(colour.mean) / 3,) * channels, std=(sum(colour.std) / 3,) * channels)


def _video(name: str, title: str, weights: str, channels: int) -> Architecture:
    grey = channels == 1
    return Architecture(
        name=f"{name}_grey" if grey else name,
        title=f"{title}, one channel" if grey else title,
        network=f"{_NETWORKS}.spatiospatial:build_video",
        arguments={"name": name, "channels": channels},
        input_form="volume",
        channels=channels,
        normalisation=_average(KINETICS) if grey else KINETICS,
        target_layer="layer4.1",
        finer_layers=("layer3.1", "layer2.1"),
        head="fc",
        pretrained=f"{weights}.KINETICS400_V1",
    )


_VIDEOS = (
    ("r2plus1d_18", "R(2+1)D-18", "R2Plus1D_18_Weights"),
    ("mc3_18", "MC3-18", "MC3_18_Weights"),
    ("r3d_18", "R3D-18", "R3D_18_Weights"),
)

_VOLUMES = (
    *(_video(*names, channels) for names in _VIDEOS for channels in (3, 1)),
    Architecture(
        name="resnet10_3d", title="3D ResNet-10", network=f"{_NETWORKS}.resnet3d:build_resnet10", input_form="volume",
        channels=1, normalisation=UNCHANGED, target_layer="layer4.0", finer_layers=("layer3.0", "layer2.0"), head="fc",
        pretrained=None, cost_sides=(64, 256, 256),
    ),
    Architecture(
        name="volumetric", title="Multi-scale 3D CNN", network=f"{_NETWORKS}.volumetric:Volumetric", input_form="volume",
        channels=1, normalisation=UNCHANGED, target_layer="joint.2", head="fc", pretrained=None,
        cost_sides=(32, 128, 128),
    ),
    Architecture(
        name="two_stage", title="3D U-Net, then 3D ResNet", network=f"{_NETWORKS}.two_stage:TwoStage",
        arguments={"channels": 3}, input_form="volume", normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3),
        target_layer="classifier.layer4.0", finer_layers=("classifier.layer3.0", "classifier.layer2.0"),
        head="classifier.fc", pretrained=None, needs_masks=True, cost_sides=(32, 128, 128),
    ),
    Architecture(
        name="attention_resnet18", title="ResNet-18 with attention over slices",
        network=f"{_NETWORKS}.attention:AttentionResNet", input_form="volume", channels=1,
        normalisation=_average(IMAGENET), target_layer="encoder.layer4.1",
        finer_layers=("encoder.layer3.1", "encoder.layer2.1"), head="fc",
        pretrained="ResNet18_Weights.IMAGENET1K_V1", fresh=("content", "gate", "weight"), slicewise=True,
        cost_sides=(16, 224, 224),
    ),
)  # fmt: skip

_STREAMS = (
    Architecture(
        name="multistream", title="One stream per sequence", network=f"{_NETWORKS}.multistream:MultiStream",
        arguments={"stream_count": 3}, input_form="streams", normalisation=_average(IMAGENET, 3),
        target_layer="streams.*.layer3.1", finer_layers=("joint.layer4.1",), head="fc",
        pretrained="ResNet18_Weights.IMAGENET1K_V1",
    ),
)  # fmt: skip

_SLICES = tuple(_resnet(depth) for depth in LAST_BLOCKS)

ARCHITECTURES: dict[str, Architecture] = {entry.name: entry for entry in (*_SLICES, *_VOLUMES, *_STREAMS)}


def find_architecture(name: str) -> Architecture:
    """Return an architecture by name.

    Raises
    ------
    ConfigError
        There is none; the message lists those that exist.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise ConfigError(f"There is no architecture {name!r}; choose one of: {', '.join(ARCHITECTURES)}.") from None


def check_form(architecture: Architecture, prep: PrepConfig) -> None:
    """Refuse a network that the prepared examples do not fit.

    Raises
    ------
    ConfigError
        It takes volumes or streams where slices are prepared, or the other way round; or as many sequences as are
        prepared it does not take.
    """
    prepared = prep.form
    if architecture.input_form == prepared:
        if prep.combines and len(prep.sequences) != architecture.channels:
            raise ConfigError(
                f"{architecture.title} takes {architecture.channels} sequences at once, and {len(prep.sequences)} are "
                f"prepared ({', '.join(prep.sequences)}); choose {architecture.channels} with sequences=..."
            )
        if prep.channels == "neighbours" and architecture.channels != NEIGHBOURS:
            raise ConfigError(f"{architecture.title} has {architecture.channels} channels, and neighbours fill three.")
        return
    fitting = [entry.name for entry in ARCHITECTURES.values() if entry.input_form == prepared]
    raise ConfigError(
        f"{architecture.title} takes examples of the form {architecture.input_form!r}, and {prepared!r} is prepared; "
        f"choose an architecture for {prepared!r}: {', '.join(fitting)}."
    )


def limit_batch(batch_size: int, shape: tuple[int, ...]) -> int:
    """How many examples of a shape need no more memory than `batch_size` slices of 224 x 224; 1 at the least."""
    return min(batch_size, max(batch_size * PIXELS // max(math.prod(shape), 1), 1))


def list_modules(architecture: Architecture, layer: str) -> list[str]:
    """Return the names of the modules that a layer stands for: one, or one for each stream."""
    count = architecture.channels if "*" in layer else 1
    return [layer.replace("*", str(number)) for number in range(count)]
