"""The JSON Schema and the reader of case files accept and refuse the same documents.

What a schema cannot express is left out of the comparison by construction: mutations change the
type or the value of one member, drop a member or add one, and the reader is asked about that member
alone wherever its answer could be about lengths, ranges of indices, or members together. The list
of these is in docs/case-format.md, and each has an example here.
"""

import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st

from refsim.cases import CaseFileError, from_dict, load, to_dict
from validation.case_suite import schema as case_schema
from validation.case_suite.generate import stored_files
from validation.strategies import cases

pytest.importorskip("jsonschema", reason="the schema needs jsonschema")

FOLDER = Path(__file__).parents[2] / "validation" / "cases"


def base():
    """Return a document with every member."""
    return {
        "format": "snn-gradient-case/1",
        "name": "all members",
        "description": "two neurons",
        "neurons": {
            "n": 2,
            "model": "lif",
            "tau_m": [10.0, 8],
            "v_th": [1.0, 1.5],
            "v_reset": [0.0, -0.5],
            "v_rest": [0.0, 0.0],
            "i_ext": [0, 0.25],
            "t_ref": [0.0, 2.0],
            "v0": [0.0, 0.5],
            "ports": [
                {"kind": "exp", "tau": 5.0},
                {"kind": "double_exp", "tau_rise": 1.0, "tau_decay": 4},
            ],
        },
        "synapses": {
            "pre": [2, 0],
            "post": [0, 1],
            "port": [0, 1],
            "weight": [6.0, -1],
            "delay": [0.5, 1],
        },
        "inputs": {"n": 1, "times": [1.0, 3], "sources": [0, 0]},
        "duration": 20.0,
        "voltage_samples": [{"neuron": 1, "time": 5.0, "cotangent": 1.0}],
        "cotangent": [1.0, "-0.5"],
        "conditioning": {"min_slope": "0.3", "min_gap": None},
        "expected": {
            "spike_times": [3.8, "9.25e0"],
            "spike_neurons": [0, 0],
            "voltages": ["0.125"],
            "gradient": {
                "weight": ["1.0", 2],
                "tau": ["0.5", "0.25", "1e-3"],
                "input_times": [0.0, 1.0],
            },
        },
    }


def places(value, path=()):
    """Return the paths of all values in a document, the document itself first."""
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def reach(document, path):
    for key in path:
        document = document[key]
    return document


def changed(path, change):
    """Return the document with the value at a path replaced by ``change(value)``."""
    document = base()
    if not path:
        return change(document)
    reach(document, path[:-1])[path[-1]] = change(reach(document, path))
    return document


def accepted_by_schema(document):
    return not case_schema.problems(document)


def accepted_by_reader(document):
    """Whether the reader accepts what a parser makes of the document's text."""
    try:
        from_dict(document)
    except CaseFileError:
        return False
    return True


