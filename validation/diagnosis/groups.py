"""Causes that show in the entries of single groups of a gradient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from refsim.network.parameters import BOUNDED
from validation.comparison.comparison import Comparison, largest
from validation.comparison.shifts import STEPS
from validation.diagnosis.causes import Explanation, Suspect, explanation, listed
from validation.perturbation import value_of

Vector = NDArray[np.float64]

SYNAPTIC = ("weight", "delay")


def of_groups(suspect: Suspect) -> Iterator[Explanation]:
    """Return explanations of groups by what has been done to their entries."""
    pairs = {group: suspect.pairs[group] for group in suspect.failing}
    if not pairs:
        return
    yield from _lost(suspect, pairs)
    yield from _signs(suspect, pairs)
    yield from _factors(suspect, pairs)
    yield from _scaled(suspect, pairs)
    yield from _clamped(suspect, pairs)
    yield from _permuted(suspect, pairs)


def _lost(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    if any(pair.answer.any() for pair in pairs.values()):
        return
    name = "delay gradient lost" if tuple(pairs) == ("delay",) else "gradient lost"
    absent = [group for group in pairs if group in suspect.answer.absent]
    what = "None" if len(absent) == len(pairs) else "zero"
    verb = "is" if len(pairs) == 1 else "are"
    yield explanation(
        name,
        f"{listed(list(pairs))} {verb} {what}, and up to "
        f"{max(largest(pair.reference) for pair in pairs.values()):.3g} in the reference",
    )


def _signs(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    left = suspect.left({group: -pair.reference for group, pair in pairs.items()})
    if left is not None:
        which = "all groups have" if len(pairs) == len(suspect.pairs) else listed(list(pairs))
        has = "" if len(pairs) == len(suspect.pairs) else " has" if len(pairs) == 1 else " have"
        yield explanation("wrong sign", f"{which}{has} the opposite sign", left)


def _fitted(pair: Comparison) -> float:
    """Return the factor between the reference and an answer, by least squares."""
    size = float(pair.reference @ pair.reference)
    return float(pair.reference @ pair.answer) / size if size else np.nan


def _factors(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    factors = {group: _fitted(pair) for group, pair in pairs.items()}
    if not all(np.isfinite(c) and c for c in factors.values()):
        return
    if all(abs(c + 1.0) < suspect.most_left for c in factors.values()):
        return  # a sign
    left = suspect.left({g: c * pairs[g].reference for g, c in factors.items()})
    if left is None:
        return
    common = max(factors.values()) - min(factors.values())
    same = common <= max(suspect.most_left, 1e-6) * abs(min(factors.values(), key=abs))
    telling = any(np.count_nonzero(pairs[g].reference) > 1 for g in factors) or (
        same and len(factors) > 1
    )
    meaning = _meaning(suspect, next(iter(factors.values()))) if same else ""
    if not telling and not meaning:
        return
    text = ", ".join(f"{group} by {_figure(c)}" for group, c in factors.items())
    if same:
        text = f"{listed(list(factors))} by {_figure(next(iter(factors.values())))}"
    by_step = same and (_follows_step(suspect) or meaning.startswith("1/dt"))
    name = "factor 1/dt" if by_step else "constant factor"
    note = f", {meaning}" if meaning else ""
    yield explanation(name, f"multiplied: {text}{note}", left)


def _figure(factor: float) -> str:
    """Return a factor as text; one that is nearly 1 by how far it is from it."""
    if abs(factor - 1.0) > 1e-4:
        return f"{factor:.6g}"
    return f"1 {'+' if factor > 1.0 else '-'} {abs(factor - 1.0):.2g}"


def _follows_step(suspect: Suspect) -> bool:
    """Return whether the factor is 1/dt, or dt, for each of several steps."""
    if not suspect.on_grid:
        return False
    products = []
    for dt, answer in suspect.answers:
        for group in suspect.failing:
            reference = suspect.pairs[group].reference
            size = float(reference @ reference)
            if size and group in answer.gradient:
                factor = float(reference @ answer.gradient[group]) / size
                products.append((factor * dt, factor / dt))
    inverse, direct = np.array(products).T
    return any(bool(np.all(np.abs(rows - 1.0) < 0.4)) for rows in (inverse, direct))


def _meaning(suspect: Suspect, factor: float) -> str:
    """Return what a factor could be, "" if nothing comes to mind."""
    if abs(factor - 1.0) < 1e-3:
        return ""  # right but for a little
    close = 0.1 if suspect.on_grid else 1e-5
    if min(abs(factor / 2.0 - 1.0), abs(factor * 2.0 - 1.0)) < close:
        return ""  # needs no explanation, least of all by a step of half a millisecond
    network = suspect.reference.case.network
    known = {"tau_m": network.tau_m[0], "tau": network.tau[0], "1000, ms in a second": 1000.0}
    for text, value in known.items():
        if abs(factor / value - 1.0) < close:
            return f"which is {text}"
        if abs(factor * value - 1.0) < close:
            return f"which is 1/{text.split(',')[0]}"
    steps = [dt for dt, _ in suspect.answers if dt] or STEPS
    for dt in steps:
        if abs(factor * dt - 1.0) < close:
            return f"1/dt for a step of {dt:g} ms"
        if abs(factor / dt - 1.0) < close:
            return f"1/dt the other way round, for a step of {dt:g} ms"
    return ""


def _parameters_of(suspect: Suspect, group: str) -> dict[str, Vector]:
    """Return vectors of parameters that entries of a group may have been multiplied by."""
    case = suspect.reference.case
    network = case.network
    own = {f"the {group} itself": value_of(case, group)}
    if group in SYNAPTIC:
        first = np.cumsum([0, *(len(port.time_constants) for port in network.ports)])[:-1]
        own |= {
            "tau_m of the target": network.tau_m[network.post],
            "tau of the port": network.tau[first[network.port]],
            "the weight": network.weight,
        }
    elif len(value_of(case, group)) == network.n_neurons and group not in ("tau", "input_times"):
        own["tau_m"] = network.tau_m
    found = {}
    for name, values in own.items():
        if np.ptp(values) > 0.0:
            found[name] = values
            if np.all(values != 0.0):
                found[f"1/{name}"] = 1.0 / values
    return found


def _scaled(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    fits: dict[str, tuple[str, float]] = {}
    for group, pair in pairs.items():
        for name, values in _parameters_of(suspect, group).items():
            error = largest(pair.answer - pair.reference * values) / pair.scale / pair.error
            if error < fits.get(group, ("", np.inf))[1] and np.count_nonzero(pair.reference) > 1:
                fits[group] = (name, error)
    supposed = {}
    for group, (name, _) in fits.items():
        supposed[group] = pairs[group].reference * _parameters_of(suspect, group)[name]
    left = suspect.left(supposed) if len(supposed) == len(pairs) else None
    if left is not None:
        text = ", ".join(f"{group} by {name}" for group, (name, _) in fits.items())
        yield explanation("scaled by a parameter", f"multiplied: {text}", left)


def _clamped(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    """Look for half of a derivative, as a central difference across the end of a domain gives."""
    for factor, text in ((0.5, "half of"), (0.0, "nothing of")):
        supposed = {}
        for group, pair in pairs.items():
            if group not in BOUNDED:
                return
            at_zero = value_of(suspect.reference.case, group) == 0.0
            if not at_zero.any() or (factor == 0.0 and at_zero.all()):
                return
            supposed[group] = np.where(at_zero, factor * pair.reference, pair.reference)
        left = suspect.left(supposed)
        if left is not None:
            yield explanation(
                "clamped at zero",
                f"{listed(list(pairs))}: {text} the derivative where the parameter is 0",
                left,
            )


def _permuted(suspect: Suspect, pairs: dict[str, Comparison]) -> Iterator[Explanation]:
    supposed = {}
    for group, pair in pairs.items():
        if len(pair.reference) < 2:
            return
        values = np.empty_like(pair.reference)
        values[np.argsort(pair.answer, kind="stable")] = np.sort(pair.reference)
        supposed[group] = values
    left = suspect.left(supposed)
    if left is not None and not suspect.on_grid:
        yield explanation(
            "permuted entries", f"{listed(list(pairs))}: right values in another order", left
        )
