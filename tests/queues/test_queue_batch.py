"""A batch of queues is that many queues of Python, pushed and polled one by one."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from test_streams import PYTHON, SINGLE

import queues
from queues import Batch
from queues.bounded.dispatch import BOUNDED, OF_STEPS

N = 3
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 12)), max_size=8),
        st.integers(1, 4),
    ),
    max_size=12,
)


def make(structure, capacity):
    if structure in SINGLE:
        return Batch(structure, N), [PYTHON[structure](tangent=True) for _ in range(N)]
    if structure == "bit_array":
        return Batch(structure, N, 32), [queues.BitArray(32) for _ in range(N)]
    kind = {"bounded_fifo": lambda c, tangent: queues.BoundedFifo(c, False, tangent=tangent)}
    one = kind.get(structure, PYTHON[structure])
    return Batch(structure, N, capacity), [one(capacity, tangent=True) for _ in range(N)]


@pytest.mark.parametrize("structure", BOUNDED)
@settings(deadline=None, max_examples=80)
@given(rounds=ROUNDS, capacity=st.integers(1, 4), fraction=st.sampled_from([0.0, 0.5]))
def test_a_batch_is_many_queues(structure, rounds, capacity, fraction):
    batch, alone = make(structure, capacity)
    offset = 0.0 if structure in OF_STEPS else fraction
    order_of = [{} for _ in range(N)]  # order in the batch, by queue and order there
    pushes, now = 0, 0
    for pushed, step in rounds:
        where = [q for q, _ in pushed]
        times = [now + lead + offset for _, lead in pushed]
        keeps = structure != "bit_array"
        payload = np.arange(pushes, pushes + len(pushed)) * keeps
        tangent = 0.5 * payload
        before = batch.dropped
        lost = batch.push(where, times, payload, tangent)
        assert lost.shape == (len(pushed),)
        for q, time, p, d in zip(where, times, payload.tolist(), tangent.tolist(), strict=True):
            order_of[q][alone[q].push(time, p, d)] = pushes
            pushes += 1
        assert (batch.dropped - before).sum() == np.count_nonzero(lost >= 0)
        assert batch.dropped.tolist() == [queue.dropped for queue in alone]
        now += step
        found = batch.pop_due(now)
        expected = [(q, entry) for q in range(N) if (entry := alone[q].pop_due(now)) is not None]
        assert found.queue.tolist() == [q for q, _ in expected]
        assert found.time.tolist() == [entry.time for _, entry in expected]
        assert found.payload.tolist() == [entry.payload for _, entry in expected]
        assert found.tangent.tolist() == [entry.tangent for _, entry in expected]
        orders = [order_of[q][e.order] if e.order >= 0 else -1 for q, e in expected]
        assert found.order.tolist() == orders
        assert batch.sizes.tolist() == [len(queue) for queue in alone]
    dropped = batch.dropped
    batch.clear()
    assert batch.sizes.tolist() == [0] * N
    assert np.array_equal(batch.dropped, dropped)


def test_wrong_arguments():
    batch = Batch("bounded_fifo", 4, 2)
    bits = Batch("bit_array", 4, 32)
    for call, words in [
        (lambda: Batch("heap", 4), "structure = 'heap'"),
        (lambda: Batch("single_spike", 0), "n = 0"),
        (lambda: Batch("bounded_fifo", 4), "capacity is missing"),
        (lambda: Batch("bit_array", 4, 16), "capacity = 16"),
        (lambda: batch.push([4], [1.0]), "queue has numbers outside 0 to 3"),
        (lambda: batch.push([-1], [1.0]), "queue has numbers outside"),
        (lambda: batch.push([0.5], [1.0]), "queue has dtype float64"),
        (lambda: batch.push(0, 1.0), r"queue has shape \(\)"),
        (lambda: batch.push([0, 1], [1.0]), r"time has shape \(1,\)"),
        (lambda: batch.push([0], [np.nan]), "time has nan or inf"),
        (lambda: batch.push([0], ["1"]), "time has dtype"),
        (lambda: batch.push([0], [1.0], [0.5]), "payload has dtype"),
        (lambda: batch.push([0], [1.0], 0, [np.inf]), "tangent has nan or inf"),
        (lambda: batch.pop_due(np.nan), "now = nan"),
        (lambda: bits.push([0], [0.5]), r"time\[0\] = .*whole number"),
        (lambda: bits.push([0, 1], [3, 32]), r"time\[1\] = .*0 to 31"),
        (lambda: bits.push([0], [3], 1), "a bit keeps neither"),
        (lambda: bits.pop_due(0.5), "now = 0.5"),
    ]:
        with pytest.raises(queues.QueueError, match=words):
            call()
    assert batch.sizes.sum() == bits.sizes.sum() == 0
