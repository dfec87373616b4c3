"""What one thread of a kernel of CUDA owns: its column of the arrays of all threads."""

from __future__ import annotations

from adjoint.batch.loop import BackCursor
from adjoint.events.bars import bars_in
from adjoint.events.loop import Pending, ReverseWork
from queues.compiled.jit import inner_kernel
from queues.types import HeapOrRingArrays, IndexedHeapArrays
from refsim.batch.loop import Cursor
from refsim.events.loop import Counts, Margins, Work
from refsim.models.lif.adjoint import AdjointState
from refsim.types import Scratch, State, StateTangent, Tape


@inner_kernel
def cursor(cursors, i, b):
    """Return the cursor of thread ``b``, at sample ``i`` alone."""
    own = Cursor(
        sample=cursors.sample[:, b],
        stop=cursors.stop[:, b],
        begun=cursors.begun[:, b],
        spikes=cursors.spikes[:, b],
        emitted=cursors.emitted[:, b],
    )
    own.sample[0] = i
    own.stop[0] = i + 1
    own.begun[0] = 0
    own.spikes[0] = 0
    own.emitted[0] = 0
    return own


@inner_kernel
def back_cursor(cursors, i, b):
    """Return the cursor backwards of thread ``b``, at sample ``i`` alone."""
    own = BackCursor(
        sample=cursors.sample[:, b],
        stop=cursors.stop[:, b],
        begun=cursors.begun[:, b],
    )
    own.sample[0] = i
    own.stop[0] = i + 1
    own.begun[0] = 0
    return own


@inner_kernel
def pending(last, b):
    """Return the room of thread ``b`` for the last arrival of each emission."""
    return Pending(time=last.time[:, b], order=last.order[:, b], synapse=last.synapse[:, b])


@inner_kernel
def _state(state, b):
    return State(
        time=state.time[:, b],
        v=state.v[:, b],
        current=state.current[:, :, b],
        release=state.release[:, b],
        last_spike=state.last_spike[:, b],
        last_emission=state.last_emission[:, b],
        last_arrival=state.last_arrival[:, b],
        last_bend=state.last_bend[:, b],
        last_sample=state.last_sample[:, b],
    )


@inner_kernel
def _tape(tape, b):
    return Tape(
        time=tape.time[:, b],
        neuron=tape.neuron[:, b],
        slope_before=tape.slope_before[:, b],
        slope_after=tape.slope_after[:, b],
        tangent=tape.tangent[:, b],
    )


@inner_kernel
def _counts(counts, b):
    return Counts(
        spikes=counts.spikes[:, b],
        emitted=counts.emitted[:, b],
        inputs=counts.inputs[:, b],
        samples=counts.samples[:, b],
        arrivals=counts.arrivals[:, b],
        searches=counts.searches[:, b],
    )


@inner_kernel
def _scratch(scratch, b):
    return Scratch(
        current=scratch.current[:, b],
        current_tangent=scratch.current_tangent[:, b],
        roots=scratch.roots[:, b],
        roots_next=scratch.roots_next[:, b],
    )


@inner_kernel
def work(rows, b):
    """Return what thread ``b`` of a forward pass changes."""
    state = _state(rows.state, b)
    crossings = rows.crossings
    return Work(
        state=state,
        state_dot=StateTangent(v=state.v, current=state.current, release=state.release),
        crossings=IndexedHeapArrays(
            time=crossings.time[:, b],
            item=crossings.item[:, b],
            position=crossings.position[:, b],
            size=crossings.size[:, b],
        ),
        is_exact=rows.is_exact[:, b],
        tape=_tape(rows.tape, b),
        origin=rows.origin[:, b],
        counts=_counts(rows.counts, b),
        margins=Margins(
            gap=rows.margins.gap[:, b],
            release_gap=rows.margins.release_gap[:, b],
            sample_gap=rows.margins.sample_gap[:, b],
        ),
        scratch=_scratch(rows.scratch, b),
    )


@inner_kernel
def queue(queue, kind, b):
    """Return the queue of thread ``b``, which takes arrivals as ``kind`` says."""
    own = HeapOrRingArrays(
        time=queue.time[:, b],
        order=queue.order[:, b],
        payload=queue.payload[:, b],
        tangent=queue.tangent[:, b],
        head=queue.head[:, b],
        kind=queue.kind[:, b],
        size=queue.size[:, b],
    )
    own.kind[0] = kind
    return own


@inner_kernel
def _adjoint(adj, b):
    return AdjointState(
        time=adj.time[:, b],
        v=adj.v[:, b],
        x=adj.x[:, :, b],
        rate_v=adj.rate_v[:, b],
        rate_x=adj.rate_x[:, :, b],
        own=adj.own[:, :, b],
        cross=adj.cross[:, :, b],
        after=adj.after[:, b],
        held=adj.held[:, b],
        spike=adj.spike[:, b],
    )


_bars_in = inner_kernel(bars_in)


@inner_kernel
def reverse_work(given, rows, bars, flat, b):
    """Return what thread ``b`` of a backward pass changes; its gradient is ``flat``."""
    model = given.model
    sizes = given.wiring.weight.shape[0], model.neurons.rate.shape[0], model.ports.rate.shape[0]
    wiring_bar, model_bar = _bars_in(flat, sizes[0], sizes[1], sizes[2])
    return ReverseWork(
        adjoint=_adjoint(rows.adjoint, b),
        model_bar=model_bar,
        wiring_bar=wiring_bar,
        spike_bar=bars.spike,
        input_bar=bars.input,
        spikes=rows.spikes[:, b],
        samples=rows.samples[:, b],
        pending=rows.pending[:, b],
    )
