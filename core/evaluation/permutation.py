"""The p-value of a permutation test, and of several tests together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

from core.evaluation.metrics import Floats, Integers

NOT_STATED = ""
"""A site that is not known; patients without one are exchanged among themselves."""
FEW_ARRANGEMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """Among which patients labels are shuffled."""

    strata: NDArray[np.intp]
    """(patients,)."""
    sentence: str
    """Such as "within 3 sites"; with what cannot be exchanged."""

    @property
    def restricted(self) -> bool:
        """Whether there is more than one stratum."""
        return bool((self.strata != self.strata[:1]).any())

    def shuffle(self, labels: Integers, generator: np.random.Generator) -> Integers:
        """Return the labels, permuted within the strata."""
        return self.shuffle_many(labels, 1, generator)[0]

    def shuffle_many(self, labels: Integers, times: int, generator: np.random.Generator) -> Integers:
        """Return (times, patients): as many shuffles."""
        shuffled = np.tile(labels, (times, 1))
        for stratum in np.unique(self.strata):
            inside = np.flatnonzero(self.strata == stratum)
            shuffled[:, inside] = generator.permuted(shuffled[:, inside], axis=1)
        return shuffled


def exchange_within(sites: Sequence[str], labels: Integers) -> Exchange:
    """Return the strata of a restricted permutation: one for each site, :data:`NOT_STATED` among them.

    What shows only the site then does as well with shuffled labels as with the true ones. Where no site is known, where there
    is one only, and where every site holds one class only, labels are shuffled among all patients, and that is said.

    Parameters
    ----------
    sites, labels
        Of each patient.
    """
    names, strata = np.unique(np.asarray(sites, dtype=np.str_), return_inverse=True)
    classes = [np.unique(labels[strata == number], return_counts=True)[1] for number in range(len(names))]
    everybody = np.zeros(len(labels), dtype=np.intp)
    if len(names) < 2:
        known = "not known" if not len(names) or names[0] == NOT_STATED else "one only"
        return Exchange(strata=everybody, sentence=f"among all patients (sites: {known})")
    free = [number for number, counts in enumerate(classes) if len(counts) > 1]
    if not free:
        return Exchange(
            strata=everybody,
            sentence="among all patients, for every site holds one class only: label and site cannot be told apart",
        )
    sentence = f"within {len(free)} site{'s' if len(free) > 1 else ''}"
    fixed = int(sum(counts.sum() for number, counts in enumerate(classes) if number not in free))
    if fixed:
        sentence += f"; {fixed} of {len(labels)} patients are not exchanged, for their sites hold one class only"
    ways = prod(_arrangements(classes[number]) for number in free)
    if ways < FEW_ARRANGEMENTS:
        sentence += f"; there are {ways} arrangements only, so that p cannot be below {1 / ways:.3f}"
    return Exchange(strata=strata.astype(np.intp), sentence=sentence)


def _arrangements(counts: Integers) -> int:
    """In how many ways labels of such numbers can lie."""
    return prod(comb(int(counts[: place + 1].sum()), int(count)) for place, count in enumerate(counts))


def permutation_p(observed: float, null: Floats) -> float:
    """Return (1 + b) / (1 + N): b of the N shuffles came out at least as well (Phipson and Smyth 2010)."""
    # Figures that are equal but for rounding count as equal.
    return float((1 + np.sum(np.asarray(null) >= observed - 1e-12)) / (1 + len(null)))


def adjust_holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for their number, each at most 1, by the name of the test.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979), 65-70.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted
