"""A report as a JSON document and back, format ``refsim-report/1``.

Every number reads back to the same float64. A case is stored once, however many back ends have
answered it.
"""

from __future__ import annotations

import json
from typing import Any

from adjoint.check import Judgement
from refsim._version import __version__
from refsim.cases import Case, CaseFileError, from_dict, to_dict
from refsim.results.result import Conditioning
from validation.comparison.certificate import CaseVerdict, Certificate
from validation.json_values import from_plain, members, plain
from validation.judges.suite import Row
from validation.report.contents import Report

FORMAT = "refsim-report/1"


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
    # Beside their fields, what others may wish to know who read the document.
    written: dict[type, Any] = {
        Case: cases.place,
        CaseVerdict: lambda case: plain(vars(case), written) | {"name": case.name},
        Certificate: lambda certificate: (
            plain(vars(certificate), written) | members(certificate, ("verdict", "note", "cause"))
        ),
        Row: lambda row: plain(row.judgement) | {"conditioning": plain(row.conditioning)},
    }
    return {
        "format": FORMAT,
        "refsim": __version__,
        "title": report.title,
        "verdict": report.verdict,
        "certificates": plain(report.certificates, written),
        "judgements": plain(report.rows, written),
        "device_records": list(report.device_records),
        "cases": cases.documents,
    }


def from_document(document: dict[str, Any]) -> Report:
    """Return the report of a document that keeps to the schema."""
    cases = [_read_case(case, f"$.cases[{i}]") for i, case in enumerate(document["cases"])]
    read: dict[Any, Any] = {
        Case: lambda place: cases[place],
        Row: lambda row: Row(
            from_plain(Judgement, row, {}), from_plain(Conditioning, row["conditioning"], {})
        ),
    }
    return Report(
        certificates=from_plain(tuple[Certificate, ...], document["certificates"], read),
        rows=from_plain(tuple[Row, ...], document["judgements"], read),
        title=document["title"],
        device_records=tuple(document["device_records"]),
    )


def _read_case(given: dict[str, Any], where: str) -> Case:
    try:
        return from_dict(given)
    except CaseFileError as error:
        raise CaseFileError(f"{where}.{error}") from None
