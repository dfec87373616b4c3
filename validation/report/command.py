"""What the option ``--report`` of the command line does."""

from __future__ import annotations

from collections.abc import Iterable

from refsim.errors import MissingExtraError
from validation.comparison.certificate import Certificate
from validation.judges.suite import Row
from validation.report.devices import Source
from validation.report.writing import FILES, require_page, write
from validation.terminal import complain, say


def write_report(
    directory: str,
    certificates: Iterable[Certificate] = (),
    rows: Iterable[Row] = (),
    title: str = "",
    device_records: Source | None = None,
) -> None:
    """Write a report and say where, without the page where its libraries are missing."""
    forms = list(FILES)
    try:
        require_page()
    except MissingExtraError as error:
        complain(f"refsim: no {FILES['html']}: {error}")
        forms.remove("html")
    paths = write(
        certificates,
        directory,
        rows=rows,
        title=title,
        forms=forms,
        device_records=device_records,
    )
    say("report: " + ", ".join(str(path) for path in paths.values()))
