"""A report as a JSON document and back, format ``refsim-report/1``.

Every number reads back to the same float64. Numbers that JSON does not have are the strings "nan",
"inf" and "-inf". A case is stored once, however many back ends have answered it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from adjoint.check import Judgement
from refsim._version import __version__
from refsim.cases import Case, CaseFileError, from_dict, to_dict
from refsim.results.result import Conditioning
from validation.comparison.certificate import (
    CaseVerdict,
    Cause,
    Certificate,
    GroupVerdict,
    Lateness,
    SpikeDifference,
    StepErrors,
)
from validation.judges.suite import Row
from validation.report.contents import Report

FORMAT = "refsim-report/1"
_NOT_IN_JSON = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_SIDES = ("reference", "answer")
_OF_LATENESS = ("late", "error", "least")


def number(value: float) -> float | str:
    """Return a number as JSON can hold it."""
    plain = float(value)
    return plain if math.isfinite(plain) else str(plain)


def _read(value: float | str) -> float:
    return _NOT_IN_JSON[value] if isinstance(value, str) else float(value)


def _numbers(values: Iterable[float]) -> list[float | str]:
    return [number(value) for value in values]


def _vector(values: list[float | str]) -> np.ndarray:
    return np.array([_read(value) for value in values], dtype=np.float64)


class _Cases:
    """Documents of cases, each once, in the order in which they were first met."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self._place: dict[str, int] = {}
        self._known: dict[int, int] = {}  # of cases that are the same object

    def place(self, case: Case) -> int:
        """Return where the document of a case is, after adding it if it is new."""
        if id(case) not in self._known:
            document = to_dict(case)
            place = self._place.setdefault(json.dumps(document), len(self.documents))
            if place == len(self.documents):
                self.documents.append(document)
            self._known[id(case)] = place
        return self._known[id(case)]


def to_document(report: Report) -> dict[str, Any]:
    """Return the document of a report."""
    cases = _Cases()
    certificates = [
        {
            "backend": certificate.backend,
            "verdict": certificate.verdict,
            "versions": dict(certificate.versions),
            "machine": certificate.machine,
            "date": certificate.date,
            "note": certificate.note,
            "cause": None if certificate.cause is None else certificate.cause._asdict(),
            "required": list(certificate.required),
            "lateness": [_from_lateness(row) for row in certificate.lateness],
            "cases": [_from_case(case, cases) for case in certificate.cases],
        }
        for certificate in report.certificates
    ]
    return {
        "format": FORMAT,
        "refsim": __version__,
        "title": report.title,
        "verdict": report.verdict,
        "certificates": certificates,
        "judgements": [_from_row(row) for row in report.rows],
        "device_records": list(report.device_records),
        "cases": cases.documents,
    }


def _from_case(verdict: CaseVerdict, cases: _Cases) -> dict[str, Any]:
    first, cause = verdict.first_difference, verdict.cause
    document: dict[str, Any] = {
        "case": cases.place(verdict.case),
        "name": verdict.case.name,
        "verdict": verdict.verdict,
        "note": verdict.note,
        "conditioning": _from_conditioning(verdict.conditioning),
    }
    for side in _SIDES:
        document[f"{side}_time"] = _numbers(getattr(verdict, f"{side}_time"))
        document[f"{side}_neuron"] = [int(n) for n in getattr(verdict, f"{side}_neuron")]
    return document | {
        "groups": [_from_group(group) for group in verdict.groups],
        "first_difference": None if first is None else _from_difference(first),
        "steps": [
            {
                "dt": number(step.dt),
                "same_spikes": bool(step.same_spikes),
                "error": {group: number(error) for group, error in step.error.items()},
            }
            for step in verdict.steps
        ],
        "order": {group: number(order) for group, order in verdict.order.items()},
        "cause": None if cause is None else cause._asdict(),
        "seconds": number(verdict.seconds),
        "lateness": [_from_lateness(row) for row in verdict.lateness],
        "deciding_step": number(verdict.deciding_step),
    }


def _from_lateness(row: Lateness) -> dict[str, Any]:
    return row._asdict() | {name: number(getattr(row, name)) for name in _OF_LATENESS}


def _from_group(group: GroupVerdict) -> dict[str, Any]:
    return group._asdict() | {
        "error": number(group.error),
        "tolerance": number(group.tolerance),
        "worst": int(group.worst),
        "reference": _numbers(group.reference),
        "answer": _numbers(group.answer),
    }


