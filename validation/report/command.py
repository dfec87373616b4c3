"""What ``refsim validate --report`` does."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from refsim.errors import MissingExtraError
from validation.report.writing import FILES, require_page, write


def write_rows(rows: Iterable[Any], directory: str) -> None:
    """Write a report of judgements, without the page where its libraries are missing."""
    forms = list(FILES)
    try:
        require_page()
    except MissingExtraError as error:
        print(f"refsim: no {FILES['html']}: {error}", file=sys.stderr)
        forms.remove("html")
    paths = write((), directory, rows=rows, title="refsim validate", forms=forms)
    print("report: " + ", ".join(str(path) for path in paths.values()))
