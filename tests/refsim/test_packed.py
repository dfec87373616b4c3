"""Synapses in compact form: against a sort that anyone can believe, and in networks."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import adjoint
import refsim
from refsim import InvalidTypeError, InvalidValueError, Network, PackedSynapses, Synapses, connect
from refsim.network import rows, sampling
from refsim.types import Rows
from validation.strategies import cases

usual = settings(deadline=None, max_examples=150)
COLUMNS = ("pre", "post", "weight", "delay", "port")


@st.composite
def synapses(draw):
    """Synapses with their numbers of neurons and inputs; delays equal, few, or all different."""
    n, m = draw(st.integers(1, 12)), draw(st.integers(0, 4))
    size = draw(st.one_of(st.integers(0, 40), st.integers(200, 500)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    delay = {
        "equal": np.full(size, 1.5),
        "few": rng.integers(0, 4, size) * 0.5,
        "all": rng.uniform(0.0, 9.0, size),
        "some": np.where(rng.random(size) < 0.5, 2.0, rng.uniform(0.0, 9.0, size)),
        "signed zeros": np.where(rng.random(size) < 0.5, 0.0, -0.0) + rng.integers(0, 2, size),
        # Different in the last bits only: too near to be told apart by the first 31.
        "bundles": rng.choice([0.0, 1e-3, 1e9], size) * (1.0 + rng.integers(0, 999, size) * 2e-16),
    }[draw(st.sampled_from(["equal", "few", "all", "some", "signed zeros", "bundles"]))]
    post = rng.integers(0, n, size)
    if draw(st.booleans()):
        post = np.sort(post)
    port = rng.integers(0, draw(st.integers(1, 3)), size) + draw(st.integers(0, 2))
    listed = Synapses(rng.integers(0, n + m, size), post, rng.normal(size=size), delay, port)
    return n, m, listed


@pytest.fixture(scope="module", params=["few", "many"])
def way(request):
    """Few synapses are sorted by NumPy, many by kernels: here either sorts all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_FEW", 2**31 if request.param == "few" else -1)
        yield


