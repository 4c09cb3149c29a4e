"""The networks: one entry each. Adding one is one file and one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from core.config import PrepConfig
from core.errors import ConfigError
from core.models.networks.attention import build_attention
from core.models.networks.multistream import build_multistream
from core.models.networks.resnet import build_resnet
from core.models.networks.resnet3d import build_resnet10
from core.models.networks.spatiospatial import build_video
from core.models.networks.two_stage import build_two_stage
from core.models.networks.volumetric import build_volumetric
from core.models.translate import Translate, bag_weights, stream_weights, sum_stem

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
    build: Callable[[int], nn.Module]
    """Number of classes -> network with random weights; imports torch only when called."""
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
    translate: Translate | None = None
    """How a published file's tensors become this network's, where names or the stem differ."""
    fresh: tuple[str, ...] = ()
    """Parts besides the head that no published file has; they start at random."""
    slices_apart: bool = False
    """Of "volume": it looks at the slices one by one, with two-dimensional convolutions."""
    needs_masks: bool = False
    """Its first stage learns from masks of the tumour (:mod:`core.training.segmenter`)."""

    @property
    def convolves_depth(self) -> bool:
        """Whether its convolutions have three dimensions."""
        return self.input_form == "volume" and not self.slices_apart


NEIGHBOURS = 3
"""The slice below, the slice, and the one above."""

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Of ImageNet's training images, as torchvision's weights expect them."""

KINETICS = Normalisation(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
"""Of Kinetics-400's training clips, as torchvision's video weights expect them."""

UNCHANGED = Normalisation(mean=(0.0,), std=(1.0,))
"""Grey of 0..1 as it is, for networks that start from random weights."""


LAST_BLOCKS = {18: (1, 1), 34: (3, 5), 50: (3, 5), 101: (3, 22), 152: (7, 35)}
"""Number of the last block of the second and third layer, by depth (He et al. 2016, table 1)."""


def _resnet(depth: int, last_block: int) -> Architecture:
    second, third = LAST_BLOCKS[depth]
    return Architecture(
        name=f"resnet{depth}",
        title=f"ResNet-{depth}",
        build=partial(build_resnet, f"resnet{depth}"),
        input_form="slice",
        normalisation=IMAGENET,
        target_layer=f"layer4.{last_block}",
        finer_layers=(f"layer3.{third}", f"layer2.{second}"),
        head="fc",
        pretrained=f"ResNet{depth}_Weights.IMAGENET1K_V1",
    )


def _grey(colour: Normalisation) -> Normalisation:
    """For one grey channel: the mean of the three colours'."""
    return Normalisation(mean=(sum(colour.mean) / 3,), std=(sum(colour.std) / 3,))


def _video(name: str, title: str, weights: str, channels: int) -> Architecture:
    grey = channels == 1
    return Architecture(
        name=f"{name}_grey" if grey else name,
        title=f"{title}, one channel" if grey else title,
        build=partial(build_video, name, channels),
        input_form="volume",
        channels=channels,
        normalisation=_grey(KINETICS) if grey else KINETICS,
        target_layer="layer4.1",
        finer_layers=("layer3.1", "layer2.1"),
        head="fc",
        pretrained=f"{weights}.KINETICS400_V1",
        translate=partial(sum_stem, "stem.0") if grey else None,
    )


_VIDEOS = (
    ("r2plus1d_18", "R(2+1)D-18", "R2Plus1D_18_Weights"),
    ("mc3_18", "MC3-18", "MC3_18_Weights"),
    ("r3d_18", "R3D-18", "R3D_18_Weights"),
)

_VOLUMES = (
    *(_video(*names, channels) for names in _VIDEOS for channels in (3, 1)),
    Architecture(
        name="resnet10_3d", title="3D ResNet-10", build=build_resnet10, input_form="volume", channels=1,
        normalisation=UNCHANGED, target_layer="layer4.0", finer_layers=("layer3.0", "layer2.0"), head="fc",
        pretrained=None,
    ),
    Architecture(
        name="volumetric", title="Multi-scale 3D CNN", build=build_volumetric, input_form="volume", channels=1,
        normalisation=UNCHANGED, target_layer="joint.2", head="fc", pretrained=None,
    ),
    Architecture(
        name="two_stage", title="3D U-Net, then 3D ResNet", build=partial(build_two_stage, 3), input_form="volume",
        normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3), target_layer="classifier.layer4.0",
        finer_layers=("classifier.layer3.0", "classifier.layer2.0"), head="classifier.fc", pretrained=None, needs_masks=True,
    ),
    Architecture(
        name="attention_resnet18", title="ResNet-18 with attention over slices", build=build_attention,
        input_form="volume", channels=1, normalisation=_grey(IMAGENET), target_layer="encoder.layer4.1",
        finer_layers=("encoder.layer3.1", "encoder.layer2.1"), head="fc",
        pretrained="ResNet18_Weights.IMAGENET1K_V1", translate=bag_weights,
        fresh=("content", "gate", "weight"), slices_apart=True,
    ),
)  # fmt: skip

_STREAMS = (
    Architecture(
        name="multistream", title="One stream per sequence", build=partial(build_multistream, 3),
        input_form="streams", normalisation=Normalisation(mean=_grey(IMAGENET).mean * 3, std=_grey(IMAGENET).std * 3),
        target_layer="streams.*.layer3.1", finer_layers=("joint.layer4.1",), head="fc",
        pretrained="ResNet18_Weights.IMAGENET1K_V1",
        translate=partial(stream_weights, 3),
    ),
)  # fmt: skip

_SLICES = (_resnet(18, 1), _resnet(34, 2), _resnet(50, 2), _resnet(101, 2), _resnet(152, 2))

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
