"""Reports written to a directory, each form whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from refsim.errors import InvalidTypeError, InvalidValueError, MissingExtraError
from refsim.files.output import json_text, made_folder, write_whole
from refsim.validate import members, shown
from validation.comparison.certificate import Certificate
from validation.judges.suite import Row
from validation.report.contents import Report
from validation.report.devices import Source, device_records as read_records
from validation.report.document import to_document
from validation.report.junit import junit_text
from validation.report.markdown import markdown_text

FILES = {
    "html": "report.html",
    "markdown": "report.md",
    "json": "report.json",
    "junit": "junit.xml",
}


def write(
    certificates: Iterable[Certificate],
    directory: str | os.PathLike[str],
    *,
    rows: Iterable[Row] = (),
    title: str = "",
    device_records: Source | Iterable[Source] | None = None,
    draw: Collection[str] = (),
    forms: Collection[str] = tuple(FILES),
) -> dict[str, Path]:
    """Write a report: a page to be read, Markdown, JSON and JUnit XML.

    The page is one file that needs no other and no network. Equal certificates give equal files.

    Parameters
    ----------
    certificates : iterable of Certificate
        What :func:`validation.certify` has found, one for each back end.
    directory : path
        Folder to write to, made if it is not there.
    rows : iterable of Row
        What the judges of ``refsim validate`` say.
    title : str
        Title of the report.
    device_records : path, mapping, or several of them, optional
        Measurements on accelerators: JSON files, a folder of them, or records.
    draw : collection of str
        Names of cases to draw although they pass. Cases that fail are drawn anyway, the worst
        first, and so is the case of each back end that passes with the least to spare.
    forms : collection of str
        Which of "html", "markdown", "json" and "junit" to write.

    Returns
    -------
    dict of str to Path
        Where each form is.

    Raises
    ------
    MissingExtraError
        If the page is wanted and jinja2 or matplotlib is not installed; nothing is written then.
    OutputError
        If a file cannot be written.
    """
    report = Report(
        certificates=tuple(_checked(certificates, "certificates", Certificate)),
        rows=tuple(_checked(rows, "rows", Row)),
        title=_checked_title(title),
        device_records=read_records(device_records),
    )
    wanted = members("forms", forms, f"names among {', '.join(FILES)}")
    for form in wanted:
        if form not in FILES:
            raise InvalidValueError(
                f"forms has {shown(form)}; expected names among {', '.join(FILES)}"
            )
    texts = {form: _text(report, form, members("draw", draw, "names")) for form in wanted}
    folder = made_folder(directory)
    for form, text in texts.items():
        write_whole(folder / FILES[form], partial(_put, text))
    return {form: folder / FILES[form] for form in texts}


def _put(text: str, stream: TextIO) -> None:
    stream.write(text)


def _text(report: Report, form: str, draw: Collection[str]) -> str:
    if form == "html":
        require_page()
        from validation.report.page import page_text

        return page_text(report, frozenset(draw))
    if form == "markdown":
        return markdown_text(report)
    if form == "junit":
        return junit_text(report)
    return json_text(to_document(report)) + "\n"


def require_page() -> None:
    """Raise MissingExtraError if the page cannot be made."""
    missing = [name for name in ("jinja2", "matplotlib") if not _is_there(name)]
    if missing:
        raise MissingExtraError(
            f"the page needs {' and '.join(missing)}, which is not installed: "
            'pip install "refsim[report]"'
        )


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # sys.modules holds None in its place
        return False


def _checked(given: Iterable[Any], name: str, kind: type) -> list[Any]:
    found = members(name, given, f"{kind.__name__} objects")
    for i, member in enumerate(found):
        if not isinstance(member, kind):
            raise InvalidTypeError(
                f"{name}[{i}] is a {type(member).__name__}; expected {kind.__name__}"
            )
    return found


def _checked_title(title: object) -> str:
    if not isinstance(title, str):
        raise InvalidTypeError(f"title is {shown(title)}; expected text")
    return title
