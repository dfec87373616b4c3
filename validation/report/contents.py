"""What a report is made of, and what is read off it for all of its forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from refsim.cases import Case
from validation.comparison.certificate import (
    OUTPUTS as OUTPUTS,
    VERDICTS,
    CaseVerdict,
    Certificate,
)
from validation.judges.suite import Row

_PER_SYNAPSE = ("weight", "delay")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What is reported.

    Attributes
    ----------
    certificates : tuple of Certificate
        One for each back end.
    rows : tuple of Row
        What the judges of ``refsim validate`` say of refsim itself.
    title : str
        Title, "" for one of our own.
    device_records : tuple of dict
        Measurements on accelerators, each with "date", "device" and "versions".
    """

    certificates: tuple[Certificate, ...] = ()
    rows: tuple[Row, ...] = ()
    title: str = ""
    device_records: tuple[dict[str, Any], ...] = ()

    def __repr__(self) -> str:
        sizes = f"{len(self.certificates)} certificates, {len(self.rows)} judgements"
        return f"<Report {self.heading!r}: {self.verdict}, {sizes}>"

    @property
    def heading(self) -> str:
        """The title, or one of our own."""
        return self.title or "Gradient certification"

    @property
    def verdict(self) -> str:
        """Return the worst of all verdicts; "skip" if nothing is said."""
        said = [certificate.verdict for certificate in self.certificates]
        return overall([*said, *(row.judgement.verdict for row in self.rows)])


class Counts(NamedTuple):
    """How many passed, failed, or were skipped."""

    passed: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, verdicts: Iterable[str]) -> Counts:
        """Count verdicts."""
        counted = Counter(verdicts)
        return cls(counted["pass"], counted["fail"], counted["skip"])

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self.passed + self.failed + self.skipped

    def sentence(self, noun: str) -> str:
        """Return the counts in words, such as "9 cases: 2 failed, 6 passed, 1 skipped"."""
        if not self.total:
            return f"no {noun}s"
        nouns = noun if self.total == 1 else f"{noun}s"
        parts = [
            f"{count} {verb}"
            for count, verb in (
                (self.failed, "failed"),
                (self.passed, "passed"),
                (self.skipped, "skipped"),
            )
            if count
        ]
        return f"{self.total} {nouns}: " + ", ".join(parts)


def overall(verdicts: Iterable[str]) -> str:
    """Return the worst of verdicts; something that passes is better than nothing."""
    said = set(verdicts)
    return next((word for word in VERDICTS if word in said), "skip")


def sentences(certificate: Certificate) -> str:
    """Return what all cases of a back end say together."""
    says = [certificate.note] if certificate.note else []
    if certificate.cause is not None:
        says = [f"{certificate.cause.name}: {certificate.cause.evidence}"]
    return "; ".join([*says, certificate.lateness_note])


def spike_counts(case: CaseVerdict) -> str:
    """Return the number of spikes, and that of the answer if it is another."""
    reference, answer = len(case.reference_time), len(case.answer_time)
    if reference == answer or case.verdict == "skip":
        return str(reference)
    return f"{reference}, answer {answer}"


def entry_name(case: Case, group: str, index: int) -> str:
    """Return the name of an entry of a group, with what it belongs to."""
    if index < 0:
        return ""
    name = f"{group}[{index}]"
    network = case.network
    if group in _PER_SYNAPSE and index < len(network.pre):
        pre, post = int(network.pre[index]), int(network.post[index])
        n = network.n_neurons
        source = f"neuron {pre}" if pre < n else f"input {pre - n}"
        return f"{name}, {source} to neuron {post}"
    if group == "voltages" and index < len(case.samples):
        neuron, time = case.samples.neurons[index], case.samples.times[index]
        return f"{name}, neuron {neuron} at {time:.6g} ms"
    return name


def difference_text(case: CaseVerdict) -> str:
    """Return a sentence on the first spike that differs, "" if there is none."""
    first = case.first_difference
    if first is None:
        return ""
    spike = f"spike {first.nth} (counted from 0) of neuron {first.neuron}"
    if first.kind == "missing":
        return f"The first difference is {spike} at {first.reference:.9g} ms, which is missing."
    if first.kind == "extra":
        return f"The first difference is {spike} at {first.answer:.9g} ms, which is extra."
    return (
        f"The first difference is {spike}, moved by {first.answer - first.reference:+.2e} ms "
        f"from {first.reference:.9g} ms."
    )
