"""Reports say what certificates hold, in every form, and nothing else."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from certify_tools import ours
from hypothesis import example, given, settings, strategies as st
from planted import certificate, certificates, exact, skipped, turned_delays, verdict_of

from adjoint.check import Judgement, evaluate
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files.output import OutputError
from refsim.results.result import Conditioning
from validation import certify
from validation.case_suite import stored
from validation.cli import main
from validation.comparison.certificate import (
    CaseVerdict,
    Cause,
    Certificate,
    GroupVerdict,
    Lateness,
    SpikeDifference,
    StepErrors,
    ratio,
    worst_group,
)
from validation.judges import suite
from validation.report import FORMAT, Report, ReportFileError, load, write
from validation.report.contents import OUTPUTS, Counts
from validation.report.devices import OWN_RECORDS, device_records
from validation.report.document import to_document
from validation.report.junit import junit_text
from validation.report.markdown import markdown_text
from validation.report.reading import check, schema
from validation.text import markdown, printable

ROOT = Path(__file__).parents[2]
CHAIN = ROOT / "validation" / "cases" / "chain.json"
EVIL = '<script>alert("1")</script> | `x` &amp; \u202egnp.\n</table>'
ODD = "\ud800\x00\x1b[31m\u202e\ufffe\u2028 |<b>&amp;\\`_*\r\n$x$ ]"
SAID = {"pass": "✓ pass", "fail": "✗ FAIL", "skip": "○ skip"}
VOID = {"meta", "input", "br", "path", "use"}

needs_page = pytest.mark.skipif(
    find_spec("jinja2") is None or find_spec("matplotlib") is None,
    reason="the page needs jinja2 and matplotlib",
)


@pytest.fixture(scope="module")
def cases():
    """Return the stored cases, one of them with a name that is a trap."""
    first, *others = stored.given_cases()
    return [replace(first, name=EVIL), *others]


@pytest.fixture(scope="module")
def both(cases):
    return certificates(cases)


@pytest.fixture(scope="module")
def rows(cases):
    judges = {name: suite.JUDGES[name] for name in ("duality", "identities")}
    return list(suite.run(cases[:3], judges))


@pytest.fixture(scope="module")
def paths(both, rows, tmp_path_factory):
    """Return a whole report, or one without the page where that cannot be made."""
    forms = ["markdown", "json", "junit"]
    if find_spec("jinja2") and find_spec("matplotlib"):
        forms.insert(0, "html")
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    return write(both, folder, rows=rows, forms=forms)


class Page(HTMLParser):
    """Elements of a page, which have to be balanced, with their attributes and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.found = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute is given twice: {attrs}"
        entry = {"tag": tag, "attrs": dict(attrs), "text": "", "in": [e["tag"] for e in self.open]}
        self.found.append(entry)
        if tag not in VOID:
            self.open.append(entry)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for entry in self.open:
            entry["text"] += data

    def all(self, tag):
        return [entry for entry in self.found if entry["tag"] == tag]


@pytest.fixture(scope="module")
def page(paths):
    return Page(paths["html"].read_text(encoding="utf-8"))


