"""Figures of several runs, and whether they differ from those of another time by more than noise.

A figure is made relative to the calibration of its own run, so that a slower machine, or an hour in which the machine is busy,
does not look like a slower Jetpost. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, Literal, TypeAlias

import msgspec

LEAST_NOISE: Final = 0.03
"""Two runs of the same thing differ by so much anyway: less is never called a change."""
NOISE_OF_ONE: Final = 0.05
"""Assumed where there was one run, which says nothing of its noise."""

Kind: TypeAlias = Literal["rate", "cost", "plain", "plain cost"]
"""`rate`: per second, more is better, grows with the machine. `cost`: CPU time, less is better, shrinks with it. `plain`: more
is better, and `plain cost`: less is better, whatever the machine: ratios, bytes."""
Verdict: TypeAlias = Literal["better", "worse", "same", "new", "gone"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure in every run."""

    kind: Kind
    unit: str
    values: list[float]
    """As measured."""
    relative: list[float]
    """The same relative to the speed of the machine in that run."""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def noise(self) -> float:
        """Half of the range of all runs, as a share of the median."""
        if len(self.relative) == 1:
            return NOISE_OF_ONE
        middle = median(self.relative)
        return (max(self.relative) - min(self.relative)) / 2 / abs(middle) if middle else 0.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A figure then and now."""

    name: str
    unit: str
    before: float | None
    """The median as it was measured; None: there was none."""
    now: float | None
    change: float
    """Of the medians relative to the calibration: 0.1 is a tenth more than before."""
    noise: float
    """The change that runs of the same thing may show."""
    verdict: Verdict


def figure(kind: Kind, unit: str, values: Sequence[float], speeds: Sequence[float]) -> Figure:
    """`speeds` is how fast the machine was in each run."""
    return Figure(
        kind=kind,
        unit=unit,
        values=list(values),
        relative=[_relative(kind, value, speed) for value, speed in zip(values, speeds, strict=True)],
    )


def paired(above: Sequence[float], below: Sequence[float]) -> Figure:
    """How many times one is the other, run by run: what slows a whole run down does not show in it."""
    ratios = [one / other if other else 0.0 for one, other in zip(above, below, strict=True)]
    return figure("plain", "×", ratios, [1.0] * len(ratios))


def compare(before: Mapping[str, Figure], now: Mapping[str, Figure]) -> list[Change]:
    """In the order of what is measured now, then what was measured only before."""
    names = [*now, *(name for name in before if name not in now)]
    return [_change(name, before.get(name), now.get(name)) for name in names]


def worse(changes: Sequence[Change]) -> list[Change]:
    """The regressions beyond noise."""
    return [change for change in changes if change.verdict == "worse"]


def _change(name: str, before: Figure | None, now: Figure | None) -> Change:
    known = now or before
    assert known is not None, "a name comes from one of them"
    change, noise, verdict = 0.0, 0.0, _only_in_one(before)
    if before and now:
        then = median(before.relative)
        change = median(now.relative) / then - 1 if then else 0.0
        noise = max(LEAST_NOISE, before.noise + now.noise)
        verdict = _verdict(change, noise, now.kind)
    return Change(
        name=name,
        unit=known.unit,
        before=before.median if before else None,
        now=now.median if now else None,
        change=change,
        noise=noise,
        verdict=verdict,
    )


def _only_in_one(before: Figure | None) -> Verdict:
    return "gone" if before else "new"


def _verdict(change: float, noise: float, kind: Kind) -> Verdict:
    if abs(change) <= noise:
        return "same"
    more_is_better = kind in {"rate", "plain"}
    return "better" if (change > 0) == more_is_better else "worse"


def _relative(kind: Kind, value: float, speed: float) -> float:
    match kind:
        case "rate":
            return value / speed
        case "cost":
            return value * speed
        case "plain" | "plain cost":
            return value
