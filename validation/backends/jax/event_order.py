"""The order of events: the first of the two passes of the event-driven JAX back end.

One event after the other, in order of time; at equal times crossings (by neuron), ends of
refractoriness, input spikes, arrivals (by emission of the spike, then by synapse), samples. What a
synapse has under way is a queue of emissions of its source, of which it keeps the first; each
emission knows the next of its source. So nothing is dropped as long as emissions have room, and
when there is no room left the pass says that it is not complete.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.event_flow import (
    Membrane,
    Ports,
    State,
    flow,
    membrane_of,
    ports_of,
    received,
)
from validation.backends.jax.event_search import first_crossing
from validation.backends.jax.event_structure import Structure
from validation.backends.jax.layout import Parameters
from validation.backends.jax.setup import jax, jnp

Array = Any

SPIKE, RELEASE, INPUT, ARRIVAL, SAMPLE, NOTHING = range(6)
_NONE = -1


class Log(NamedTuple):
    """Events in their order, without input spikes; what is beyond their number is NOTHING."""

    kind: Array  # (E,)
    neuron: Array  # (E,)
    emission: Array  # (E,) which spike it is, or comes from: input spikes, then those of neurons
    item: Array  # (E,) synapse of an arrival, number of a sample
    time: Array  # (E,) ms
    n_events: Array  # ()
    n_spikes: Array  # ()
    is_complete: Array  # () whether all events up to the duration are here


class _Queues(NamedTuple):
    """Spikes under way."""

    time: Array  # (M,) ms, of emissions: room for all input spikes, then for those of neurons
    order: Array  # (M,) how many emissions came before
    following: Array  # (M,) next emission of the same source, or _NONE
    last: Array  # (n + channels,) last emission of each source, or the dummy M - 1
    pending: Array  # (S,) the first emission that has not arrived yet, or _NONE
    arrival: Array  # (S,) ms, when it arrives; inf for none
    emitted: Array  # () how many emissions there were


class _Run(NamedTuple):
    """What changes from event to event."""

    state: State  # (n,)
    since: Array  # (n,) ms, the time of the state
    release: Array  # (n,) ms, end of refractoriness; inf for a free neuron
    crossing: Array  # (n,) ms, next crossing; inf for none
    spike: Array  # (n,) emission of the last spike
    queues: _Queues
    n_inputs: Array  # () input spikes so far
    n_samples: Array  # ()
    log: Log


class _Event(NamedTuple):
    """The next event."""

    time: Array
    kind: Array
    neuron: Array  # whose state it concerns, -1 for none
    synapse: Array  # of an arrival


class _Given(NamedTuple):
    """What does not change."""

    parameters: Parameters
    structure: Structure
    membrane: Membrane
    ports: Ports


def event_log(parameters: Parameters, structure: Structure) -> Log:
    """Return the events of a network in their order; not to be differentiated."""
    given = _Given(parameters, structure, membrane_of(parameters), ports_of(parameters, structure))

    def goes_on(run: _Run) -> Array:
        room = (run.log.n_events < structure.events.shape[0]) & (
            run.log.n_spikes < structure.spikes.shape[0]
        )
        return room & (_next_event(given, run).time <= structure.duration)

    last = jax.lax.while_loop(goes_on, lambda run: _after_event(given, run), _start(given))
    is_complete = _next_event(given, last).time > structure.duration
    return last.log._replace(is_complete=is_complete)


def _start(given: _Given) -> _Run:
    """Return the run at time 0; neurons are released then, so that crossings are looked for."""
    parameters, structure = given.parameters, given.structure
    n, n_ports = parameters.v0.shape[0], parameters.tau.shape[0]
    n_events, n_sources = structure.events.shape[0], n + parameters.input_times.shape[0]
    zeros = jnp.zeros((n, n_ports))
    state = State(jnp.asarray(parameters.v0), zeros, zeros)
    never = jnp.full(n, jnp.inf)
    at_once = jnp.zeros(n)
    none = jnp.full(n_events, _NONE)
    log = Log(
        kind=jnp.full(n_events, NOTHING),
        neuron=none,
        emission=none,
        item=none,
        time=jnp.zeros(n_events),
        n_events=jnp.int64(0),
        n_spikes=jnp.int64(0),
        is_complete=jnp.array(False),
    )
    queues = _no_spikes(parameters, structure, n_sources)
    spike = jnp.full(n, _NONE)
    zero = jnp.int64(0)
    return _Run(state, at_once, at_once, never, spike, queues, zero, zero, log)


def _no_spikes(parameters: Parameters, structure: Structure, n_sources: int) -> _Queues:
    room = parameters.input_times.shape[0] + structure.spikes.shape[0] + 1
    n_synapses = parameters.weight.shape[0]
    return _Queues(
        time=jnp.zeros(room),
        order=jnp.zeros(room, dtype=jnp.int64),
        following=jnp.full(room, _NONE),
        last=jnp.full(n_sources, room - 1),
        pending=jnp.full(n_synapses, _NONE),
        arrival=jnp.full(n_synapses, jnp.inf),
        emitted=jnp.int64(0),
    )


def _element(values: Array, i: Array) -> Array:
    """Return values[i], inf beyond the end."""
    return jnp.where(i < values.shape[0], values[jnp.minimum(i, values.shape[0] - 1)], jnp.inf)


def _next_event(given: _Given, run: _Run) -> _Event:
    queues = run.queues
    first = jnp.min(queues.arrival)
    orders = jnp.where(queues.arrival == first, queues.order[queues.pending], jnp.iinfo(int).max)
    synapse = jnp.argmin(orders)
    spiking, released = jnp.argmin(run.crossing), jnp.argmin(run.release)
    times = jnp.stack(
        [
            run.crossing[spiking],
            run.release[released],
            _element(given.parameters.input_times, run.n_inputs),
            first,
            _element(given.structure.sample_time, run.n_samples),
        ]
    )
    kind = jnp.argmin(times)  # the first of equal ones
    neurons = jnp.stack([spiking, released, _NONE, given.structure.synapses.post[synapse], _NONE])
    return _Event(times[kind], kind, neurons[kind], synapse)


def _after_event(given: _Given, run: _Run) -> _Run:
    event = _next_event(given, run)
    run = _logged(given, run, event)
    n = event.neuron
    own = _own_state(given, run, event)
    is_spike = event.kind == SPIKE
    due = event.time + given.parameters.t_ref[n]
    release = jnp.where(is_spike, due, run.release[n])
    release = jnp.where(event.kind == RELEASE, jnp.inf, release)
    crossing = jax.lax.cond(
        (n >= 0) & (release == jnp.inf),
        lambda: first_crossing(
            given.membrane.of(n), given.ports, own, event.time, given.structure.duration
        ),
        lambda: jnp.array(jnp.inf),
    )
    # A crossing that an arrival causes comes after it.
    crossing = jnp.maximum(crossing, jnp.nextafter(event.time, jnp.inf))
    emission = given.parameters.input_times.shape[0] + run.log.n_spikes - 1
    return run._replace(
        state=State(*(z.at[n].set(new) for z, new in zip(run.state, own, strict=True))),
        since=run.since.at[n].set(event.time),
        release=run.release.at[n].set(release),
        crossing=run.crossing.at[n].set(jnp.where(n >= 0, crossing, jnp.inf)),
        spike=run.spike.at[n].set(jnp.where(is_spike, emission, run.spike[n])),
        queues=_moved(given, run, event),
        n_inputs=run.n_inputs + (event.kind == INPUT),
        n_samples=run.n_samples + (event.kind == SAMPLE),
    )


def _own_state(given: _Given, run: _Run, event: _Event) -> State:
    """Return the state of the neuron of an event, after the event."""
    n = event.neuron
    before = State(*(column[n] for column in run.state))
    own = flow(given.membrane.of(n), given.ports, before, event.time - run.since[n])
    is_held = (run.release[n] < jnp.inf) | (event.kind == SPIKE)
    begins = _begins(run, event)
    held_at = jnp.where(begins, given.parameters.v0[n], given.membrane.v_reset[n])
    own = own._replace(v=jnp.where(is_held, held_at, own.v))
    synapse = event.synapse
    port = given.structure.synapses.port[synapse]
    weight = jnp.where(event.kind == ARRIVAL, given.parameters.weight[synapse], 0.0)
    return received(own, port, given.structure.synapses.is_cascade[port], weight)


def _begins(run: _Run, event: _Event) -> Array:
    """Return whether an event is the release of a neuron at time 0."""
    return (event.kind == RELEASE) & (run.spike[event.neuron] == _NONE)


def _logged(given: _Given, run: _Run, event: _Event) -> _Run:
    """Write an event to the log, unless it is an input spike or the beginning of a neuron."""
    log = run.log
    is_known = (event.kind == INPUT) | _begins(run, event)
    row = jnp.where(is_known, log.kind.shape[0], log.n_events)  # beyond is nowhere
    spike = given.parameters.input_times.shape[0] + log.n_spikes
    emissions = jnp.stack(
        [spike, run.spike[event.neuron], run.n_inputs, run.queues.pending[event.synapse], _NONE]
    )
    is_sample = event.kind == SAMPLE
    neuron = jnp.where(is_sample, given.structure.sample_neuron[run.n_samples], event.neuron)
    item = jnp.where(is_sample, run.n_samples, event.synapse)
    return run._replace(
        log=log._replace(
            kind=log.kind.at[row].set(event.kind),
            neuron=log.neuron.at[row].set(neuron),
            emission=log.emission.at[row].set(emissions[event.kind]),
            item=log.item.at[row].set(item),
            time=log.time.at[row].set(event.time),
            n_events=log.n_events + ~is_known,
            n_spikes=log.n_spikes + (event.kind == SPIKE),
        )
    )


def _moved(given: _Given, run: _Run, event: _Event) -> _Queues:
    """Return the queues after an event that may put in a spike, or take one out."""
    queues = _delivered(given, run.queues, event)
    emits = (event.kind == SPIKE) | (event.kind == INPUT)
    given_source = given.structure.input_source[run.n_inputs]
    source = jnp.where(event.kind == SPIKE, event.neuron, given_source)
    spike = given.parameters.input_times.shape[0] + run.log.n_spikes - 1
    dummy = queues.time.shape[0] - 1
    emission = jnp.where(emits, jnp.where(event.kind == SPIKE, spike, run.n_inputs), dummy)
    waiting = emits & (given.structure.synapses.pre == source) & (queues.pending == _NONE)
    arrival = event.time + given.parameters.delay
    before = jnp.where(emits, queues.last[source], dummy)
    return queues._replace(
        time=queues.time.at[emission].set(event.time),
        order=queues.order.at[emission].set(queues.emitted),
        following=queues.following.at[before].set(emission),
        last=queues.last.at[source].set(jnp.where(emits, emission, queues.last[source])),
        pending=jnp.where(waiting, emission, queues.pending),
        arrival=jnp.where(waiting, arrival, queues.arrival),
        emitted=queues.emitted + emits,
    )


def _delivered(given: _Given, queues: _Queues, event: _Event) -> _Queues:
    """Let a synapse turn to the next emission of its source once one has arrived."""
    s = event.synapse
    now = queues.pending[s]
    following = jnp.where(event.kind == ARRIVAL, queues.following[now], now)
    due = jnp.where(following == _NONE, jnp.inf, queues.time[following] + given.parameters.delay[s])
    return queues._replace(
        pending=queues.pending.at[s].set(following), arrival=queues.arrival.at[s].set(due)
    )