def same(a, b):
    """Return whether two values are equal to the last bit, and nan where the other is nan."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and repr(a.tolist()) == repr(b.tolist())
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, CaseVerdict | Certificate | Report):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, float):
        return repr(a) == repr(b)
    if hasattr(a, "voltage_bar"):
        from refsim.cases import to_dict

        return to_dict(a) == to_dict(b)
    return a == b


# The page


@needs_page
def test_every_case_has_a_row_and_details(page, both):
    lines = {e["attrs"].get("data-about"): e for e in page.all("tr")}
    inside = {e["attrs"].get("id"): e for e in page.all("details")}
    for i, found in enumerate(both):
        for j, case in enumerate(found.cases):
            line = lines[f"backend-{i}-{j}-details"]
            assert line["attrs"]["data-verdict"] == case.verdict
            assert printable(case.case.name) in line["text"]
            assert SAID[case.verdict] in line["text"]
            details = inside[f"backend-{i}-{j}-details"]
            assert all(group.group in details["text"] for group in case.groups)


@needs_page
def test_headlines_count(page, both):
    headlines = [e["text"] for e in page.all("li") if "main" not in e["in"]]
    assert len(headlines) == 3
    for headline, found in zip(headlines, both, strict=False):
        assert found.backend in headline
        assert f"{len(found.cases)} cases" in headline
        assert "✗ FAIL" in headline
    assert "✗ FAIL: Gradient certification" in [e["text"] for e in page.all("title")]


@needs_page
def test_the_page_needs_nothing_else(paths):
    text = paths["html"].read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|<link|<iframe|<object|\bsrc=", text)
    assert all(place.startswith("#") for place in re.findall(r'href="([^"]*)"', text))
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", text))
    assert "default-src 'none'" in text


@needs_page
def test_references_within_the_page_lead_somewhere(page, paths):
    ids = Counter(e["attrs"]["id"] for e in page.found if "id" in e["attrs"])
    assert set(ids.values()) == {1}
    text = paths["html"].read_text(encoding="utf-8")
    for place in re.findall(r'(?:href="|url\()#([\w-]+)', text):
        assert place in ids


@needs_page
def test_tables_say_what_their_cells_are(page):
    tables, heads = page.all("table"), page.all("th")
    assert len(page.all("caption")) == len(tables) > 5
    assert {e["attrs"].get("scope") for e in heads} == {"row", "col"}
    for e in page.all("div"):
        if e["attrs"].get("class") == "scroll":
            assert e["attrs"]["tabindex"] == "0"
            assert e["attrs"]["aria-label"]
    for e in page.all("svg"):
        assert e["attrs"]["role"] == "img"
        assert e["attrs"]["aria-label"]
    (html,) = page.all("html")
    assert html["attrs"]["lang"] == "en"
    levels = [int(e["tag"][1]) for e in page.found if re.fullmatch("h[1-6]", e["tag"])]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


@needs_page
def test_failures_are_drawn_and_passes_are_not(page, both):
    drawn = Counter()
    for e in page.all("figure"):
        drawn["in details" if "details" in e["in"] else "overview"] += 1
    # Slope, gap for both and for the judges; convergence where there is a time step.
    assert drawn["overview"] == 2 + 2 + 1 + 2
    expected = 0
    for found in both:
        for case in found.cases:
            if case.verdict == "fail":
                expected += 1 + bool(case.steps) + 2 * (case.first_difference is not None)
        nearest = max(
            (c for c in found.cases if c.verdict == "pass"), key=lambda c: ratio(worst_group(c))
        )
        expected += 1 + bool(nearest.steps)
    assert drawn["in details"] == expected


@needs_page
def test_traps_in_names_are_text(page, paths):
    text = paths["html"].read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert len(page.all("script")) == 1
    assert printable(EVIL) in [e["text"] for e in page.all("bdi")]


@needs_page
def test_only_the_script_of_the_page_may_run(page):
    import base64
    import hashlib

    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
    (policy,) = (e["attrs"]["content"] for e in page.all("meta") if "http-equiv" in e["attrs"])
    assert f"script-src 'sha256-{digest}'" in policy


def odd_text():
    return st.text(st.characters(exclude_categories=()), max_size=30)


@pytest.fixture(scope="module")
def bare(cases):
    """Return a verdict without anything to draw."""
    return skipped(evaluate(cases[1]))


def named(bare, name, note):
    return replace(bare, case=replace(bare.case, name=name), note=note)


@needs_page
@settings(max_examples=60, deadline=None)
@given(name=odd_text(), note=odd_text())
@example(name=ODD, note=ODD)
def test_any_name_is_shown_as_it_is(bare, name, note):
    from validation.report.page import page_text

    text = page_text(Report((certificate(name, [named(bare, name, note)]),)))
    page = Page(text.encode().decode())
    assert {e["text"] for e in page.all("bdi")} == {printable(name)}
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert printable(note) in [e["text"] for e in page.all("p")] or not note


@settings(max_examples=100, deadline=None)
@given(name=odd_text(), note=odd_text())
@example(name=ODD, note=ODD)
def test_any_name_is_a_cell_of_markdown_and_an_attribute_of_junit(bare, name, note):
    report = Report((certificate(name, [named(bare, name, note)]),), title=note)
    lines = markdown_text(report).encode().decode().split("\n")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3
    for line in table:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 11
    assert not re.search("[<>]", "\n".join(lines))
    root = ElementTree.fromstring(junit_text(report).encode())
    (case,) = root.iter("testcase")
    assert case.get("name") == case.get("classname") == printable(name)


@given(odd_text())
@example(ODD)
def test_printable_text_is_one_line_and_is_shown(text):
    shown = printable(text)
    assert shown.isprintable() or set(shown) <= set("".join(filter(_has_shape, shown)))
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    assert not re.search(r"(?<!\\)(\\\\)*[<>|*_`\[]", markdown(text))


def _has_shape(sign):
    import unicodedata

    return unicodedata.category(sign) not in ("Cc", "Cs", "Cn", "Zl", "Zp")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme):
    """Text has the contrast 4.5 and pictures 3, as WCAG 2 asks for."""
    style = (ROOT / "validation/report/templates/report.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.S)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    for text in ("ink", "quiet", "link"):
        for ground in ("ground", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for verdict in ("pass", "fail", "skip"):
        assert contrast(colours[verdict], colours[f"{verdict}-ground"]) >= 4.5, verdict
    for drawn in ("reference", "answer", "faint", *(f"series-{i}" for i in range(1, 8))):
        assert contrast(colours[drawn], colours["ground"]) >= 3.0, drawn


# Pictures


@needs_page
def test_a_picture_of_gradients_has_a_mark_for_every_entry(both):
    from validation.report.case_plots import case_pictures

    case = both[0].cases[1]
    gradient, *_ = case_pictures(case, "a")
    entries = sum(len(g.answer) for g in case.groups if g.group not in OUTPUTS)
    in_legend = 2
    assert gradient.svg.count("<use ") - ticks(gradient.svg) == entries + in_legend


def ticks(svg):
    return len(re.findall(r"<use [^>]*currentColor", svg))


@needs_page
def test_few_of_many_entries_are_drawn_with_the_most_wrong_ones():
    from validation.report.case_plots import _some

    rng = np.random.default_rng(0)
    reference = rng.normal(size=1000)
    answer = reference.copy()
    wrong = rng.choice(1000, 20, replace=False)
    answer[wrong] += 1.0
    answer[3] = np.nan
    group = GroupVerdict("weight", "fail", 1.0, 1e-9, int(wrong[0]), reference, answer)
    x, y = _some(group, 100)
    assert len(x) == 100
    assert len(set(x)) == 100
    assert np.isfinite(y).all()
    assert set(reference[wrong[wrong != 3]]) <= set(x[np.abs(y - x) > 0.5])


@needs_page
def test_the_voltage_reaches_threshold_and_reset(cases):
    from refsim.engine import simulate
    from validation.report.case_plots import _curve

    case = cases[4]
    run = simulate(case.network, case.inputs, case.duration)
    neuron = int(run.spikes.neuron[0])
    time, voltage = _curve(run, neuron, 0.0, case.duration)
    spikes = run.spikes.time[run.spikes.neuron == neuron]
    breaks = np.flatnonzero(np.isnan(voltage))
    np.testing.assert_array_equal(time[breaks], spikes)
    np.testing.assert_array_equal(voltage[breaks - 1], case.network.v_th[neuron])
    np.testing.assert_array_equal(voltage[breaks + 1], case.network.v_reset[neuron])
    there = np.isfinite(voltage)
    assert np.all(np.diff(time) >= 0.0)
    assert voltage[there].max() <= case.network.v_th[neuron]


@needs_page
def test_odd_numbers_are_drawn_or_left_out(both):
    """A back end may answer with anything: nan, inf, zeros, other shapes, unknown neurons."""
    from validation.report.case_plots import case_pictures

    case = both[1].cases[1]
    groups = list(case.groups)
    for i, value in enumerate((np.nan, np.inf, 0.0, 1e300, 5e-324)):
        answer = groups[2 + i].answer.copy()
        answer[:] = value
        groups[2 + i] = groups[2 + i]._replace(answer=answer, error=value, verdict="fail")
    groups[7] = groups[7]._replace(answer=np.zeros(0), error=np.inf, verdict="fail")
    steps = tuple(
        StepErrors(dt, same, {"weight": error, "delay": 0.0})
        for dt, same, error in ((0.2, True, np.inf), (0.1, False, np.nan), (0.05, True, 0.1))
    )
    odd = replace(
        case,
        groups=tuple(groups),
        steps=steps,
        first_difference=SpikeDifference("extra", 10**6, 0, np.nan, 3.0),
        answer_time=np.array([3.0]),
        answer_neuron=np.array([10**6]),
    )
    assert [p.title for p in case_pictures(odd, "a")] == ["Gradient", "Convergence", "Spikes"]
    empty = replace(case, groups=(), steps=(), first_difference=None)
    assert case_pictures(empty, "a") == []


@needs_page
def test_what_is_drawn_is_limited(both, monkeypatch):
    from validation.report import page

    report = Report(tuple(both))
    names = {both[0].cases[3].case.name}
    everything = page.chosen(report, names)
    failed = {
        (i, j)
        for i, found in enumerate(both)
        for j, case in enumerate(found.cases)
        if case.verdict == "fail"
    }
    assert failed <= everything
    assert (0, 3) in everything
    monkeypatch.setattr(page, "MOST_DRAWN", 1)
    limited = page.chosen(report, ())
    assert len(failed & limited) == 1
    assert "not drawn; the worst ones are" in page.page_text(report)


@needs_page
@pytest.mark.slow
def test_sixty_cases_fit_in_five_megabytes(tmp_path):
    generated = stored.generated_names()
    twenty = [case for case in stored.standard_cases() if case.name not in generated]
    (first,) = certificates(twenty)[1:]
    sixty = replace(first, cases=first.cases * 3)
    assert len(sixty.cases) == 60
    path = write([sixty], tmp_path, forms=["html"])["html"]
    assert path.stat().st_size < 5e6


# The other forms


def test_markdown_has_a_row_for_every_case(paths, both):
    text = paths["markdown"].read_text(encoding="utf-8")
    for found in both:
        part = text.split(f"## {found.backend}\n")[1].split("\n## ")[0]
        lines = [line for line in part.splitlines() if line.startswith("| ")][2:]
        assert len(lines) == len(found.cases)
        for line, case in zip(lines, found.cases, strict=True):
            assert line.startswith(f"| {markdown(case.case.name)} | ")
            assert SAID[case.verdict] in line


def test_json_keeps_to_its_schema(paths):
    jsonschema = pytest.importorskip("jsonschema", reason="checking a schema needs jsonschema")
    document = json.loads(paths["json"].read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(document)
    assert document["format"] == FORMAT
    assert len(document["cases"]) == len(document["certificates"][0]["cases"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Certificate, "certificate"),
        (CaseVerdict, "case_verdict"),
        (GroupVerdict, "group"),
        (SpikeDifference, "difference"),
        (StepErrors, "step"),
        (Cause, "cause"),
        (Lateness, "lateness"),
        (Conditioning, "conditioning"),
        (Judgement, "judgement"),
    ],
)
def test_the_schema_has_every_field(kind, name):
    own = [f.name for f in fields(kind)] if hasattr(kind, "__dataclass_fields__") else kind._fields
    described = schema()["$defs"][name]
    assert set(own) <= set(described["properties"])
    assert set(described["required"]) == set(described["properties"])


def test_json_reads_back_to_the_last_bit(paths, both, rows):
    pytest.importorskip("jsonschema", reason="reading a report needs jsonschema")
    report = load(paths["json"])
    assert same(report, Report(tuple(both), tuple(rows)))
    assert report.verdict == "fail"


numbers = st.floats(width=64)


@settings(max_examples=50, deadline=None)
@given(
    error=numbers, reference=st.lists(numbers, max_size=4), seconds=numbers, slope=numbers,
    order=st.dictionaries(odd_text(), numbers, max_size=2), backend=odd_text(),
)  # fmt: skip
def test_any_number_survives_json(bare, error, reference, seconds, slope, order, backend):
    pytest.importorskip("jsonschema", reason="reading a report needs jsonschema")
    from validation.report.document import from_document

    vector = np.array(reference, dtype=np.float64)
    case = replace(
        bare,
        groups=(GroupVerdict("weight", "fail", error, 1e-9, 0, vector, -vector),),
        steps=(StepErrors(0.1, False, order),),
        order=order,
        seconds=seconds,
        conditioning=Conditioning(slope, 3, np.inf, np.nan),
        first_difference=SpikeDifference("missing", 1, 2, 3.0, np.nan),
    )
    report = Report((certificate(backend, [case]),))
    document = json.loads(json.dumps(to_document(report), allow_nan=False))
    check(document)
    assert same(from_document(document), report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="refsim-report/2"), "format is 'refsim-report/2'; expected"),
        (lambda d: d.pop("cases"), "expected required"),
        (lambda d: d.update(more=1), "expected additionalProperties"),
        (lambda d: d["certificates"][0].update(verdict="maybe"), r"\.verdict is 'maybe'; expected"),
        (lambda d: d["certificates"][0]["cases"][1].update(case=99), r"cases\[1\]\.case is 99"),
        (lambda d: d["certificates"][0]["cases"][1].update(seconds="1"), "seconds is '1'"),
        (lambda d: d["cases"][2].update(duration=-1.0), r"cases\[2\]\.duration is -1.0; expected"),
        (lambda d: d.clear(), "format is None"),
    ],
)  # fmt: skip
def test_a_report_that_is_none_is_refused(change, message, paths, tmp_path):
    pytest.importorskip("jsonschema", reason="reading a report needs jsonschema")
    document = json.loads(paths["json"].read_text(encoding="utf-8"))
    change(document)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ReportFileError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', "[" * 10**5, "\xff"])
def test_a_file_that_is_no_report_is_refused(text, tmp_path):
    pytest.importorskip("jsonschema", reason="reading a report needs jsonschema")
    path = tmp_path / "text.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ReportFileError, match=re.escape(str(path))):
        load(path)
    with pytest.raises(ReportFileError, match="cannot be read"):
        load(tmp_path / "nothing.json")


def test_junit_counts_agree(paths, both, rows):
    root = ElementTree.fromstring(paths["junit"].read_bytes())
    assert root.tag == "testsuites"
    suites = root.findall("testsuite")
    names = [found.get("name") for found in suites]
    assert names == ["planted", "grid", "refsim: duality", "refsim: identities"]
    for found in suites:
        tests = found.findall("testcase")
        assert int(found.get("tests")) == len(tests)
        assert int(found.get("failures")) == len(found.findall("testcase/failure"))
        assert int(found.get("skipped")) == len(found.findall("testcase/skipped"))
        assert found.get("errors") == "0"
        total = sum(float(t.get("time")) for t in tests)
        assert float(found.get("time")) == pytest.approx(total, abs=1e-9)
        assert all(t.get("name") and t.get("classname") == found.get("name") for t in tests)
        assert all(f.get("message") and f.get("type") and f.text for f in found.iter("failure"))
    for name in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(name)) == sum(int(s.get(name)) for s in suites)
    said = [case.verdict for found in both for case in found.cases]
    said += [row.judgement.verdict for row in rows]
    assert Counts.of(said) == (
        int(root.get("tests")) - int(root.get("failures")) - int(root.get("skipped")),
        int(root.get("failures")),
        int(root.get("skipped")),
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suites[0].get("timestamp"))
    assert suites[0].find("properties/property").get("name") == "version of planted"


def test_counts_in_words():
    assert Counts.of([]).sentence("case") == "no cases"
    assert Counts.of(["pass"]).sentence("case") == "1 case: 1 passed"
    said = ["pass", "fail", "fail", "skip"]
    assert Counts.of(said).sentence("case") == "4 cases: 2 failed, 1 passed, 1 skipped"


def test_the_worst_group_is_the_one_that_fails(both):
    def group(name, verdict, error, tolerance):
        return GroupVerdict(name, verdict, error, tolerance, 0, np.zeros(1), np.zeros(1))

    groups = [group("a", "pass", 1e-9, 1e-8), group("b", "skip", np.nan, 1.0)]
    case = replace(both[0].cases[0], groups=tuple(groups))
    assert worst_group(case).group == "a"
    groups += [group("c", "fail", 2e-3, 1e-3), group("d", "pass", 0.0, 0.0)]
    assert worst_group(replace(case, groups=tuple(groups))).group == "c"
    groups.append(group("e", "fail", np.nan, 1e-3))
    assert worst_group(replace(case, groups=tuple(groups))).group == "e"
    assert worst_group(replace(case, groups=())) is None


# Writing


def test_equal_certificates_give_equal_files(paths, rows, tmp_path):
    """Reports of what was read back are the same, in a process with other hashes as well."""
    pytest.importorskip("jsonschema", reason="reading a report needs jsonschema")
    code = (
        "import sys; from validation.report import load, write\n"
        "report = load(sys.argv[1])\n"
        "write(report.certificates, sys.argv[2], rows=report.rows, forms=sys.argv[3:])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(paths["json"]), str(tmp_path), *paths],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        check=True,
    )
    for path in paths.values():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_nothing_to_report_is_said(tmp_path):
    forms = ["markdown", "json", "junit"] + ["html"] * bool(find_spec("jinja2"))
    paths = write((), tmp_path, forms=forms, title="Empty")
    assert "Nothing was judged." in paths["markdown"].read_text(encoding="utf-8")
    assert json.loads(paths["json"].read_text())["verdict"] == "skip"
    assert ElementTree.fromstring(paths["junit"].read_bytes()).get("tests") == "0"
    if "html" in paths:
        assert "Nothing was judged." in paths["html"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"certificates": [1]}, InvalidTypeError, r"certificates\[0\] is a int; expected Certif"),
        ({"certificates": 1}, InvalidTypeError, "certificates is 1; expected a sequence of"),
        ({"rows": [()]}, InvalidTypeError, r"rows\[0\] is a tuple; expected Row"),
        ({"title": 1}, InvalidTypeError, "title is 1; expected text"),
        ({"forms": ["pdf"]}, InvalidValueError, "forms has 'pdf'; expected names among html"),
        ({"forms": "html"}, InvalidTypeError, "forms is 'html'; expected a sequence of names"),
        ({"draw": "chain"}, InvalidTypeError, "draw is 'chain'; expected a sequence of names"),
        ({"directory": 1}, InvalidTypeError, "path is 1; expected the path"),
        ({"directory": __file__}, OutputError, "cannot be made"),
        ({"device_records": 1}, InvalidTypeError, "device_records is 1; expected a folder"),
        ({"device_records": "/nothing.json"}, InvalidValueError, "/nothing.json: cannot be read"),
        ({"device_records": {}}, InvalidValueError, "date is None; expected a string"),
        (
            {"device_records": {"date": "", "device": "", "versions": {"a": 1}}},
            InvalidValueError,
            "versions is {'a': 1}; expected an object of strings",
        ),
        (
            {"device_records": {"date": "", "device": "", "versions": {}, "x": np.nan}},
            InvalidValueError,
            "expected what JSON can hold",
        ),
    ],
)
def test_bad_arguments(arguments, error, message, tmp_path):
    given = {"certificates": (), "directory": tmp_path, "forms": ["markdown"]} | arguments
    with pytest.raises(error, match=message):
        write(given.pop("certificates"), given.pop("directory"), **given)
    assert list(tmp_path.iterdir()) == []


def test_device_records_are_shown(tmp_path):
    record = {
        "date": "2026-02-03",
        "device": "some <GPU>",
        "versions": {"cuda": "12.4"},
        "memory (GiB)": 80,
        "timings": [{"neurons": 1000, "ms": 1.5}, {"neurons": 10000, "note": "a | b"}],
    }
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "one.json").write_text(json.dumps(record))
    forms = ["markdown", "json", "html"] if find_spec("jinja2") else ["markdown", "json"]
    paths = write((), tmp_path / "out", forms=forms, device_records=tmp_path / "records")
    text = paths["markdown"].read_text(encoding="utf-8")
    assert "### some &lt;GPU&gt;" in text
    assert "| neurons | ms | note |" in text
    assert "| 10000 |  | a \\| b |" in text
    assert "none of these figures" not in text
    assert json.loads(paths["json"].read_text())["device_records"] == [record]
    if "html" in paths:
        page = Page(paths["html"].read_text(encoding="utf-8"))
        assert "some <GPU>" in [e["text"] for e in page.all("h3")]
        assert "1.5" in [e["text"] for e in page.all("td")]
    (tmp_path / "records" / "bad.json").write_text("{")
    with pytest.raises(InvalidValueError, match=r"bad\.json: is not JSON"):
        write((), tmp_path, device_records=[tmp_path / "records" / "bad.json"], forms=["junit"])


def test_without_the_extras_only_the_page_is_missing(tmp_path):
    code = (
        "import sys; sys.modules['jinja2'] = sys.modules['matplotlib'] = None\n"
        "from validation.report import write\n"
        "from refsim.errors import MissingExtraError\n"
        "try: write((), sys.argv[1] + '/all')\n"
        "except MissingExtraError as error: print(error)\n"
        "write((), sys.argv[1] + '/some', forms=('markdown', 'json', 'junit'))\n"
        "from validation.report.command import write_report\n"
        "write_report(sys.argv[1] + '/rows')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'needs jinja2 and matplotlib, which is not installed: pip install "refsim[report]"' in (
        result.stdout
    )
    assert not (tmp_path / "all").exists()
    assert len(list((tmp_path / "some").iterdir())) == 3
    assert "no report.html" in result.stderr
    assert len(list((tmp_path / "rows").iterdir())) == 3


@pytest.fixture
def two_judges(monkeypatch):
    """Let the command ask the quick judges alone."""
    judges = {name: suite.JUDGES[name] for name in ("known values", "duality")}
    monkeypatch.setattr(suite, "available_judges", lambda: (judges, {}))


def test_the_command_writes_a_report(two_judges, tmp_path, capsys):
    assert main(["validate", str(CHAIN), "--report", str(tmp_path / "deep" / "report")]) == 0
    assert "report: " in capsys.readouterr().out
    document = json.loads((tmp_path / "deep" / "report" / "report.json").read_text())
    assert [j["judge"] for j in document["judgements"]] == ["known values", "duality"]
    assert document["verdict"] == "pass"
    root = ElementTree.fromstring((tmp_path / "deep" / "report" / "junit.xml").read_bytes())
    assert (root.get("tests"), root.get("failures")) == ("2", "0")


def test_the_command_reports_a_failure(two_judges, tmp_path):
    document = json.loads(CHAIN.read_text())
    group = document["expected"]["gradient"]["weight"]
    largest = max(range(len(group)), key=lambda k: abs(float(group[k])))
    group[largest] = str(1.1 * float(group[largest]))
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    assert main(["validate", str(path), "--report", str(tmp_path)]) == 1
    root = ElementTree.fromstring((tmp_path / "junit.xml").read_bytes())
    assert root.get("failures") == "1"
    assert "✗ FAIL" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_stops_the_command_at_once(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["validate", str(CHAIN), "--report", str(tmp_path / "file")]) == 2
    captured = capsys.readouterr()
    assert "cannot be made" in captured.err
    assert captured.out == ""


def test_planted_errors_are_what_they_are_called(cases):
    """The certificates of these tests are judged: exact answers pass, planted errors fail."""
    evaluation = evaluate(cases[1])
    assert verdict_of(evaluation, exact(evaluation)).verdict == "pass"
    turned = verdict_of(evaluation, turned_delays(evaluation))
    assert [g.group for g in turned.groups if g.verdict == "fail"] == ["delay"]


@needs_page
def test_a_spike_after_the_end_costs_no_report(tmp_path):
    def late(*asked):
        answer = ours(*asked)
        time = np.append(answer.time, asked[2] + 50.0)
        return answer._replace(time=time, neuron=np.append(answer.neuron, 0))

    paths = write([certify(late, ["driven"])], tmp_path)
    assert set(paths) == {"html", "markdown", "json", "junit"}


def test_records_of_the_project_are_shown_by_validate():
    records = device_records(OWN_RECORDS)
    assert [record["device"] for record in records].count("NVIDIA H200") >= 2
    figures = {figure["name"]: figure for record in records for figure in record["figures"]}
    assert figures["cases certified"]["value"] >= 118
    assert figures["largest error by its tolerance"]["value"] < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"date": 1e400}', "expected what JSON can hold|date is inf"),
        ('{"date": ' + "1" * 5000 + "}", "holds a number that cannot be read"),
        ('{"date": "", "date": ""}', "'date' is given twice"),
        ("[" * 100000, "is nested too deeply"),
        ("NaN", "NaN is not a JSON number"),
        ("\xff", "is not UTF-8 text"),
    ],
)
def test_files_that_are_no_json_of_one_meaning(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidValueError, match=rf"bad\.json: .*({message})"):
        device_records(path)
    if find_spec("jsonschema"):
        with pytest.raises(ReportFileError, match=r"bad\.json: "):
            load(path)


@needs_page
def test_numbers_at_the_ends_of_float64_cost_no_page(tmp_path):
    def backend(*asked, dt=0.0):
        answer = ours(*asked)
        weight, delay = answer.gradient["weight"].copy(), answer.gradient["delay"].copy()
        weight[:2], delay[:] = (1.7e308, -1.7e308), 5e-324
        return answer._replace(gradient={**answer.gradient, "weight": weight, "delay": delay})

    case = stored.given_cases()[0]
    found = [certify(backend, [case]), certify(backend, [case], steps=[0.2, 0.1])]
    text = write(found, tmp_path, forms=["html"])["html"].read_text(encoding="utf-8")
    assert "Errors above 1e+20 are drawn there." in text
