"""The code of README and docs runs as it stands."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    """Return (package that it needs, or "", code) of each block."""
    fence = r"^```python(?: needs=(\w+))?\n(.*?)^```"
    return re.findall(fence, page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name
)
def test_code_of_a_page_runs(page):
    """Blocks of a page run in order, in one namespace."""
    namespace = {}
    for needed, block in blocks(page):
        if needed and find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
        exec(compile(block, str(page), "exec"), namespace)


def test_the_readme_has_its_ten_lines():
    lines = [line for line in blocks(ROOT / "README.md")[0][1].splitlines() if line.strip()]
    assert len(lines) <= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
