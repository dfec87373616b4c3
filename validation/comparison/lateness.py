"""How many steps of a time grid a back end is late, with the error of that measurement.

A back end of first order is off by a part of its step at every spike, and so is one with a mistake
in its delivery: errors that vanish with the step tell nothing. But the parts differ. Each spike of
an answer is set beside the one that exactly follows from what the answer itself says came before
(`validation.comparison.intervals`), and the differences, in steps, are fitted by

    inputs x d/d(input arrivals) + neurons x d/d(arrivals from neurons) + spikes x the rest
    + what a rule of integration does: some part of a step more or less of tau_m, of the time
      constants of currents, of weights, of the time of release, and of the rise of a double_exp.

The coefficients belong to the rules of the back end and not to the case, so that evidence of all
cases and steps adds up. ``inputs`` is by how many steps a spike is late that follows an input
spike, ``neurons`` the same of one that follows the spike of a neuron as it was reported, and
``spikes`` the lateness of reports alone, which neurons show that a constant current drives.

Rounding. An arrival that waits for a point of the grid is late by chance, uniformly in a step, and
so is a spike that is reported at one. By which end of a step a scheme rounds is its own choice:
half a step of lateness, either way, for each rounding. That there is a rounding shows in the
scatter; a simulator that does not round has no excuse to be late by a part of a step. Arrivals of
equal phase are rounded alike: a hundred of them scatter no more than one does, and prove no more.
Those that lie on the grid may be taken at once or in the next step, as far as their own times tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from adjoint.check import Evaluation
from validation.comparison.answers import CheckedAnswer
from validation.comparison.certificate import Lateness, in_words
from validation.comparison.intervals import LATEST, Intervals, intervals
from validation.comparison.shifts import differences

Vector = NDArray[np.float64]
Answers = Sequence[tuple[float, CheckedAnswer]]

# What is looked for.
SOUGHT = ("arrivals of inputs", "arrivals from neurons", "reports of spikes")
OF_SPIKES = 2
# Of rules of integration, in the order of columns: release, tau_m, time constants of currents, the
# weights of exp and of double_exp ports as parts of them, weights as a part of tau_m, and the rise
# of a double_exp. Standard deviations in steps. Euler's method shortens time constants by half a
# step, a current held for a step is half a step of it more, and responses that rise from zero are
# half a step late by either.
FREE = np.array([1.0, 0.4, 0.4, 0.4, 0.5, 0.4, 0.35])
FREE_LIMIT = 1.5  # of these: a little more than half a step
UNKNOWN = 10.0  # steps: what is sought may be anything

UNIFORM = 1.0 / 12.0  # variance of a rounding, in steps
CURVED = 0.05  # steps by which a spike may be off that linear terms leave
LARGEST_CURVED = 1.0
LARGEST_SENSITIVITY = 100.0
MOST_OF_RATIO = 1000  # denominator of the ratio of two steps
PHASES = 1e6  # phases of arrivals are equal where so many-th parts of a step are
OUTLIER = 4.5  # standard deviations: an arrival has passed a crossing
MOST_OUTLIERS = 0.2  # of all spikes
ROUNDS = 3
MOST_ROUNDINGS = 2.0
LEAST_SCATTER = 0.02  # of what one rounding does, as a variance
# With normal errors, a correct back end is taken for a late one once in ten thousand cases,
# if it rounds to one end of a step, and hardly ever if it does not.
DEVIATIONS = float(ndtri(1.0 - 0.5e-4))
DOUBTFUL = 2.0  # beyond so many, more cases are needed: one in a thousand correct back ends is
SURE = 2.0  # standard deviations of a scatter, beyond which it is not that of one rounding
ALWAYS = 0.1  # steps that terms of second order may make at steps as long as those given
# What a lateness leaves of the differences is the rounding of each, which is not known.
LEFT_BY_ROUNDING = 0.1
MOST_ERROR = 5.0  # steps: what is known worse has not been measured


@dataclass(frozen=True, eq=False)
class Evidence:
    """What spikes say of the coefficients; evidence of several cases adds up.

    Attributes
    ----------
    gram, moment : (10, 10) and (10,)
        Normal equations, every spike weighted by what rounding does to it.
    plain_gram, plain_moment, plain_square : (10, 10), (10,) and float
        The same without correlations, of those spikes that rounding of their arrivals, or of
        themselves, moves most.
    rounded : float
        How many these are.
    roundings : float
        How many independent roundings there are in them.
    rows, on_grid : float
        How many spikes there are, and how many in answers whose spikes lie on the grid.
    aligned : (3,)
        How many of them follow arrivals that lie on the grid, by what is sought.
    """

    gram: Vector
    moment: Vector
    plain_gram: Vector
    plain_moment: Vector
    plain_square: float
    rounded: float
    roundings: float
    rows: float
    on_grid: float
    aligned: Vector

    @classmethod
    def none(cls) -> Evidence:
        """Return what is known before anything is looked at."""
        n = len(SOUGHT) + len(FREE)
        square, column = np.zeros((n, n)), np.zeros(n)
        return cls(square, column, square, column, 0.0, 0.0, 0.0, 0.0, 0.0, np.zeros(len(SOUGHT)))

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


class _Equations(NamedTuple):
    """Spikes of one answer: late = terms x coefficients, up to roundings."""

    late: Vector  # (m,) steps
    terms: Vector  # (m, 10)
    rounded: Vector  # (m, m) variance of roundings, if there are any
    curved: Vector  # (m,) variance of what is not linear, and of the release
    on_grid: bool
    aligned: Vector  # (3,) parts of the arrivals

    def only(self, kept: NDArray[np.bool_]) -> _Equations:
        """Return some of the spikes."""
        return self._replace(
            late=self.late[kept],
            terms=self.terms[kept],
            rounded=self.rounded[np.ix_(kept, kept)],
            curved=self.curved[kept],
        )


class _Fit(NamedTuple):
    value: Vector  # coefficients
    noise: Vector  # their standard deviations by roundings
    free: Vector  # their standard deviations by unknown rules of integration
    scatter: float  # variance of what is left, one rounding being 1
    unsure: float  # relative error of the scatter that is no surprise

    @property
    def scale(self) -> float:
        """The scatter to reckon with: that of one rounding unless it is surely another."""
        if self.scatter > 1.0 + self.unsure:
            return self.scatter
        return min(1.0, self.scatter * (1.0 + self.unsure)) if self.is_less else 1.0

    @property
    def is_less(self) -> bool:
        """Whether the scatter is surely less than that of one rounding."""
        return self.scatter < 1.0 - self.unsure

    @property
    def roundings(self) -> float:
        """How many roundings the scatter shows.

        One to a part of a step scatters by less, in proportion; several add their variances.
        """
        return float(np.sqrt(self.scale)) if self.scale < 1.0 else min(self.scale, MOST_ROUNDINGS)


def evidence_of(reference: Evaluation, answers: Answers) -> Evidence:
    """Return what the answers to a case say of lateness."""
    found = [_equations(reference, dt, answer) for dt, answer in answers]
    blocks = [block for block in found if block is not None]
    repeated = _repetition([dt for dt, _ in answers])
    for _ in range(ROUNDS):
        fit = _fitted(_added(blocks, repeated))
        kept = [_without_outliers(block, fit) for block in blocks]
        before, after = (sum(len(block.late) for block in some) for some in (blocks, kept))
        if after == before or after < (1.0 - MOST_OUTLIERS) * before:
            break
        blocks = kept
    return _added(blocks, repeated)


def lateness_of(evidence: Evidence, latency: float = 0.0) -> tuple[Lateness, ...]:
    """Return by how many steps a back end is late, and what would have failed.

    Parameters
    ----------
    evidence : Evidence
        Of one case or of several.
    latency : float
        Steps by which arrivals act later than their times say, as the back end declares.
    """
    if evidence.rows == 0.0:
        return ()
    fit = _fitted(evidence)
    found = []
    for i, what in enumerate(SOUGHT):
        error = float(np.hypot(fit.noise[i], fit.free[i]))
        if not error < MOST_ERROR:
            continue
        late = float(fit.value[i])
        explained = _allowed(i, fit, evidence) + FREE_LIMIT * fit.free[i]
        least = explained + DEVIATIONS * fit.noise[i]
        beyond = abs(late - (latency if i != OF_SPIKES else 0.0))
        doubtful = beyond > explained + DOUBTFUL * fit.noise[i]
        verdict = "fail" if beyond > least else "inconclusive" if doubtful else "pass"
        found.append(Lateness(what, "steps", late, error, float(least), verdict))
    return tuple(found)


def failing(rows: Sequence[Lateness], latency: float) -> str:
    """Return a sentence on lateness that is a fault, "" if none is."""
    late = [row for row in rows if row.verdict == "fail"]
    if not late:
        return ""
    declared = f", where {latency:g} are declared" if latency else ""
    most = min(row.least for row in late)
    return f"{in_words(late)}{declared}; a correct back end is so by {most:.2g} at most"


def of_exact(reference: Evaluation, answer: CheckedAnswer, tolerance: float) -> Lateness | None:
    """Return the mean difference of spike times of a back end without a step, None without spikes.

    Parameters
    ----------
    reference, answer
        The two that are compared.
    tolerance : float
        By how many ms a spike may be off.
    """
    late = differences(reference, answer)
    if not len(late):
        return None
    error = float(np.std(late) / np.sqrt(len(late)))
    mean = float(np.mean(late))
    return Lateness("spikes", "ms", mean, error, tolerance, "pass")


def _allowed(i: int, fit: _Fit, evidence: Evidence) -> float:
    """Return by how many steps rounding to either end of a step makes a back end late."""
    halves = evidence.on_grid / evidence.rows
    if i == OF_SPIKES:  # a current alone drives these: what they are late by does not average out
        return ALWAYS + 0.5 * halves * fit.roundings
    aligned = float(evidence.aligned[i] / evidence.rows)
    halves += 1.0 - aligned
    return max(ALWAYS, 0.5 * halves * fit.roundings + aligned)


def _equations(reference: Evaluation, dt: float, answer: CheckedAnswer) -> _Equations | None:
    found = intervals(reference.case, dt, answer)
    if found is None or not len(found.late):
        return None
    m, late, terms = len(found.late), found.late / dt, _terms(found)
    curved = CURVED + dt * found.condition / found.shortest
    usable = (
        (curved < LARGEST_CURVED)
        & (np.abs(late) < LATEST)
        & np.all(np.abs(terms) < LARGEST_SENSITIVITY, axis=1)  # and no nan
    )
    phase, on_point = _phases(found.arrival, dt)
    _, group = np.unique(phase, return_inverse=True)
    together = np.zeros((m, int(group.max(initial=-1)) + 1))
    np.add.at(together, (found.spike, group), found.by_arrival)
    on_grid = _on_grid(answer, dt)
    weight = np.abs(found.by_arrival)
    aligned = [
        float(weight[chosen & on_point].sum() / max(weight[chosen].sum(), 1e-300))
        for chosen in (found.of_input, ~found.of_input)
    ]
    every = _Equations(
        late,
        terms,
        UNIFORM * (together @ together.T + on_grid * np.eye(m)),
        curved**2 + UNIFORM * found.release**2,
        on_grid,
        np.array([*aligned, 0.0]),
    )
    return every.only(usable)


def _terms(found: Intervals) -> Vector:
    """Return the derivatives of the spike times by all coefficients."""
    m, steep = len(found.late), ~found.smooth

    def by_spike(values: Vector) -> Vector:
        return np.bincount(found.spike, values, m).astype(np.float64)

    inputs = by_spike(found.by_arrival * found.of_input)
    neurons = by_spike(found.by_arrival * ~found.of_input)
    columns = [
        *(inputs, neurons, 1.0 - inputs - neurons),
        *(found.release, found.tau_m, found.tau),
        *(by_spike(found.by_weight * steep), by_spike(found.by_weight * found.smooth)),
        *(by_spike(found.by_weight_m), by_spike(found.by_arrival * found.smooth)),
    ]
    return np.column_stack(columns)


def _phases(arrival: Vector, dt: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the phases of arrivals in their step, and whether they lie on the grid."""
    part = np.rint(PHASES * (arrival / dt - np.floor(arrival / dt))).astype(np.int64)
    part %= int(PHASES)
    return part, part == 0