# Values of every JSON type, about all bounds.
VALUES = [
    *(None, True, False, "text", "", "1.5", "1.5\n", "0x1", "1e5", ".5", "5.", "+2", "--1"),
    *([], {}, [None], [True], ["1.5"], [[1.0]], {"n": 1}, [{}], [1.5, "x"]),
    *(-1, -0.5, -1e-300, 1e-10, 0.5, 1e13 + 0.5, 1e101, -1e101, 1.5e300, 2**31, 2**33, 10**400),
    *("exp", "lif", "double_exp", "snn-gradient-case/1", "snn-gradient-case/2"),
    *(0.25, 0.75, 3.5, 1, 0),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
# Members that must agree with others in length, or in value, and what about them: see the page.
SIZES = {"tau_m", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0", "pre", "post", "port"}
SIZES |= {"weight", "delay", "times", "sources", "cotangent", "spike_times", "spike_neurons"}
SIZES |= {"voltages", "tau", "input_times"}
INDICES = {"pre", "post", "port", "sources", "spike_neurons", "neuron", "n"}
TEXTS = ("text", "", "1.5\n", "0x1", "--1", "exp", "lif")  # no decimals


def within_reach(path, value):
    """Whether a schema can say all that there is to say of this value in this place."""
    names = {key for key in path if isinstance(key, str)}
    last = path[-1] if path else None
    if isinstance(value, list) and last in SIZES | {"ports", "voltage_samples"}:
        return any(isinstance(entry, bool | dict | list | None) for entry in value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and names & INDICES:
        return value < 0 or value > 2**32
    if number and names & {"time", "duration"}:
        return value < 0 or value > 1e12
    if number and names & {"v_th", "v_reset", "v0"}:
        return abs(value) > 1e100
    if "spike_times" in names and isinstance(value, int | float | str):
        return isinstance(value, bool) or value in TEXTS
    return True


def test_every_value_in_every_place_is_judged_alike():
    compared = 0
    for path in places(base()):
        for value in VALUES:
            if within_reach(path, value):
                document = changed(path, lambda _, v=value: copy.deepcopy(v))
                answers = accepted_by_schema(document), accepted_by_reader(document)
                assert answers[0] == answers[1], (path, value)
                compared += 1
    assert compared > 2000


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(places(base())), value=JSON)
@example(path=("expected", "spike_times", 0), value="1.5\n")
@example(path=("neurons", "n"), value=True)
def test_a_changed_value_is_judged_alike(path, value):
    if not within_reach(path, value):
        return
    document = changed(path, lambda _: value)
    assert accepted_by_schema(document) == accepted_by_reader(document)


def objects():
    return [path for path in places(base()) if isinstance(reach(base(), path), dict)]


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(objects()), data=st.data())
def test_a_member_lost_or_added_is_judged_alike(path, data):
    document = base()
    target = reach(document, path)
    if data.draw(st.booleans()):
        target[data.draw(st.sampled_from(["more", "Tau", "weights", "kind "]))] = [1.0]
    elif target:
        lost = data.draw(st.sampled_from(sorted(target)))
        del target[lost]
        if lost == "voltage_samples":
            del document["expected"]["voltages"]  # there must be as many
    assert accepted_by_schema(document) == accepted_by_reader(document)


def test_the_document_of_these_tests_is_one():
    document = base()
    assert accepted_by_reader(document)
    assert accepted_by_schema(document)
    assert case_schema.problems(changed(("duration",), lambda _: -1))[0].startswith("$.duration: ")


def test_both_answers_are_common():
    """Of the mutations that are compared, many are accepted and many refused."""
    answers = []
    for path in places(base()):
        for value in (0.25, "1.5", None, -0.5, 1e101, []):
            if within_reach(path, value):
                answers.append(accepted_by_schema(changed(path, lambda _, v=value: v)))
    assert 50 < sum(answers) < len(answers) - 50


@settings(max_examples=40, deadline=None)
@given(case=cases(max_neurons=3, max_spikes=30))
def test_what_is_written_fits_the_schema(case):
    document = json.loads(json.dumps(to_dict(case)))
    assert case_schema.problems(document) == []


@pytest.mark.parametrize("path", stored_files(), ids=lambda path: path.stem)
def test_stored_files_fit_the_schema(path):
    assert case_schema.problems(path) == []
    load(path)


# What the schema accepts and the reader refuses, as the page lists it.
BEYOND = {
    "integers with a fraction": (("neurons", "n"), 2.0),
    "numbers of neurons": (("neurons", "v_rest"), [0.0]),
    "numbers of synapses": (("synapses", "delay"), [0.5]),
    "numbers of input spikes": (("inputs", "sources"), [0]),
    "numbers of cotangents": (("cotangent",), [1.0]),
    "numbers of spikes": (("expected", "spike_neurons"), [0]),
    "numbers of voltages": (("expected", "voltages"), []),
    "numbers of a gradient": (("expected", "gradient", "weight"), ["1.0"]),
    "source out of range": (("synapses", "pre", 0), 3),
    "target out of range": (("synapses", "post", 0), 2),
    "port out of range": (("synapses", "port", 0), 2),
    "channel out of range": (("inputs", "sources", 0), 1),
    "neuron of a sample out of range": (("voltage_samples", 0, "neuron"), 2),
    "neuron of a spike out of range": (("expected", "spike_neurons", 0), 2),
    "reset above threshold": (("neurons", "v_reset", 0), 1.0),
    "start above threshold": (("neurons", "v0", 0), 1.5),
    "sample after the end": (("voltage_samples", 0, "time"), 20.5),
    "spikes not in order": (("expected", "spike_times", 0), 9.5),
    "string beyond float64": (("cotangent", 0), "1e999"),
    "products of rates": (
        ("neurons", "ports"),
        [{"kind": "exp", "tau": 1e-9}] * 24,
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_the_schema_cannot_say_is_refused_by_the_reader(name):
    path, value = BEYOND[name]
    document = changed(path, lambda _: copy.deepcopy(value))
    assert accepted_by_schema(document)
    assert not accepted_by_reader(document)


def test_nan_and_infinity_are_refused_by_both():
    for value in (math.inf, -math.inf):
        document = changed(("duration",), lambda _, v=value: v)
        assert not accepted_by_schema(document)
        assert not accepted_by_reader(document)


def test_the_schema_is_one():
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(case_schema.schema())
