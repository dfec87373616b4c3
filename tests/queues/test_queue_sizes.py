"""Sizes that no memory has are refused before they overflow, and arrays are what they seem."""

import numpy as np
import pytest

import adjoint
import queues
import refsim
from queues.study.streams import Streams, run_streams

HUGE = (2**41, 2**61, 2**62 + 1)


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize(
    "make",
    [
        queues.BinaryHeap,
        queues.FIFO,
        queues.SortedArray,
        queues.CalendarQueue,
        queues.PairingHeap,
        queues.BoundedFifo,
        queues.LossyRing,
        lambda n: queues.Batch("single_spike", n),
        lambda n: queues.Batch("bounded_fifo", 1, n),
        lambda n: queues.Keep(n),
    ],
)
def test_huge_sizes_are_refused(make, size):
    with pytest.raises(queues.QueueError, match=f"{size}; expected at most"):
        make(size)


def test_products_of_sizes_are_refused():
    with pytest.raises(queues.QueueError, match="for 1048576 queues; expected at most"):
        queues.Batch("bounded_fifo", 2**20, 2**39)
    network = refsim.Network(1, refsim.connect([1, 1], [0, 0], 1.0, 1.0), n_inputs=1)
    with pytest.raises(refsim.InvalidValueError, match="rows in all"):
        refsim.simulate(
            network, None, 1.0, engine=refsim.Events(refsim.Lossy("bounded_fifo", 2**40))
        )
    with pytest.raises(refsim.InvalidValueError, match="structure is 'heap'"):
        refsim.Lossy("heap")
    for capacity in (True, 1.0, np.array([1, 1])):
        with pytest.raises((refsim.InvalidTypeError, refsim.InvalidValueError), match="capacity"):
            refsim.Lossy("single_spike", capacity)


def test_a_ring_of_too_many_slots_is_refused():
    far = Streams([0, 1], [0], [2**50])
    with pytest.raises(queues.QueueError, match="steps ahead"):
        run_streams("ring_buffer", far, 9)
    with pytest.raises(queues.QueueTypeError, match="structure is a NoneType"):
        run_streams(None, far, 9)


def test_streams_keep_their_own_arrays():
    pushed = np.array([0, 1])
    streams = Streams(np.array([0, 2]), pushed, np.array([3, 4]))
    pushed[:] = 99
    assert streams.pushed.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        streams.pushed[0] = 5


def test_a_batch_refuses_what_it_would_change():
    batch = queues.Batch("single_spike", 2)
    with pytest.raises(queues.QueueError, match="64 bits"):
        batch.push([0], [1.0], np.array([2**64 - 1], np.uint64))
    with pytest.raises(queues.QueueTypeError, match="masked"):
        batch.push([0, 1], np.ma.masked_array([1.0, 2.0], [True, False]))
    assert batch.sizes.sum() == 0


def test_a_forward_derivative_names_its_engine():
    network = refsim.Network(1, refsim.connect(1, 0, 1.0, 1.0), n_inputs=1)
    run, _ = adjoint.jvp(network, None, 1.0, {"i_ext": 1.0}, engine=refsim.Events())
    assert run.engine == "events"
    run, _ = adjoint.jvp(network, None, 1.0, {"i_ext": 1.0}, engine=refsim.Windows())
    assert run.engine == "windows"


def test_an_exact_queue_is_told_from_a_bounded_one():
    network = refsim.Network(2, refsim.connect([2, 2], [0, 1], 1.0, [1.0, 2.0]), n_inputs=1)
    with pytest.raises(refsim.InvalidValueError, match=r"expected refsim.Lossy\('single_spike'"):
        refsim.simulate(network, None, 1.0, engine=refsim.Events("single_spike"))
    with pytest.raises(refsim.InvalidValueError, match="adjoint_queue is 'fifo'"):
        adjoint.vjp(network, None, 1.0, adjoint_queue="fifo")
