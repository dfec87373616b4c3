"""Malformed arguments: each is refused before any work, by an error that names it."""

import copy
import json
import re
import sys
from functools import partial

import numpy as np
import pytest
from scipy import sparse

import adjoint
import refsim
from refsim import (
    DoubleExpPort,
    ExpPort,
    InvalidTypeError,
    InvalidValueError,
    Network,
    Samples,
    SpikeTrain,
    Synapses,
    all_to_all,
    connect,
    from_matrix,
    layered,
    poisson_inputs,
    random,
    simulate,
)
from refsim.cases import CaseFileError, from_dict, load, make_case, save, to_dict
from refsim.files.output import OutputError

NAN, INF = float("nan"), float("inf")
MASKED = np.ma.array([1.0, 2.0], mask=[False, True])


class Unreadable:
    """Something that offers an array and does not give it."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("is on another device")


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text")


OTHER_ENGINES = [
    partial(simulate, engine=refsim.Windows()),
    partial(simulate, engine=refsim.Grid(0.1)),
    adjoint.vjp,
    partial(adjoint.vjp, engine=refsim.Grid(0.1)),
    partial(adjoint.jvp, tangents={"weight": 1.0}),
]


def network(**changes):
    made = Network(2, connect([2, 0], [0, 1], [50.0, 5.0], 1.0), n_inputs=1)
    return made.replace(**changes)


def check_refusal_by_others(error, asked):
    for other in OTHER_ENGINES:
        with pytest.raises(type(error)) as caught:
            other(**asked)
        assert str(caught.value) == str(error), other


def run(**changes):
    """Simulate; what the event engine refuses, the others refuse in the same words."""
    given = {"network": network(), "inputs": SpikeTrain([1.0], [0], 1), "duration": 10.0}
    asked = given | changes
    try:
        return simulate(**asked)
    except (InvalidTypeError, InvalidValueError) as error:
        if changes.keys() <= {*given, "samples", "max_spikes"}:
            check_refusal_by_others(error, asked)
        raise


def pullback(time_bar=None, voltage_bar=None):
    net = network(t_ref=20.0, synapses=connect([2], [0], 50.0, 1.0))
    return adjoint.vjp(net, SpikeTrain([1.0], [0], 1), 10.0, samples=([0], [3.0]))[1](
        time_bar, voltage_bar
    )


def jvp(tangents):
    return adjoint.jvp(network(), SpikeTrain([1.0], [0], 1), 10.0, tangents)


V, T = InvalidValueError, InvalidTypeError

BAD = {
    # networks
    "no neurons": (lambda: Network(0), V, "n_neurons is 0; expected an integer in [1, "),
    "negative neurons": (lambda: Network(-3), V, "n_neurons is -3"),
    "half a neuron": (lambda: Network(1.5), T, "n_neurons is 1.5; expected an integer"),
    "True neurons": (lambda: Network(True), T, "n_neurons is True; expected an integer"),
    "too many neurons": (lambda: Network(10**400), V, "n_neurons is 1000000"),
    "digits past printing": (lambda: Network(10**5000), V, "n_neurons is a int that cannot be"),
    "negative inputs": (lambda: Network(1, n_inputs=-1), V, "n_inputs is -1; expected"),
    "tau_m zero": (lambda: Network(1, tau_m=0.0), V, "tau_m is 0.0; expected >= 1e-09"),
    "tau_m negative": (lambda: Network(2, tau_m=[5, -1]), V, "tau_m[1] is -1.0; expected >= 1e-09"),
    "tau_m too long": (lambda: Network(1, tau_m=2e12), V, "expected >= 1e-09 and <= 1e+12"),
    "tau_m nan": (lambda: Network(1, tau_m=NAN), V, "tau_m is nan; expected a finite number"),
    "tau_m of 3": (lambda: Network(2, tau_m=[1.0] * 3), V, "tau_m has shape (3,); expected (2,)"),
    "tau_m none": (lambda: Network(1, tau_m=None), T, "tau_m is None; expected real numbers"),
    "tau_m text": (lambda: Network(1, tau_m="20"), T, "tau_m is '20' of dtype <U2; expected real"),
    "v_th inf": (lambda: Network(1, v_th=INF), V, "v_th is inf; expected a finite number"),
    "v_th minus inf": (lambda: Network(2, v_th=[1, -INF]), V, "v_th[1] is -inf; expected a finite"),
    "v_th huge": (lambda: Network(1, v_th=1e101), V, "v_th is 1e+101; expected >= -1e+100"),
    "v_th long double": (
        lambda: Network(1, v_th=np.longdouble("1e4000")),
        V,
        "v_th is inf; expected a finite number",
    ),
    "v_th complex": (lambda: Network(1, v_th=1j), T, "v_th is 1j of dtype complex128"),
    "v_th boolean": (lambda: Network(1, v_th=True), T, "v_th is True of dtype bool"),
    "v_th booleans": (lambda: Network(2, v_th=np.array([True, False])), T, "of dtype bool"),
    "v_th with a boolean": (lambda: Network(2, v_th=[True, 0.5]), T, "[True, 0.5], with a boolean"),
    "v_th masked": (lambda: Network(2, v_th=MASKED), V, "v_th is a masked array that hides 1 of 2"),
    "v_th objects": (
        lambda: Network(2, v_th=np.array([1.0, 2.0], dtype=object)),
        T,
        "of dtype object; expected real numbers",
    ),
    "v_th ragged": (lambda: Network(2, v_th=[[1], [1, 2]]), T, "expected a regular array of real"),
    "v_th dates": (lambda: Network(1, v_th=np.datetime64("2020-01-01")), T, "dtype datetime64"),
    "v_th a matrix": (lambda: Network(2, v_th=np.ones((2, 2))), V, "v_th has shape (2, 2)"),
    "v_th on a device": (lambda: Network(1, v_th=Unreadable()), T, "is on another device"),
    "v_th unprintable": (lambda: Network(1, v_th=Unprintable()), T, "a Unprintable that cannot be"),
    "i_ext nan": (lambda: Network(2, i_ext=[0, NAN]), V, "i_ext[1] is nan"),
    "v_rest inf": (lambda: Network(1, v_rest=-INF), V, "v_rest is -inf"),
    "t_ref negative": (lambda: Network(1, t_ref=-1e-9), V, "t_ref is -1e-09; expected >= 0"),
    "v0 at threshold": (lambda: Network(1, v0=1.0), V, "v0[0] is 1; expected a voltage below v_th"),
    "v0 above": (lambda: Network(2, v0=[0, 2]), V, "v0[1] is 2; expected a voltage below v_th[1]"),
    "v_reset above": (lambda: Network(1, v_reset=1.5), V, "v_reset[0] is 1.5; expected a voltage"),
    "v_rest for reset": (lambda: Network(1, v_rest=3.0), V, "v_reset[0] is 3; expected a voltage"),
    "no ports": (lambda: Network(1, ports=[]), V, "ports is empty; expected at least one"),
    "ports a number": (lambda: Network(1, ports=5.0), T, "ports is a float; expected a sequence"),
    "ports of numbers": (lambda: Network(1, ports=[5.0]), T, "ports[0] is a float; expected Exp"),
    "ports out of range": (
        lambda: Network(1, ports=[ExpPort(1e-9)] * 40),
        V,
        "ports have 40 time constants from 1e-09 to 1e-09 ms; expected products",
    ),
    "synapses an array": (lambda: Network(1, np.eye(1)), T, "synapses is a ndarray; expected Syn"),
    "synapses a sequence": (lambda: Network(1, [1]), T, "synapses holds a int; expected Synapses"),
    "pre out of range": (
        lambda: Network(1, connect(1, 0)),
        V,
        "pre[0] is 1; expected a source from 0 to 0: n_neurons is 1 and n_inputs is 0",
    ),
    "post an input": (
        lambda: Network(1, connect(0, 1), n_inputs=1),
        V,
        "post[0] is 1; expected an index from 0 to 0",
    ),
    "port out of range": (lambda: Network(1, connect(0, 0, port=1)), V, "port[0] is 1; expected"),
    "replace unknown": (lambda: network(tau=5.0, v_thr=1), T, "replace got v_thr = 1; expected na"),
    "replace short weight": (lambda: network(weight=[1.0] * 3), V, "weight has shape (3,)"),
    "replace long tau": (lambda: network(tau=[1.0, 2.0]), V, "tau has shape (2,); expected (1,)"),
    "replace tau and ports": (lambda: network(tau=1.0, ports=3), T, "ports is a int; expected a"),
    "replace weight and synapses": (
        lambda: network(weight=1.0, synapses="all"),
        T,
        "synapses is a str; expected Synapses",
    ),
    "replace size": (lambda: network(n_neurons=3), V, "tau_m has shape (2,); expected (3,)"),
    # ports
    "tau zero": (lambda: ExpPort(0), V, "tau is 0.0; expected >= 1e-09 and <= 1e+12"),
    "tau nan": (lambda: ExpPort(NAN), V, "tau is nan; expected a finite number"),
    "tau two": (lambda: ExpPort([1.0, 2.0]), V, "tau has shape (2,); expected a single number"),
    "tau_rise negative": (lambda: DoubleExpPort(-1.0, 5.0), V, "tau_rise is -1.0; expected >="),
    "tau_decay inf": (lambda: DoubleExpPort(1.0, INF), V, "tau_decay is inf; expected a finite"),
    "tau_decay none": (lambda: DoubleExpPort(1.0, None), T, "tau_decay is None; expected real"),
    # synapses and builders
    "negative pre": (lambda: Synapses([0, -1], 0, 1.0, 1.0), V, "pre[1] is -1; expected an index"),
    "fractional pre": (lambda: connect([0.0], 0), T, "pre is [0.0] of dtype float64; expected int"),
    "pre past int64": (lambda: connect([2**63], 0), V, "pre[0] is 9223372036854775808; expected"),
    "pre ragged": (
        lambda: connect([[1], [1, 2]], 0),
        T,
        "pre is [[1], [1, 2]]; expected a regular",
    ),
    "pre a matrix": (lambda: connect([[0, 1]], 0), V, "pre has shape (1, 2); expected (2,)"),
    "pre and post": (lambda: connect([0, 1, 2], [0, 1]), V, "post has shape (2,); expected (3,)"),
    "negative single post": (lambda: connect([], -1), V, "post is -1; expected an index"),
    "weight nan": (lambda: connect(0, 0, NAN), V, "weight is nan; expected a finite number"),
    "weight huge": (lambda: connect(0, 0, -1e300), V, "weight is -1e+300; expected >= -1e+100"),
    "delay negative": (
        lambda: connect([0, 0], 0, 1, [1, -1]),
        V,
        "delay[1] is -1.0; expected >= 0",
    ),
    "delay inf": (lambda: connect(0, 0, 1.0, INF), V, "delay is inf; expected a finite number"),
    "delay long": (lambda: connect(0, 0, 1.0, 1e13), V, "delay is 10000000000000.0; expected >= 0"),
    "concatenate": (
        lambda: Synapses.concatenate(3),
        T,
        "synapses is 3; expected a sequence of Syn",
    ),
    "no group": (lambda: all_to_all(None, 1), T, "pre is None; expected an integer in [0,"),
    "negative group": (lambda: all_to_all(1, -1), V, "post is -1; expected an integer in [0,"),
    "group past int64": (lambda: all_to_all(2**63, 1), V, "pre is 9223372036854775808; expected"),
    "too many pairs": (
        lambda: all_to_all(10**6, 10**6),
        V,
        "number of pairs of pre and post is 10",
    ),
    "weight matrix": (
        lambda: all_to_all(2, 3, np.ones((3, 2))),
        V,
        "weight has shape (3, 2); expected (2, 3)",
    ),
    "weight hidden": (
        lambda: all_to_all(1, 1, np.ma.masked_array([[1.0]], [[True]])),
        V,
        "weight is a masked array that hides 1 of 1",
    ),
    "autapses none": (
        lambda: all_to_all(2, 2, autapses=None),
        T,
        "autapses is None; expected True",
    ),
    "random of nothing": (
        lambda: random(2, 2),
        V,
        "in_degree is None and probability is None",
    ),
    "random of both": (
        lambda: random(2, 2, in_degree=1, probability=0.5),
        V,
        "in_degree is 1 and probability is 0.5; expected exactly one",
    ),
    "in_degree": (
        lambda: random(3, 2, in_degree=4),
        V,
        "in_degree is 4; expected an integer in [0",
    ),
    "in_degree without autapse": (
        lambda: random(2, 2, in_degree=2),
        V,
        "expected an integer in [0, 1]",
    ),
    "probability": (
        lambda: random(2, 2, probability=1.5),
        V,
        "probability is 1.5; expected >= 0",
    ),
    "probability for nobody": (lambda: random(2, 0, probability=2), V, "probability is 2.0"),
    "rng text": (
        lambda: random(2, 2, in_degree=1, rng="a"),
        T,
        "rng is 'a'; expected an integer",
    ),
    "rng negative": (lambda: random(2, 2, in_degree=1, rng=-1), V, "rng is -1; expected an int"),
    "one layer": (lambda: layered([3]), V, "sizes is [3]; expected two layers or more"),
    "empty layer": (lambda: layered([3, 0]), V, "sizes[1] is 0; expected an integer in [1,"),
    "no layers": (lambda: layered(3), T, "sizes is 3; expected a sequence of integers"),
    "weights of layers": (lambda: layered([1, 1], [1.0, 2.0]), V, "weight has 2 entries; expected"),
    "layer of none": (lambda: layered([1, 1], None), T, "weight is None; expected real"),
    "matrix of 1 dimension": (lambda: from_matrix([1.0]), V, "matrix has shape (1,); expected two"),
    "matrix nan": (lambda: from_matrix([[0.0, NAN]]), V, "matrix[0] is nan; expected a finite"),
    "matrix complex": (
        lambda: from_matrix([[1j]]),
        T,
        "matrix is array([0.+1.j]) of dtype complex",
    ),
    "matrix masked": (
        lambda: from_matrix(np.ma.masked_equal([[1.0, 2.0]], 2.0)),
        V,
        "matrix is a masked array that hides 1 of 2",
    ),
    "delay of another shape": (
        lambda: from_matrix(np.eye(2), np.ones((3, 3))),
        V,
        "delay has shape (3, 3); expected (2, 2), as matrix",
    ),
    "delay stored elsewhere": (
        lambda: from_matrix(sparse.eye_array(2), sparse.csr_array([[0.0, 1.0], [0.0, 1.0]])),
        V,
        "delay stores 2 entries; expected one at each of the 2 places",
    ),
    # inputs and samples
    "times nan": (
        lambda: SpikeTrain([1.0, NAN], [0, 0], 1),
        V,
        "times[1] is nan; expected a finite",
    ),
    "times negative": (lambda: SpikeTrain([-1.0], [0], 1), V, "times[0] is -1.0; expected >= 0"),
    "times single": (lambda: SpikeTrain(1.0, [0], 1), V, "times has shape (); expected (k,)"),
    "sources range": (
        lambda: SpikeTrain([1.0], [1], 1),
        V,
        "sources[0] is 1; expected an index from",
    ),
    "sources without channels": (
        lambda: SpikeTrain([1.0], [0], 0),
        V,
        "sources[0] is 0; expected no entry: there is nothing",
    ),
    "sources length": (
        lambda: SpikeTrain([1.0], [0, 0], 1),
        V,
        "sources has shape (2,); expected (1,)",
    ),
    "channels": (lambda: SpikeTrain([], [], -1), V, "n_inputs is -1; expected an integer"),
    "trains": (lambda: SpikeTrain.from_lists(3), T, "trains is 3; expected a sequence of lists"),
    "train of text": (
        lambda: SpikeTrain.from_lists("12"),
        T,
        "trains is '12'; expected a sequence",
    ),
    "train inf": (
        lambda: SpikeTrain.from_lists([[1], [INF]]),
        V,
        "trains[1][0] is inf; expected a",
    ),
    "train late": (lambda: SpikeTrain.from_lists([[2e12]]), V, "trains[0][0] is 2000000000000.0"),
    "rate negative": (
        lambda: poisson_inputs(2, [1, -1], 1.0),
        V,
        "rate[1] is -1.0; expected >= 0",
    ),
    "duration of inputs nan": (
        lambda: poisson_inputs(1, 1.0, NAN),
        V,
        "duration is nan; expected a finite number",
    ),
    "a flood of inputs": (
        lambda: poisson_inputs(1, 1e9, 1e12),
        V,
        "expected number of spikes, from rate and duration, is 1e+18; expected >= 0 and <= 1e+09",
    ),
    "poisson seed": (
        lambda: poisson_inputs(1, 1.0, 1.0, 0.5),
        T,
        "rng is 0.5; expected an integer",
    ),
    "sample neurons": (
        lambda: Samples([0, 1], [1.0]),
        V,
        "samples.neurons has shape (2,); expected",
    ),
    "sample times": (lambda: Samples([0], [NAN]), V, "samples.times[0] is nan; expected a finite"),
    # simulations
    "no network": (lambda: run(network="net"), T, "network is a str; expected Network"),
    "no duration": (
        lambda: run(duration=None),
        T,
        "duration is None; expected real numbers",
    ),
    "duration zero": (lambda: run(duration=0.0), V, "duration is 0.0; expected > 0 and <= 1e+12"),
    "duration negative": (lambda: run(duration=-1), V, "duration is -1.0; expected > 0"),
    "duration inf": (lambda: run(duration=INF), V, "duration is inf; expected a finite number"),
    "duration two": (lambda: run(duration=[1, 2]), V, "duration has shape (2,); expected a single"),
    "inputs a list": (
        lambda: run(inputs=[1.0]),
        T,
        "inputs is a list; expected SpikeTrain or None",
    ),
    "inputs of 2 channels": (
        lambda: run(inputs=SpikeTrain.empty(2)),
        V,
        "inputs has 2 channels; expected the 1 of the network",
    ),
    "samples a list": (
        lambda: run(samples=[0, 1]),
        T,
        "samples is a list; expected Samples or (neu",
    ),
    "sample of neuron 2": (
        lambda: run(samples=([2], [1.0])),
        V,
        "samples.neurons[0] is 2; expected an",
    ),
    "sample after the end": (
        lambda: run(samples=([0], [11.0])),
        V,
        "samples.times[0] is 11.0; expected",
    ),
    "queue unknown": (
        lambda: refsim.Events("ring"),
        V,
        "queue is 'ring'; expected one of 'auto', 'heap'",
    ),
    "queue none": (lambda: refsim.Events(None), V, "queue is None; expected one of 'auto'"),
    "fifo with delays": (
        lambda: run(network=network(delay=[1.0, 2.0]), engine=refsim.Events("fifo")),
        V,
        "queue is 'fifo' and delays run from 1 to 2 ms; expected equal delays",
    ),
    "engine unknown": (
        lambda: run(engine="window"),
        V,
        "engine is 'window'; expected 'auto' or refsim.Events(), Windows(), Layers() or Grid(dt)",
    ),
    "engine a class": (
        lambda: run(engine=refsim.Windows),
        T,
        "engine is <class 'refsim.windows.options.Windows'>; expected 'auto' or refsim.Events()",
    ),
    "engine none": (lambda: run(engine=None), T, "engine is None; expected 'auto' or"),
    "threads of windows": (lambda: refsim.Windows(0), V, "threads is 0; expected an integer"),
    "state of a grid": (
        lambda: run(engine=refsim.Grid(0.1), keep_state=True),
        V,
        "keep_state is True, and engine is Grid(...), which cannot do that; expected Events(...)",
    ),
    "limit zero": (lambda: run(max_spikes=0), V, "max_spikes is 0; expected an integer in [1,"),
    "limit a float": (
        lambda: run(max_spikes=1e6),
        T,
        "max_spikes is 1000000.0; expected an integer",
    ),
    "limit past int64": (
        lambda: run(max_spikes=2**63),
        V,
        "max_spikes is 9223372036854775808; expe",
    ),
    # traces
    "trace neuron": (lambda: run().trace([2]), V, "neurons[0] is 2; expected an index from 0 to 1"),
    "trace ragged": (
        lambda: run().trace([[1], [1, 1]]),
        T,
        "neurons is [[1], [1, 1]]; expected a reg",
    ),
    "trace late": (
        lambda: run().trace(times=[11.0]),
        V,
        "times[0] is 11.0; expected >= 0 and <= 10",
    ),
    "trace unsorted": (
        lambda: run().trace(times=[2, 1]),
        V,
        "times[1] is 1.0 after 2.0; expected asc",
    ),
    "trace dt zero": (lambda: run().trace(step=0), V, "step is 0.0; expected > 0"),
    "trace dt tiny": (
        lambda: run().trace(step=5e-324),
        V,
        "step is 5e-324 for 10 ms of 2 neurons; expe",
    ),
    # cotangents and tangents
    "time_bar length": (lambda: pullback([1.0, 2.0]), V, "time_bar has shape (2,); expected (1,)"),
    "time_bar nan": (lambda: pullback([NAN]), V, "time_bar[0] is nan; expected a finite number"),
    "time_bar text": (lambda: pullback(["1"]), T, "time_bar is ['1'] of dtype <U1; expected real"),
    "voltage_bar length": (lambda: pullback(voltage_bar=[]), V, "voltage_bar has shape (0,)"),
    "voltage_bar inf": (
        lambda: pullback(voltage_bar=INF),
        V,
        "voltage_bar is inf; expected a finite",
    ),
    "tangents a list": (
        lambda: jvp([1.0]),
        T,
        "tangents is a list; expected Parameters or a mapping",
    ),
    "tangents unknown": (
        lambda: jvp({"tau_s": 1}),
        T,
        "tangents has the key 'tau_s'; expected names",
    ),
    "tangents length": (
        lambda: jvp({"weight": [1.0]}),
        V,
        "tangents['weight'] has shape (1,); expected",
    ),
    "tangents nan": (
        lambda: jvp({"v0": NAN}),
        V,
        "tangents['v0'] is nan; expected a finite number",
    ),
    "no loss": (lambda: adjoint.value_and_grad(3.0), T, "loss is a float; expected a callable"),
    "loss without bars": (
        lambda: adjoint.value_and_grad(lambda s: 1.0)(network(), None, 1.0),
        T,
        "loss returned a float; expected (value, cotangents)",
    ),
    "loss with three": (
        lambda: adjoint.value_and_grad(lambda s: (1.0, (1, 2, 3)))(network(), None, 1.0),
        V,
        "cotangents of the loss is a tuple of 3; expected",
    ),
    "dot of a dictionary": (lambda: pullback().dot({}), T, "other is a dict; expected Parameters"),
    "dot of another network": (
        lambda: pullback().dot(adjoint.vjp(network(), None, 1.0)[1]()),
        V,
        "other.weight has shape (2,); expected (1,)",
    ),
    # cases in memory
    "case of no network": (
        lambda: make_case("a", None),
        T,
        "network is a NoneType; expected Network",
    ),
    "case duration": (
        lambda: make_case("a", network(), duration=NAN),
        V,
        "duration is nan; expected a",
    ),
    "case inputs": (
        lambda: make_case("a", network(), [1.0]),
        T,
        "inputs is a list; expected SpikeTrain",
    ),
    "case voltage_bar": (
        lambda: make_case("a", network(), samples=([0], [1.0]), voltage_bar=[1.0, 2.0]),
        V,
        "voltage_bar has shape (2,); expected (1,)",
    ),
    "save of a dictionary": (lambda: save({}, "x.json"), T, "case is a dict; expected Case"),
    "save of a list": (
        lambda: save(make_case("a", network()), "x.json", extra=[]),
        T,
        "extra is []; expected a dictionary of members",
    ),
    "save of an object": (
        lambda: save(make_case("a", network()), "x.json", extra={"a": {1}}),
        V,
        "extra is {'a': {1}}; expected members that JSON can hold",
    ),
    "save of nan": (
        lambda: save(make_case("a", network()), "x.json", extra={"a": NAN}),
        V,
        "extra is {'a': nan}; expected members that JSON can hold",
    ),
    "save to nowhere": (
        lambda: save(make_case("a", network()), "no/such/folder/x.json"),
        OutputError,
        "cannot be written: No such file or directory",
    ),
    "load of a number": (lambda: load(3.5), T, "path is 3.5; expected the path of a file"),
    "load of a null": (lambda: load("a\0b"), V, "expected a path without a null character"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_before_any_work(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=re.escape(message)) as caught:
        call()
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_ragged_weights_of_layers_are_no_error():
    weights = [np.ones((2, 3)), np.full((3, 1), 2.0)]
    assert layered([2, 3, 1], weights).weight.tolist() == [1.0] * 6 + [2.0] * 3


def test_sparse_matrices_keep_their_places_and_the_matrix_given():
    given = sparse.csr_array(([1.0, 2.0, 3.0], [1, 0, 1], [0, 2, 3]), shape=(2, 2))
    before = given.indices.copy()
    made = from_matrix(given, sparse.csr_array(given.toarray() / 4.0))
    assert (made.pre.tolist(), made.post.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert made.weight.tolist() == [2.0, 1.0, 3.0]
    assert made.delay.tolist() == [0.5, 0.25, 0.75]
    assert given.indices.tolist() == before.tolist()


def document():
    case = make_case(
        "small",
        Network(
            2,
            connect([2, 0], [0, 1], [50.0, 5.0], 1.0),
            n_inputs=1,
            ports=[DoubleExpPort(1.0, 5.0)],
        ),
        SpikeTrain([1.0], [0], 1),
        10.0,
        samples=([0], [3.0]),
        time_bar=[1.0],
        voltage_bar=[2.0],
    )
    known = {
        "spike_times": ["2.5"],
        "spike_neurons": [0],
        "voltages": [0.5],
        "gradient": {"weight": ["1e-3", 2], "tau": [1, 2]},
    }
    return to_dict(case) | {"expected": known}


def changed(path, value):
    """Return the document with one member, given by its keys, replaced or (None) removed."""
    data = copy.deepcopy(document())
    place = data
    *folders, last = path.split("/")
    for key in folders:
        place = place[int(key) if isinstance(place, list) else key]
    if value is MISSING:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return data


MISSING = object()

BAD_CASES = [
    ("format", MISSING, "format is missing"),
    (
        "format",
        "snn-gradient-case/2",
        "format is 'snn-gradient-case/2'; expected 'snn-gradient-case/1'",
    ),
    ("format", 1, "format is an integer; expected a string"),
    ("name", None, "name is null; expected a string"),
    ("neurons", MISSING, "neurons is missing"),
    ("neurons", [], "neurons is a list; expected an object"),
    ("neurons/n", True, "neurons.n is true; expected an integer"),
    ("neurons/n", 2.0, "neurons.n is a number; expected an integer"),
    ("neurons/n", 0, "n_neurons is 0; expected an integer in [1,"),
    ("neurons/n", 10**400, "n_neurons is 1000"),
    ("neurons/n", 3, "tau_m has shape (2,); expected (3,)"),
    ("neurons/model", "izhikevich", "neurons.model is 'izhikevich'; expected 'lif'"),
    ("neurons/tau_w", [1.0], "neurons has the member 'tau_w'; expected members among"),
    ("neurons/tau_m", 20.0, "neurons.tau_m is a number; expected a list"),
    ("neurons/tau_m", MISSING, "neurons.tau_m is missing"),
    ("neurons/tau_m", [20.0, "20"], "expected real numbers"),
    ("neurons/tau_m", [20.0, True], "tau_m is [20.0, True], with a boolean in it"),
    ("neurons/tau_m", [20.0, 10**400], "of dtype object; expected real numbers"),
    ("neurons/tau_m", [20.0, None], "of dtype object; expected real numbers"),
    ("neurons/tau_m", [[20.0], [20.0]], "tau_m has shape (2, 1); expected (2,)"),
    ("neurons/v_th", [1.0, float("1e400")], "v_th[1] is inf; expected a finite number"),
    ("neurons/v0", [0.0, 1.0], "v0[1] is 1; expected a voltage below v_th[1]"),
    ("neurons/ports", [], "ports is empty; expected at least one port"),
    ("neurons/ports", ["exp"], "neurons.ports[0] is a string; expected an object"),
    ("neurons/ports/0/kind", "alpha", "neurons.ports[0].kind is 'alpha'; expected 'exp' or"),
    ("neurons/ports/0/kind", 3, "neurons.ports[0].kind is an integer; expected a string"),
    ("neurons/ports/0/kind", "exp", "neurons.ports[0] has the member 'tau_rise'; expected members"),
    ("neurons/ports/0/tau_rise", MISSING, "neurons.ports[0].tau_rise is missing"),
    (
        "neurons/ports/0/tau_rise",
        "1.0",
        "neurons.ports[0].tau_rise is a string; expected an integer",
    ),
    ("neurons/ports/0/tau_rise", -1.0, "neurons.ports[0].tau_rise is -1.0; expected >= 1e-09"),
    ("synapses/pre", {}, "synapses.pre is an object; expected a list"),
    ("synapses/pre", [2, 0.5], "pre is [2, 0.5] of dtype float64; expected integers"),
    ("synapses/pre", [3, 0], "synapses.pre[0] is 3; expected a source from 0 to 2"),
    ("synapses/post", [0], "post has shape (1,); expected (2,)"),
    ("synapses/weight", [1.0, 2.0, 3.0], "weight has shape (3,); expected (2,)"),
    ("synapses/delay", [1.0, -1.0], "delay[1] is -1.0; expected >= 0"),
    ("synapses/port", [0, 1], "port[1] is 1; expected an index from 0 to 0"),
    ("synapses/delays", [1.0, 2.0], "synapses has the member 'delays'; expected"),
    ("inputs", MISSING, "inputs is missing"),
    ("inputs/n", -1, "n_inputs is -1; expected an integer"),
    ("inputs/times", [-1.0], "times[0] is -1.0; expected >= 0"),
    ("inputs/sources", [1], "sources[0] is 1; expected an index from 0 to 0"),
    ("inputs/sources", [], "sources has shape (0,); expected (1,)"),
    ("duration", MISSING, "duration is missing"),
    ("duration", 0, "duration is 0.0; expected > 0"),
    ("duration", 10**400, "duration is 1000"),
    ("duration", False, "duration is false; expected"),
    ("voltage_samples", {}, "voltage_samples is an object; expected a list"),
    ("voltage_samples", [3], "voltage_samples[0] is an integer; expected an object"),
    ("voltage_samples/0/time", 11.0, "samples.times[0] is 11.0; expected >= 0 and <= 10"),
    ("voltage_samples/0/neuron", 2, "samples.neurons[0] is 2; expected an index"),
    ("voltage_samples/0/neuron", 0.0, "voltage_samples[0].neuron is a number; expected an integer"),
    ("voltage_samples/0/bar", 1.0, "voltage_samples[0] has the member 'bar'; expected"),
    ("cotangent", [1.0, None], "cotangent[1] is None; expected a number or a decimal string"),
    ("cotangent", ["nan"], "cotangent[0] is 'nan'; expected a number or a decimal string"),
    ("cotangent", ["1_0"], "cotangent[0] is '1_0'; expected a number or a decimal string"),
    ("cotangent", ["1e400"], "cotangent[0] is '1e400'; expected a finite number"),
    ("cotangent", [10**400], "; expected a finite number"),
    ("cotangent", [1.0, 2.0], "cotangent has 2 entries; expected one for each of the 1 expected"),
    ("expected", [], "expected is a list; expected an object"),
    (
        "expected/spike_times",
        MISSING,
        "expected.spike_times is missing, and spike_neurons is given",
    ),
    ("expected/spike_times", "2.5", "expected.spike_times is a string; expected a list"),
    (
        "expected/spike_times",
        [2.0, 1.0],
        "expected.spike_times[1] is 1.0 after 2.0; expected ascend",
    ),
    (
        "expected/spike_neurons",
        [0, 1],
        "expected.spike_neurons has 2 entries; expected one for each",
    ),
    (
        "expected/spike_neurons",
        [2],
        "expected.spike_neurons[0] is 2; expected an index from 0 to 1",
    ),
    (
        "expected/spike_neurons",
        [0.5],
        "expected.spike_neurons is [0.5] of dtype float64; expected int",
    ),
    ("expected/voltages", [], "expected.voltages has 0 entries; expected 1, one for each"),
    ("expected/voltages", [True], "expected.voltages[0] is True; expected a number or a decimal"),
    ("expected/gradient/tau_s", [1.0], "expected.gradient.tau_s is not a group; expected one of"),
    ("expected/gradient/tau", [1.0], "expected.gradient.tau has 1 entries; expected 2"),
    ("expected/gradient/tau", 1.0, "expected.gradient.tau is a number; expected a list"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD_CASES)
def test_bad_member_of_a_case(path, value, message, tmp_path):
    data = changed(path, value)
    with pytest.raises(CaseFileError, match=re.escape(message)):
        from_dict(data)
    file = tmp_path / "case.json"
    try:
        file.write_text(json.dumps(data))
    except ValueError:  # more digits than Python writes
        return
    with pytest.raises(CaseFileError, match=re.escape(f"{file}: ")):
        load(file)


@pytest.mark.parametrize("data", [None, 3, "case", [], True])
def test_a_case_that_is_no_object(data):
    with pytest.raises(CaseFileError, match=r"the file is .*; expected an object"):
        from_dict(data)


def text_with(old, new):
    text = json.dumps(document())
    assert old in text
    return text.replace(old, new, 1).encode()


BAD_FILES = {
    "empty": (b"", "is not JSON: Expecting value at line 1 column 1"),
    "truncated": (json.dumps(document()).encode()[:-20], "is not JSON"),
    "binary": (bytes(range(256)), "is not UTF-8 text"),
    "latin 1": ('{"name": "Zürich"}'.encode("latin-1"), "is not UTF-8 text"),
    "utf 16": (json.dumps(document()).encode("utf-16"), "is not UTF-8 text"),
    "byte order mark": (b"\xef\xbb\xbf{}", "is not JSON: Unexpected UTF-8 BOM"),
    "nan": (text_with("10.0", "NaN"), "NaN is not a JSON number; expected finite decimals"),
    "infinity": (text_with("10.0", "-Infinity"), "-Infinity is not a JSON number"),
    "overflow": (text_with('"duration": 10.0', '"duration": 1e400'), "duration is inf; expected a"),
    "5000 digits": (text_with("10.0", "1" * 5000), "holds a number that cannot be read"),
    "deep lists": (b"[" * 200_000, "is nested too deeply"),
    "deep objects": (b'{"a":' * 200_000, "is nested too deeply"),
    "deep member": (
        text_with("[20.0, 20.0]", "[" * 200 + "20.0" + "]" * 200),
        "tau_m is [[[[",
    ),
    "a member twice": (
        text_with('"duration": 10.0', '"duration": 10.0, "duration": 20.0'),
        "'duration' is given twice; expected each member once",
    ),
    "two documents": (b"{} {}", "is not JSON: Extra data at line 1 column 4"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_case_file(name, tmp_path):
    content, message = BAD_FILES[name]
    file = tmp_path / "case.json"
    file.write_bytes(content)
    with pytest.raises(CaseFileError, match=re.escape(message)) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(str(caught.value)) < 1000


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CaseFileError, match=r"missing\.json: cannot be read: No such file"):
        load(tmp_path / "missing.json")
    with pytest.raises(CaseFileError, match="cannot be read"):
        load(tmp_path)


def test_all_errors_are_of_refsim_and_of_the_builtin_kind():
    assert issubclass(CaseFileError, InvalidValueError)
    assert issubclass(InvalidValueError, refsim.RefsimError)
    assert issubclass(InvalidValueError, ValueError)
    assert issubclass(InvalidTypeError, TypeError)
    assert sys.get_int_max_str_digits() < 5000  # or the test of 5000 digits tests nothing