def _from_difference(first: SpikeDifference) -> dict[str, Any]:
    return first._asdict() | {
        "neuron": int(first.neuron),
        "nth": int(first.nth),
        "reference": number(first.reference),
        "answer": number(first.answer),
    }


def _from_conditioning(conditioning: Conditioning) -> dict[str, Any]:
    return {
        "min_slope": number(conditioning.min_slope),
        "min_slope_spike": int(conditioning.min_slope_spike),
        "min_gap": number(conditioning.min_gap),
        "min_release_gap": number(conditioning.min_release_gap),
        "min_sample_gap": number(conditioning.min_sample_gap),
    }


def _from_row(row: Row) -> dict[str, Any]:
    said = row.judgement
    return said._asdict() | {
        "error": number(said.error),
        "tolerance": number(said.tolerance),
        "conditioning": _from_conditioning(row.conditioning),
    }


def from_document(document: dict[str, Any]) -> Report:
    """Return the report of a document that keeps to the schema."""
    cases = [_read_case(case, f"$.cases[{i}]") for i, case in enumerate(document["cases"])]
    certificates = tuple(
        Certificate(
            backend=given["backend"],
            versions=dict(given["versions"]),
            machine=given["machine"],
            date=given["date"],
            cases=tuple(_to_case(case, cases) for case in given["cases"]),
            required=tuple(given["required"]),
            lateness=_to_lateness(given),
        )
        for given in document["certificates"]
    )
    return Report(
        certificates=certificates,
        rows=tuple(_to_row(row) for row in document["judgements"]),
        title=document["title"],
        device_records=tuple(document["device_records"]),
    )


def _read_case(given: dict[str, Any], where: str) -> Case:
    try:
        return from_dict(given)
    except CaseFileError as error:
        raise CaseFileError(f"{where}.{error}") from None


def _to_case(given: dict[str, Any], cases: list[Case]) -> CaseVerdict:
    first, cause = given["first_difference"], given["cause"]
    return CaseVerdict(
        case=cases[given["case"]],
        verdict=given["verdict"],
        note=given["note"],
        conditioning=_to_conditioning(given["conditioning"]),
        reference_time=_vector(given["reference_time"]),
        reference_neuron=np.array(given["reference_neuron"], dtype=np.int64),
        answer_time=_vector(given["answer_time"]),
        answer_neuron=np.array(given["answer_neuron"], dtype=np.int64),
        groups=tuple(_to_group(group) for group in given["groups"]),
        first_difference=None if first is None else _to_difference(first),
        steps=tuple(_to_step(step) for step in given["steps"]),
        order={group: _read(order) for group, order in given["order"].items()},
        cause=None if cause is None else Cause(**cause),
        seconds=_read(given["seconds"]),
        lateness=_to_lateness(given),
        deciding_step=_read(given["deciding_step"]),
    )


def _to_lateness(given: dict[str, Any]) -> tuple[Lateness, ...]:
    return tuple(
        Lateness(**row | {name: _read(row[name]) for name in _OF_LATENESS})
        for row in given["lateness"]
    )


def _to_group(given: dict[str, Any]) -> GroupVerdict:
    return GroupVerdict(
        **given
        | {name: _read(given[name]) for name in ("error", "tolerance")}
        | {name: _vector(given[name]) for name in _SIDES}
    )


def _to_difference(given: dict[str, Any]) -> SpikeDifference:
    return SpikeDifference(**given | {name: _read(given[name]) for name in _SIDES})


def _to_step(given: dict[str, Any]) -> StepErrors:
    error = {group: _read(value) for group, value in given["error"].items()}
    return StepErrors(_read(given["dt"]), given["same_spikes"], error)


def _to_conditioning(given: dict[str, Any]) -> Conditioning:
    names = ("min_slope", "min_gap", "min_release_gap", "min_sample_gap")
    return Conditioning(**given | {name: _read(given[name]) for name in names})


def _to_row(given: dict[str, Any]) -> Row:
    said = {key: value for key, value in given.items() if key != "conditioning"}
    said |= {name: _read(given[name]) for name in ("error", "tolerance")}
    return Row(Judgement(**said), _to_conditioning(given["conditioning"]))