def _on_grid(answer: CheckedAnswer, dt: float) -> bool:
    """Return whether all spikes of an answer are multiples of the step, up to float32."""
    number = answer.time / dt
    return bool(np.all(np.abs(number - np.rint(number)) < 1e-4 + 2.0**-23 * number))


def _repetition(steps: Sequence[float]) -> float:
    """Return how often a rounding is counted that several steps share.

    The roundings of numbers to steps whose ratio is p/q, of coprime p and q, have a correlation of
    1/(p q): 1/2 for a step and its half, and next to nothing for most others.
    """
    ratios = [Fraction(a / b).limit_denominator(MOST_OF_RATIO) for a in steps for b in steps]
    return sum(1.0 / (each.numerator * each.denominator or 1) for each in ratios) / len(steps)


def _added(blocks: Sequence[_Equations], repeated: float) -> Evidence:
    found = Evidence.none()
    for block in blocks:
        n = len(block.late)
        if not n:
            continue
        root = np.linalg.cholesky(block.rounded + np.diag(block.curved))
        terms = np.linalg.solve(root, block.terms)
        late = np.linalg.solve(root, block.late)
        moved = block.only(np.diag(block.rounded) >= block.curved)
        deviation = np.sqrt(np.diag(moved.rounded) + moved.curved)
        plain, plain_late = moved.terms / deviation[:, None], moved.late / deviation
        shared = moved.rounded / np.outer(deviation, deviation)
        shared[np.diag_indices_from(shared)] = 1.0
        found += Evidence(
            gram=terms.T @ terms / repeated,
            moment=terms.T @ late / repeated,
            plain_gram=plain.T @ plain,
            plain_moment=plain.T @ plain_late,
            plain_square=float(plain_late @ plain_late),
            rounded=float(len(plain)),
            roundings=len(plain) ** 2 / max(float((shared**2).sum()), 1.0) / repeated,
            rows=float(n),
            on_grid=float(n * block.on_grid),
            aligned=n * block.aligned,
        )
    return found


