"""Verdicts of a certificate as JSON, for scripts; reports hold all of it."""

from __future__ import annotations

import json
import math
from typing import Any, TextIO

from validation.comparison.certificate import CaseVerdict, Certificate

FORMAT = "refsim-certificate/1"


def dump(certificate: Certificate, stream: TextIO) -> None:
    """Write the verdicts of a certificate as JSON."""
    document = {
        "format": FORMAT,
        "backend": certificate.backend,
        "verdict": certificate.verdict,
        "versions": certificate.versions,
        "machine": certificate.machine,
        "date": certificate.date,
        "note": certificate.note,
        "cause": None if certificate.cause is None else certificate.cause._asdict(),
        "lateness": [_plain(row._asdict()) for row in certificate.lateness],
        "cases": [_case_document(case) for case in certificate.cases],
    }
    json.dump(document, stream, indent=1, allow_nan=False)


def _case_document(case: CaseVerdict) -> dict[str, Any]:
    first = case.first_difference
    return {
        "name": case.case.name,
        "verdict": case.verdict,
        "note": case.note,
        "cause": None if case.cause is None else case.cause._asdict(),
        "first_difference": None if first is None else _plain(first._asdict()),
        "groups": [
            _plain(
                {
                    "group": row.group,
                    "verdict": row.verdict,
                    "error": row.error,
                    "tolerance": row.tolerance,
                    "worst": row.worst,
                    "note": row.note,
                }
            )
            for row in case.groups
        ],
        "steps": [
            {"dt": step.dt, "same_spikes": step.same_spikes, "error": _plain(step.error)}
            for step in case.steps
        ],
        "order": _plain(case.order),
        "lateness": [_plain(row._asdict()) for row in case.lateness],
        "deciding_step": _plain({"": case.deciding_step})[""],
        "seconds": case.seconds,
    }


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in which null stands for numbers that JSON does not have."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
