"""Reports read back from JSON, checked against the schema."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from itertools import islice
from typing import Any

from refsim.errors import InvalidValueError, MissingExtraError
from refsim.files import json_reader
from refsim.files.output import checked_path
from refsim.validate import shown
from validation.report.contents import Report
from validation.report.document import FORMAT, from_document

_MOST_ERRORS = 100  # of which the worst is told; a long file may have millions


class ReportFileError(InvalidValueError):
    """A report cannot be read; the message names the file and the place in it."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the format."""
    return json.loads(files("validation.report").joinpath("report.schema.json").read_text("utf-8"))


def load(path: str | os.PathLike[str]) -> Report:
    """Read a report that :func:`write` has written as JSON.

    Returns
    -------
    Report
        Its ``certificates`` and ``rows`` hold the same numbers, to the last bit.

    Raises
    ------
    ReportFileError
        If the file cannot be read, is not JSON, or does not keep to the schema.
    MissingExtraError
        If jsonschema is not installed.
    """
    path = checked_path(path)
    try:
        document = json_reader.read(path)
    except json_reader.JsonError as error:
        raise ReportFileError(str(error)) from None
    try:
        check(document)
        json.dumps(document, allow_nan=False)  # 1e400 is infinite when it is read
        return from_document(document)
    except RecursionError:
        raise ReportFileError(f"{path}: is nested too deeply") from None
    except InvalidValueError as error:
        raise ReportFileError(f"{path}: {error}") from None
    except (ValueError, OverflowError):
        raise ReportFileError(f"{path}: holds a number that is no finite float64") from None


def check(document: Any) -> None:
    """Raise ReportFileError if a document does not keep to the schema."""
    try:
        import jsonschema
    except ImportError:
        raise MissingExtraError(
            "reading a report needs jsonschema, which is not installed: "
            'pip install "refsim[schema]"'
        ) from None
    given = document.get("format") if isinstance(document, dict) else None
    if given != FORMAT:
        raise ReportFileError(f"format is {shown(given)}; expected {FORMAT!r}")
    validator = jsonschema.Draft202012Validator(schema())
    errors = islice(validator.iter_errors(document), _MOST_ERRORS)
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        wanted = f"{error.validator} {shown(error.validator_value)}"
        raise ReportFileError(f"{error.json_path} is {shown(error.instance)}; expected {wanted}")
    _check_places(document)


def _check_places(document: dict[str, Any]) -> None:
    """Check what a schema cannot: that each verdict is about a case that is there."""
    n_cases = len(document["cases"])
    for i, certificate in enumerate(document["certificates"]):
        for j, case in enumerate(certificate["cases"]):
            if case["case"] >= n_cases:
                raise ReportFileError(
                    f"$.certificates[{i}].cases[{j}].case is {case['case']}; expected a number "
                    f"below {n_cases}, that of cases"
                )
