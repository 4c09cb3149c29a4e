"""Which settings a search varies, and between which values: ``learning_rate=1e-5..1e-2:log``, ``optimiser=sgd,adamw``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.config import RunConfig, apply_settings, field_paths
from core.errors import ConfigError

if TYPE_CHECKING:
    import optuna


EXAMPLE = "write name=low..high, name=low..high:log or name=one,two, for example learning_rate=1e-5..1e-2:log"

FIXED: Mapping[str, str] = {
    "split_unit": "all trials are evaluated on the same patients; choose the split with --set",
    "val_fraction": "all trials are evaluated on the same patients; choose the split with --set",
    "test_fraction": "all trials are evaluated on the same patients; choose the split with --set",
    "split_seed": "all trials are evaluated on the same patients; choose the split with --set",
    "select_on": "it is what the trials are compared by; choose it with --set",
    "seed": "the best of several seeds is luck, not a configuration; `specification` shows what seeds do",
    "preset": "it is a name; choose it with --preset",
    "device": "it changes the speed, not the result; choose it with --set",
}
"""Settings that a search must not choose, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting with a few values, as ``--set`` takes them."""

    name: str
    values: tuple[str, ...]
    listed: bool = False
    """The setting is a list, whose values are joined by "+"."""

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.values)}"

    def suggest(self, trial: optuna.trial.BaseTrial) -> str:
        """Draw one of the values."""
        return self._setting(str(trial.suggest_categorical(self.name, list(self.values))))

    def ends(self) -> tuple[str, ...]:
        """Values that must fit the configuration: all of them."""
        return tuple(self._setting(value) for value in self.values)

    def _setting(self, value: str) -> str:
        return value.replace("+", ",") if self.listed else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A number between two others, evenly or on the logarithmic scale."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    """The setting is a whole number."""

    def __str__(self) -> str:
        return f"{self.name}={self.low:g}..{self.high:g}{':log' if self.log else ''}"

    def suggest(self, trial: optuna.trial.BaseTrial) -> str:
        """Draw a number."""
        if self.whole:
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log))
        return repr(float(trial.suggest_float(self.name, self.low, self.high, log=self.log)))

    def ends(self) -> tuple[str, ...]:
        """Values that must fit the configuration: the smallest and the largest."""
        return tuple(str(int(end)) if self.whole else repr(end) for end in (self.low, self.high))


Parameter = Choice | Range


def parse_space(texts: Iterable[str]) -> tuple[Parameter, ...]:
    """Read a search space.

    Parameters
    ----------
    texts
        ``name=low..high`` (evenly), ``name=low..high:log`` (each decade alike) or ``name=one,two,three``. The values
        of a list are joined by ``+``: ``sequences=T1wCE,FLAIR+T1w``.

    Raises
    ------
    ConfigError
        A setting does not exist, may not be searched or stands twice; a range is none; nothing is varied.
    """
    space = tuple(_parse(text) for text in texts)
    if not space:
        raise ConfigError(f"A search varies something: {EXAMPLE}.")
    names = [parameter.name for parameter in space]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"{twice} stands twice in the space; give each setting once.")
    return space


def check_space(config: RunConfig, space: Iterable[Parameter], *, pruned: bool) -> None:
    """Make sure that every end of every range and every choice fits the configuration.

    Combinations are not tried out here: one that does not fit fails as a trial, with its reason.

    Parameters
    ----------
    config
        What the values are set in.
    space
        From :func:`parse_space`.
    pruned
        Trials are compared epoch by epoch, so that all must have equally many.

    Raises
    ------
    ConfigError
        A value does not fit, or `epochs` is searched while trials are pruned.
    """
    for parameter in space:
        if parameter.name == "epochs" and pruned:
            raise ConfigError(
                "Trials of different length cannot be compared epoch by epoch; give --pruner none to search epochs."
            )
        for value in parameter.ends():
            apply_settings(config, {parameter.name: value})


def sample_settings(trial: optuna.trial.BaseTrial, space: Iterable[Parameter]) -> dict[str, str]:
    """Draw a value for every setting, as :func:`core.config.apply_settings` takes it."""
    return {parameter.name: parameter.suggest(trial) for parameter in space}


def _parse(text: str) -> Parameter:
    name, separator, values = (part.strip() for part in text.partition("="))
    name = name.rsplit(".", 1)[-1]
    if not separator or not name or not values:
        raise ConfigError(f"{text!r} is no search space; {EXAMPLE}.")
    if name in FIXED:
        raise ConfigError(f"{name} cannot be searched: {FIXED[name]}.")
    kind = _kind(name)
    if ".." in values:
        return _parse_range(name, values, kind)
    choices = tuple(value.strip() for value in values.split(",") if value.strip())
    if len(set(choices)) < 2 or len(set(choices)) < len(choices):
        raise ConfigError(f"{name}={values} leaves no choice; name two or more different values, or a range low..high.")
    return Choice(name=name, values=choices, listed=kind is tuple)


def _parse_range(name: str, values: str, kind: Any) -> Range:
    bounds, _, scale = values.partition(":")
    low_text, _, high_text = bounds.partition("..")
    if kind not in (int, float):
        raise ConfigError(f"{name} is not a number, so it has no range; name its values: {name}=one,two.")
    if scale not in ("", "log"):
        raise ConfigError(f"{name}={values} ends in {scale!r}; write :log for the logarithmic scale, or leave it out.")
    try:
        low, high = float(low_text), float(high_text)
    except ValueError:
        raise ConfigError(f"{name}={values} is no range of numbers; {EXAMPLE}.") from None
    if not low < high or high == float("inf"):
        raise ConfigError(f"{name}={values} is empty; write the smaller number first, for example {name}=0.1..0.9.")
    if scale and low <= 0:
        raise ConfigError(
            f"{name}={values} begins at {low:g}, which has no logarithm; begin above 0, or leave :log out."
        )
    if kind is int and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{name} takes whole numbers; write {name}={int(low)}..{int(high) + 1}.")
    return Range(name=name, low=low, high=high, log=bool(scale), whole=kind is int)


def _kind(name: str) -> Any:
    """The setting's type: int, float, or something else that has no range."""
    paths = field_paths()
    if name not in paths:
        apply_settings(RunConfig(), {name: ""})  # raises, naming the nearest ones
    value: Any = RunConfig().model_dump()
    for step in paths[name]:
        value = value[step]
    return type(value)