def _fitted(evidence: Evidence) -> _Fit:
    """Solve the normal equations, first for the scatter, then with it."""
    known = np.diag(np.concatenate([np.full(len(SOUGHT), UNKNOWN), FREE]) ** -2.0)
    scale = 1.0
    for _ in range(ROUNDS):
        gram, moment = evidence.gram / scale, evidence.moment / scale
        covariance = np.linalg.inv(gram + known)
        value = covariance @ moment
        degrees = max(evidence.roundings - float(np.trace(covariance @ gram)), 1.0)
        left = evidence.plain_square
        left += float(value @ (evidence.plain_gram @ value - 2.0 * evidence.plain_moment))
        scatter = left / max(evidence.rounded, 1.0) * max(evidence.roundings, 1.0) / degrees
        scatter = max(scatter, LEAST_SCATTER)
        noise = np.sqrt(np.diag(covariance @ gram @ covariance))
        free = np.sqrt(np.diag(covariance @ known @ covariance))
        fit = _Fit(value, noise, free, scatter, SURE * float(np.sqrt(2.0 / degrees)))
        scale = fit.scale
    return fit


def _without_outliers(block: _Equations, fit: _Fit) -> _Equations:
    deviation = np.sqrt(np.diag(block.rounded) + block.curved)
    left = np.abs(block.late - block.terms @ fit.value)
    return block.only(left < OUTLIER * deviation)
