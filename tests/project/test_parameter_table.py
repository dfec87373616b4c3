"""Whatever lists parameters has the names, sizes and domains of the one table."""

import ast
import inspect
import json
import subprocess
import sys
from dataclasses import fields
from typing import get_args

import pytest
import tables

import adjoint
import refsim
from adjoint.names import ParameterName
from refsim.cases import gradient_sizes
from refsim.network.parameters import NAMES, OF_NETWORK, OF_NEURONS, OF_SYNAPSES, PARAMETERS
from validation.backends.jax import layout


def test_names_that_are_written_out_are_those_of_the_table():
    assert get_args(ParameterName) == NAMES
    assert tuple(field.name for field in fields(adjoint.Parameters)) == NAMES
    assert layout.Parameters._fields == NAMES
    assert set(OF_SYNAPSES) < {field.name for field in fields(refsim.Synapses)}


def test_the_table_loads_no_kernels():
    """So that input spikes, ports and the oracle need none either."""
    code = "import sys, refsim, validation.oracle; refsim.SpikeTrain, refsim.ExpPort; "
    code += "print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_networks_have_the_parameters_and_defaults_of_the_table():
    given = inspect.signature(refsim.Network).parameters
    columns = {field.name for field in fields(refsim.Network)}
    for name in OF_NEURONS:
        default = PARAMETERS[name].default
        assert given[name].default == (None if isinstance(default, str) else default)
        assert name in columns
    network = refsim.Network(1)
    for name in OF_NEURONS:
        default = PARAMETERS[name].default
        source = PARAMETERS[default].default if isinstance(default, str) else default
        assert getattr(network, name)[0] == source
    assert all(hasattr(network, name) for name in OF_NETWORK)


def test_sizes_of_gradients_are_those_of_the_parameters():
    synapses = refsim.connect([0, 2, 2], [1, 0, 1], weight=1.0, delay=1.0)
    ports = (refsim.ExpPort(5.0), refsim.DoubleExpPort(1.0, 4.0))
    network = refsim.Network(2, synapses, 1, ports)
    inputs = refsim.SpikeTrain([1.0, 2.0, 4.0, 8.0], [0] * 4, 1)
    given = adjoint.Parameters.of(network, inputs)
    assert gradient_sizes(network, 4) == {name: len(values) for name, values in given.items()}


@pytest.mark.parametrize("name", OF_NEURONS)
def test_neurons_refuse_what_lies_outside_the_domain(name):
    low, high = PARAMETERS[name].domain
    for value in (2.0 * high, -1.0 if low >= 0.0 else 2.0 * low):
        with pytest.raises(refsim.InvalidValueError, match=rf"^{name} is .*; expected >= "):
            refsim.Network(1, **{name: value})
    if PARAMETERS[name].below:
        with pytest.raises(refsim.InvalidValueError, match=rf"^{name}\[0\] is 1; .* below v_th"):
            refsim.Network(1, **{name: 1.0})


def lists_of(path):
    """Return the lines of a module on which all parameters of neurons are listed."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            entries = {entry.value for entry in node.elts if isinstance(entry, ast.Constant)}
            if entries >= set(OF_NEURONS):
                yield node.lineno


def test_no_other_list_of_parameters_is_written():
    """But for the one that a type checker has to see."""
    folders = ("queues", "refsim", "adjoint", "validation")
    files = [file for folder in folders for file in (tables.ROOT / folder).rglob("*.py")]
    found = [file.relative_to(tables.ROOT).as_posix() for file in files if list(lists_of(file))]
    assert found == ["adjoint/names.py"]


def test_the_schema_is_current():
    """Otherwise: python tests/tools/tables.py"""
    stored = tables.SCHEMA.read_text(encoding="utf-8")
    assert tables.text_of(tables.schema_of(json.loads(stored))) == stored


@pytest.mark.parametrize("page", [tables.FORMAT, tables.GUIDE], ids=lambda page: page.stem)
def test_tables_of_pages_are_current(page):
    """Otherwise: python tests/tools/tables.py"""
    text = page.read_text(encoding="utf-8")
    assert tables.current(page) == text
    assert all(row in text for row in tables.rows_of(page))


def test_the_page_of_certificates_names_all_parameters():
    text = tables.CERTIFY.read_text(encoding="utf-8")
    assert text.count(tables.listed(OF_NEURONS)) == 2
    assert all(f"`{name}`" in text for name in NAMES)
