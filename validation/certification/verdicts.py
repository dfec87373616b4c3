"""Verdicts of a certificate as JSON, for scripts; reports hold all of it."""

from __future__ import annotations

import json
from typing import TextIO

from validation.comparison.certificate import Certificate
from validation.json_values import members

FORMAT = "refsim-certificate/2"
_OF_ALL = ("backend", "verdict", "versions", "machine", "date", "note", "cause", "lateness")
_OF_CASE = (
    *("name", "verdict", "note", "cause", "first_difference", "steps", "order", "lateness"),
    *("deciding_step", "seconds"),
)
_OF_GROUP = ("group", "verdict", "error", "tolerance", "worst", "note")


def dump(certificate: Certificate, stream: TextIO) -> None:
    """Write the verdicts of a certificate as JSON."""
    cases = [
        members(case, _OF_CASE) | {"groups": [members(row, _OF_GROUP) for row in case.groups]}
        for case in certificate.cases
    ]
    document = {"format": FORMAT, **members(certificate, _OF_ALL), "cases": cases}
    json.dump(document, stream, indent=1, allow_nan=False)