def naive_order(n, listed, n_blocks):
    """Numbers of synapses sorted by source, block, delay and target, and the block of each."""
    edge = np.array([b * n // n_blocks for b in range(n_blocks + 1)])
    block = np.searchsorted(edge, listed.post, side="right") - 1
    return edge, block, np.lexsort((listed.post, listed.delay, block, listed.pre))


@usual
@given(drawn=synapses(), n_blocks=st.sampled_from([1, 2, 4, 8]))
def test_rows_are_those_of_a_naive_sort(way, drawn, n_blocks):
    n, m, listed = drawn
    packed, number = rows.pack(n, n + m, listed, n_blocks=n_blocks)
    edge, block, order = naive_order(n, listed, n_blocks)
    assert np.array_equal(number, order)
    assert np.array_equal(packed.edge, edge)
    sizes = np.bincount(listed.pre * n_blocks + block, minlength=(n + m) * n_blocks)
    assert np.array_equal(packed.start, np.concatenate([[0], np.cumsum(sizes)]))
    held = PackedSynapses._of(packed)
    for name in COLUMNS:
        assert np.array_equal(getattr(held, name), getattr(listed, name)[order]), name


@usual
@given(drawn=synapses())
def test_wiring_is_that_of_a_naive_sort(way, drawn):
    n, m, listed = drawn
    ports = [refsim.ExpPort(5.0)] * 6
    for given_ in (listed, listed.packed(n, m), PackedSynapses._of(packed_in_blocks(n, m, listed))):
        wiring = Network(n, given_, m, ports).wiring
        order = np.lexsort((given_.delay, given_.pre))
        assert np.array_equal(wiring.number, order)
        for name in COLUMNS[1:]:
            assert np.array_equal(getattr(wiring, name), getattr(given_, name)[order]), name
            assert getattr(wiring, name).itemsize == 8
        sizes = np.bincount(given_.pre, minlength=n + m)
        assert np.array_equal(np.diff(wiring.start), sizes)


def packed_in_blocks(n, m, listed):
    return rows.pack(n, n + m, listed, n_blocks=4)[0]


@usual
@given(drawn=synapses())
def test_packed_synapses_go_back_to_a_list_and_are_packed_again(way, drawn):
    n, m, listed = drawn
    packed = listed.packed(n, m)
    again = packed.unpacked().packed(n, m)
    assert (again.n_neurons, again.n_inputs, len(again)) == (n, m, len(listed))
    for name, array in packed.rows._asdict().items():
        assert np.array_equal(array, getattr(again.rows, name)), name
        assert array.dtype == getattr(again.rows, name).dtype, name


def dense(size, delay, port=0, sources=100, neurons=50):
    rng = np.random.default_rng(1)
    pre, post = rng.integers(0, sources, size), rng.integers(0, neurons, size)
    return Synapses(pre, post, rng.normal(size=size), delay, port).packed(
        neurons, sources - neurons
    )


SIZE = 20_000
BLOCKS = rows.blocks(100, SIZE)
OVERHEAD = 8 * (100 * BLOCKS + 1) + 8 * (BLOCKS + 1) + 8  # of start, edge and only_port
FORMS = {
    "one delay": (1.5, 0, 4 + 8, 1),
    "forty delays": (np.arange(SIZE) % 40 * 0.1, 0, 4 + 8 + 2, 40),
    "continuous delays": (np.random.default_rng(0).random(SIZE), 0, 4 + 8 + 8, 0),
    "two ports": (1.5, np.arange(SIZE) % 2, 4 + 8 + 2, 1),
}


@pytest.mark.parametrize(("delay", "port", "each", "n_delays"), FORMS.values(), ids=FORMS)
def test_bytes_of_a_synapse(delay, port, each, n_delays):
    packed = dense(SIZE, delay, port)
    assert packed.nbytes == each * SIZE + 8 * n_delays + OVERHEAD


def test_weights_of_float32_take_half():
    double, single = (dense(SIZE, 1.5).unpacked().packed(50, 50, kind) for kind in ("f8", "f4"))
    assert double.nbytes - single.nbytes == 4 * SIZE
    assert single.rows.weight.dtype == np.float32
    assert np.array_equal(single.weight, double.weight.astype(np.float32))
    assert single.weight.dtype == np.float64


@pytest.mark.parametrize(
    ("n_delays", "size", "expected"),
    [
        (74, 100, True),
        (75, 100, False),  # 75 * 8 + 100 * 2 is 100 * 8
        (2**16, 2**17, True),
        (2**16 + 1, 2**17, False),
    ],
)
def test_delays_are_grouped_while_that_is_smaller(n_delays, size, expected):
    values, code, bits = rows._delays(np.arange(size) % n_delays + 1.0)
    assert (len(values) == n_delays) == expected
    assert (len(code), len(bits)) == ((size, 0) if expected else (0, size))
    if expected:
        assert np.array_equal(values[code], np.arange(size) % n_delays + 1.0)


@pytest.mark.parametrize("unit", [1.0, 0.1, 2.0**-10, 1e-300, 1e9 / 7])
def test_a_table_of_delays_finds_all_of_them(unit):
    delay = np.random.default_rng(0).permutation(np.arange(4000) % 1000 * unit)
    packed = connect(np.zeros(4000, int), 0, delay=delay).packed(1)
    assert np.array_equal(packed.rows.delay, np.arange(1000) * unit)
    assert np.array_equal(packed.delay, np.sort(delay))


def test_a_long_row_is_sorted():
    """Rows longer than the runs that are sorted by insertion, at every number of merges."""
    rng = np.random.default_rng(0)
    for size in (15, 16, 17, 32, 33, 64, 65, 127, 1000, 5000):
        delay = rng.permutation(size) // 2 + 0.5
        post = rng.integers(0, 5, size)
        listed = connect(np.zeros(size, int), post, delay=delay)
        _, number = rows.pack(5, 5, listed, n_blocks=1)
        assert np.array_equal(number, np.lexsort((post, delay)))


@pytest.mark.parametrize("n_sources", [1, 10])
@pytest.mark.parametrize(("times", "count"), [(0, 1), (1, 1), (2, 2), (4, 4), (8, 8), (16, 8)])
def test_number_of_blocks(n_sources, times, count):
    """Rows keep a least length on average."""
    size = times * n_sources * rows._ROW
    assert rows.blocks(n_sources, size) == count
    assert times == 0 or rows.blocks(n_sources, size - 1) == {1: 1, 2: 1, 4: 2, 8: 4, 16: 8}[times]


def small():
    """A network of two ports that fires, whose synapses are in no order at all."""
    rng = np.random.default_rng(5)
    pairs = Synapses.concatenate(
        [
            refsim.random(6 + np.arange(4), 6, in_degree=3, rng=rng),
            refsim.random(6, 6, in_degree=3, rng=rng),
        ]
    )
    order = rng.permutation(len(pairs))
    pre, size = pairs.pre[order], len(pairs)
    listed = Synapses(
        pre,
        pairs.post[order],
        np.where(pre < 6, rng.uniform(-2.0, 1.0, size), rng.uniform(1.0, 4.0, size)),
        rng.choice([0.5, 1.0, 2.5], size),
        rng.integers(0, 2, size),
    )
    ports = [refsim.ExpPort(5.0), refsim.DoubleExpPort(1.0, 4.0)]
    return Network(6, listed, 4, ports, tau_m=10.0, t_ref=3.0)


def check_gradients_agree(network, packed, number, inputs, duration):
    """Check that a packed network has the spikes and, in its own order, the gradients."""
    run, pullback = adjoint.vjp(network, inputs, duration, engine=refsim.Events())
    other, packed_pullback = adjoint.vjp(packed, inputs, duration, engine=refsim.Events())
    assert np.array_equal(other.spikes.neuron, run.spikes.neuron)
    assert np.allclose(other.spikes.time, run.spikes.time, rtol=1e-12, atol=0.0)
    time_bar = np.linspace(1.0, 2.0, len(run.spikes.time))
    gradient, packed_gradient = pullback(time_bar), packed_pullback(time_bar)
    for name, values in gradient.items():
        expected = values[number] if name in ("weight", "delay") else values
        # Arrivals at one time, which the packed order may swap, differ by rounding.
        scale = 1e-9 * max(np.abs(expected).max(initial=0.0), 1e-300)
        assert np.allclose(getattr(packed_gradient, name), expected, rtol=1e-9, atol=scale), name
    return len(run.spikes.time)


@pytest.mark.parametrize("n_blocks", [1, 4])
def test_gradients_have_the_packed_order(n_blocks):
    network = small()
    made, number = rows.pack(6, 10, network.synapses, n_blocks=n_blocks)
    packed = network.replace(synapses=PackedSynapses._of(made))
    assert len(packed.rows[1]) == 0
    assert packed.rows[0] is made
    inputs = refsim.poisson_inputs(4, rate=150.0, duration=40.0, rng=1)
    assert check_gradients_agree(network, packed, number, inputs, 60.0) > 20


@pytest.mark.parametrize("delay", [1.0, np.repeat([1.0, 2.5, 1.25], 12), np.linspace(1.0, 3.0, 36)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_packed_network_is_simulated_by_windows(delay, kind):
    """One delay, groups, and a delay for each synapse; two ports."""
    network = small().replace(delay=delay)
    packed = network.replace(synapses=network.synapses.packed(6, 4, kind))
    network = network.replace(synapses=packed.synapses.unpacked())
    inputs = refsim.poisson_inputs(4, rate=150.0, duration=40.0, rng=1)
    event = refsim.simulate(network, inputs, 60.0, engine=refsim.Events())
    window = refsim.simulate(packed, inputs, 60.0, engine=refsim.Windows())
    assert np.allclose(window.spikes.time, event.spikes.time, rtol=1e-11, atol=0.0)
    assert packed.has_equal_delays == network.has_equal_delays == (np.ndim(delay) == 0)


@settings(deadline=None, max_examples=20)
@given(case=cases(max_neurons=4, max_spikes=40, min_spikes=1))
def test_a_case_of_packed_synapses_survives_a_file(case):
    from refsim.cases import from_dict, make_case, to_dict

    network = case.network
    packed = network.replace(synapses=network.synapses.packed(network.n_neurons, network.n_inputs))
    again = from_dict(to_dict(make_case("packed", packed, case.inputs, case.duration)))
    for name in COLUMNS:
        assert np.array_equal(getattr(again.network, name), getattr(packed, name)), name


def test_replacing_weights_and_ports_keeps_the_order():
    packed = small().replace(synapses=small().synapses.packed(6, 4, np.float32))
    other = packed.replace(weight=2.0 * packed.weight, port=0)
    assert other.synapses.rows.post is packed.synapses.rows.post
    assert other.synapses.rows.weight.dtype == np.float32
    assert np.array_equal(other.weight, 2.0 * packed.weight)
    assert other.port.tolist() == [0] * len(packed.synapses)
    assert other.replace(port=packed.port).port.tolist() == packed.port.tolist()


def test_replacing_delays_sorts_anew():
    packed = small().replace(synapses=small().synapses.packed(6, 4, np.float32))
    other = packed.replace(delay=5.0 - packed.delay, weight=packed.weight)
    assert isinstance(other.synapses, PackedSynapses)
    assert other.synapses.rows.weight.dtype == np.float32

    def all_of(network, delay):
        return sorted(zip(network.pre, network.post, network.weight, delay, strict=True))

    assert all_of(other, other.delay) == all_of(packed, 5.0 - packed.delay)
    assert np.all((np.diff(other.delay) >= 0.0) | (np.diff(other.pre) > 0))


def test_columns_and_copies_are_read_only():
    packed = dense(1000, np.arange(1000) % 3 + 1.0, np.arange(1000) % 2)
    pickled = pickle.loads(pickle.dumps(packed))
    for made in (packed, copy.copy(packed), copy.deepcopy(packed), pickled):
        assert isinstance(made.rows, Rows)
        for name in COLUMNS:
            column = getattr(made, name)
            assert np.array_equal(column, getattr(packed, name))
            with pytest.raises(ValueError, match="read-only"):
                column[:] = 0
        assert not any(array.flags.writeable for array in made.rows)
    with pytest.raises(AttributeError, match="cannot assign"):
        packed.rows = None
    network = Network(50, packed, 50, [refsim.ExpPort(1.0)] * 2)
    again = pickle.loads(pickle.dumps(network))
    assert np.array_equal(again.weight, network.weight)
    assert repr(packed).startswith("<PackedSynapses: 1000 synapses of 50 neurons and 50 inputs, ")
    assert "1000 synapses" in repr(network)


def test_rows_of_a_list_are_read_only_too():
    """Numba compiles kernels anew for arrays that can be written."""
    made, number = small().rows
    assert not any(array.flags.writeable for array in (*made, number))


def test_a_repeated_number_takes_no_memory():
    listed = Synapses(np.arange(1000), 0, 2.0, 1.5)
    assert [getattr(listed, name).strides for name in COLUMNS[1:]] == [(0,)] * 4
    assert len(pickle.dumps(listed)) < 9000
    joined = Synapses.concatenate([listed, listed])
    assert joined.delay.strides == (0,)
    assert Synapses.concatenate([listed, connect(1, 2, delay=1.0)]).delay.tolist()[-2:] == [
        1.5,
        1.0,
    ]
    for made in (pickle.loads(pickle.dumps(listed)), copy.deepcopy(listed)):
        for name in COLUMNS:
            assert np.array_equal(getattr(made, name), getattr(listed, name))
            assert not getattr(made, name).flags.writeable


def test_columns_of_int32_stay():
    pre = np.arange(5, dtype=np.int32)
    listed = Synapses(pre, [0, 1, 2, 3, 4], 1.0, 1.0)
    assert (listed.pre.dtype, listed.post.dtype) == (np.int32, np.int64)
    assert not np.shares_memory(listed.pre, pre)


V, T = InvalidValueError, InvalidTypeError
TWO = connect([0, 1], [1, 2], weight=[1.0, 1e39])
BAD = {
    "neurons": (lambda: TWO.packed(0), V, "n_neurons is 0; expected an integer in [1,"),
    "neurons fractional": (lambda: TWO.packed(2.0), T, "n_neurons is 2.0; expected"),
    "inputs": (lambda: TWO.packed(3, -1), V, "n_inputs is -1; expected an integer in [0,"),
    "target": (lambda: TWO.packed(2), V, "post[1] is 2; expected an index from 0 to 1"),
    "source": (lambda: connect([0, 3], 0).packed(2, 1), V, "pre[1] is 3; expected a source from 0"),
    "channels": (
        lambda: connect([0, 4], 0).packed(2),
        V,
        "their number has to be given as n_inputs: at least 3",
    ),
    "integers": (
        lambda: TWO.packed(3, 0, np.int32),
        T,
        "weight_dtype is <class 'numpy.int32'>; ex",
    ),
    "half": (lambda: TWO.packed(3, 0, "float16"), T, "weight_dtype is 'float16'; expected float32"),
    "no type": (lambda: TWO.packed(3, 0, None), T, "weight_dtype is None; expected float32 or"),
    "text": (lambda: TWO.packed(3, 0, "wide"), T, "weight_dtype is 'wide'; expected float32 or"),
    "overflow": (
        lambda: TWO.packed(3, 0, np.float32),
        V,
        "weight[1] is 9.9999999999999994e+38; exp",
    ),
    "port": (lambda: connect(0, 0, port=2**16).packed(1), V, "port[0] is 65536; expected an index"),
    "by hand": (
        lambda: PackedSynapses(None),
        T,
        "cannot be made directly; expected Synapses.packed",
    ),
    "too many sources": (
        lambda: connect(0, 0).packed(2**31 - 1, 2**31 - 1),
        V,
        "number of neurons and inputs is 4294967294; expected",
    ),
    "other neurons": (
        lambda: Network(4, TWO.packed(3)),
        V,
        "packed for 3 neurons and 0 inputs; expected 4 and 0, as in the network",
    ),
    "other inputs": (lambda: Network(3, TWO.packed(3), 1), V, "packed for 3 neurons and 0 inputs"),
    "port of a network": (
        lambda: Network(3, connect(0, 1, port=1).packed(3)),
        V,
        "port[0] is 1; expected an index from 0 to 0",
    ),
    "joined": (
        lambda: Network(3, [TWO.packed(3), TWO]),
        T,
        "synapses holds a PackedSynapses; expected Synapses",
    ),
    "rows": (
        lambda: Network(3, TWO.packed(3).rows),
        T,
        "synapses holds a ndarray; expected Synapses",
    ),
    "weight": (
        lambda: Network(3, connect(0, 1).packed(3, 0, np.float32)).replace(weight=-1e39),
        V,
        "weight[0] is -9.9999999999999994e+38; expected at most 3.40282347e+38 either way",
    ),
    "weights": (
        lambda: Network(3, TWO.packed(3)).replace(weight=[1.0]),
        V,
        "weight has shape (1,); expected (2,)",
    ),
    "delay": (lambda: Network(3, TWO.packed(3)).replace(delay=-1.0), V, "delay is -1.0; expected"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_too_many_synapses_are_refused():
    """A list that only claims to be long: no array is made."""

    class Long:
        pre = np.broadcast_to(np.int32(0), 2**31)
        post = weight = delay = port = pre

    with pytest.raises(
        InvalidValueError, match="number of synapses is 2147483648; expected an int"
    ):
        rows.wire(1, 1, Long)
    with pytest.raises(
        InvalidValueError, match="number of synapses is 2147483648; expected an int"
    ):
        rows.pack(1, 1, Long)


@pytest.mark.parametrize("autapses", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 7, 18])
def test_a_fixed_in_degree_has_different_sources(degree, autapses):
    sources = np.arange(3, 22)
    made = refsim.random(sources, 30, in_degree=degree, autapses=autapses, rng=4)
    assert np.array_equal(made.post, np.repeat(np.arange(30), degree))
    for target, chosen in enumerate(made.pre.reshape(30, degree)):
        assert len(set(chosen)) == degree
        assert set(chosen) <= set(sources)
        assert autapses or target not in chosen


def test_every_source_is_as_likely_at_every_place():
    """Counts of sources, where each target may not have itself, within five deviations."""
    made = refsim.random(8, 8, in_degree=3, rng=0)
    counts = np.zeros((8, 8))
    rng = np.random.default_rng(0)
    repeats = 400
    for _ in range(repeats):
        made = refsim.random(8, 8, in_degree=3, rng=rng)
        np.add.at(counts, (made.post, made.pre), 1)
    share = 3 / 7
    deviation = np.sqrt(repeats * share * (1.0 - share))
    off = ~np.eye(8, dtype=bool)
    assert np.all(counts[~off] == 0)
    assert np.abs(counts[off] - repeats * share).max() < 5.0 * deviation


@pytest.mark.parametrize("autapses", [False, True])
@pytest.mark.parametrize("share", [0.0, 1e-300, 0.03, 0.5, 1.0])
def test_pairs_are_chosen_with_their_probability(share, autapses):
    made = refsim.random(60, 50, probability=share, autapses=autapses, rng=1)
    numbers = made.post.astype(np.int64) * 60 + made.pre
    assert np.all(np.diff(numbers) > 0)
    assert autapses or np.all(made.pre != made.post)
    pairs = 3000 if autapses else 2950
    deviation = np.sqrt(pairs * share * (1.0 - share))
    assert abs(len(made) - pairs * share) <= 5.0 * deviation


def test_random_synapses_of_many_portions():
    """Targets and pairs beyond one portion of random numbers."""
    made = refsim.random(10, 40_000, in_degree=9, autapses=True, rng=1)
    assert np.array_equal(np.bincount(made.post), np.full(40_000, 9))
    made = refsim.random(1000, 600, probability=0.5, autapses=True, rng=1)
    assert abs(len(made) - 300_000) < 5.0 * np.sqrt(150_000)
    assert np.all(np.diff(made.post.astype(np.int64) * 1000 + made.pre) > 0)


def test_sources_given_twice_are_two():
    made = refsim.random([3, 3, 5, 7], [3, 5], in_degree=2, rng=1)
    assert sorted(made.pre[made.post == 3].tolist()) == [5, 7]
    with pytest.raises(
        InvalidValueError, match=re.escape("in_degree is 3; expected an integer in")
    ):
        refsim.random([3, 3, 5, 7], [3, 5], in_degree=3, rng=0)


def test_few_sources_are_picked_as_many_are(monkeypatch):
    """The former in plain Python, the latter by a kernel."""
    made = [refsim.random(9, 9, in_degree=4, rng=5)]
    monkeypatch.setattr(sampling, "_FEW", -1)
    made.append(refsim.random(9, 9, in_degree=4, rng=5))
    assert np.array_equal(made[0].pre, made[1].pre)


def test_what_is_drawn_without_a_source_differs_each_time():
    drawn = [refsim.random(30, 30, probability=0.5) for _ in range(2)]
    assert drawn[0].pre.tolist() != drawn[1].pre.tolist()
    trains = [refsim.poisson_inputs(3, 100.0, 100.0) for _ in range(2)]
    assert trains[0].times.tolist() != trains[1].times.tolist()
    again = [refsim.poisson_inputs(3, 100.0, 100.0, rng=np.random.default_rng(4)) for _ in range(2)]
    assert again[0].times.tolist() == again[1].times.tolist()
    assert again[0].times.tolist() == refsim.poisson_inputs(3, 100.0, 100.0, 4).times.tolist()
