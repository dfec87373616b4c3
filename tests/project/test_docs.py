"""The code of README and docs runs as it stands."""

import configparser
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INSTRUCTIONS = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "benchmarks/README.md", "validation/README.md")),
    ROOT / ".ci" / "run",
]


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


@pytest.mark.parametrize("page", INSTRUCTIONS, ids=lambda page: page.name)
def test_files_and_extras_of_instructions_exist(page):
    text = page.read_text(encoding="utf-8")
    folders = "tests|examples|benchmarks|queues|refsim|adjoint|validation"
    for path in re.findall(rf"\b(?:{folders})/[\w./*-]+\.py\b", text):
        assert list(ROOT.glob(path)), path
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for extras in re.findall(r"(?:\.|refsim)\[([a-z\d,-]+)\]", text):
        for extra in extras.split(","):
            assert extra in config["options.extras_require"], extra


def test_the_readme_names_the_tests_that_others_run():
    """Continuous integration runs the commands of the first block, one by one."""
    block = re.search(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    commands = re.findall(r"^\$ ([^#]*?) *(?:#.*)?$", block, re.M)
    assert commands == ["pip install -e . && refsim validate", 'pip install -e ".[test]" && pytest']
