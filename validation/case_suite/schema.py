"""The JSON Schema of case files, and comparison of a document with it."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from refsim.errors import MissingExtraError
from refsim.files import json_reader

SCHEMA_FILE = "case.schema.json"
_MOST_PROBLEMS = 100  # that are looked for; a long file may have millions


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``snn-gradient-case/1``."""
    return json.loads(files("refsim").joinpath(SCHEMA_FILE).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _validator() -> Any:
    jsonschema: Any = import_module("jsonschema")  # which has no types
    return jsonschema.Draft202012Validator(schema())


def reason_of_absence() -> str:
    """Return why nothing can be compared with the schema, "" if it can."""
    return "" if find_spec("jsonschema") else 'needs jsonschema: pip install "refsim[schema]"'


def problems(document: Path | Any) -> list[str]:
    """Return in which places a document, or the file at a path, is not as the schema says.

    Raises
    ------
    MissingExtraError
        If jsonschema is not installed.
    """
    if reason_of_absence():
        raise MissingExtraError(f"the schema {reason_of_absence()}")
    data = document
    if isinstance(document, Path):
        data = json_reader.read(document)
    errors = islice(_validator().iter_errors(data), _MOST_PROBLEMS)
    return sorted(f"{error.json_path}: {error.message}"[:300] for error in errors)
