"""From a finished simulation to the arrays of the tangent pass by windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adjoint.layout import model_tangent
from adjoint.types import Parameters
from adjoint.windows.forward.loop import run_tangents
from adjoint.windows.forward.types import (
    COUNTS,
    PROGRESS,
    Departures,
    Direction,
    TangentWork,
    WindowForward,
)
from adjoint.windows.responses import window_tables
from adjoint.windows.run import WindowPass
from adjoint.windows.section import Before, Section, most_together, room_of_pieces, section_of
from adjoint.windows.types import aligned_zeros, room_for_chunk, room_for_found, room_for_pieces
from queues.compiled.barrier import claims
from refsim.network.network import Network
from refsim.network.voltages import start_of
from refsim.question import Question
from refsim.results.result import Spikes
from refsim.status import DONE, RUNNING
from refsim.threads import Crew
from refsim.types import Float
from refsim.windows.types import cleared

_SHARE = 2_000_000  # arrivals of a thread between two looks at the keyboard


def window_tangents(
    question: Question,
    spikes: Spikes,
    direction: Parameters,
    windows: WindowPass | None = None,
) -> tuple[Float, Float]:
    """Return the tangents of spikes and of samples, in the orders of the result.

    Parameters
    ----------
    question, spikes : Question, Spikes
        Of a simulation that is done.
    direction : Parameters
        Tangents of all parameters.
    windows : WindowPass, optional
        Another division into windows and blocks, which gives the same to rounding.
    """
    windows = windows or WindowPass(question)
    network = question.network
    whole = (0, windows.windows.total)
    section = section_of(
        question, windows.windows, windows.rows.edge, whole, spikes.part(slice(None)), Before()
    )
    with_rates = bool(np.any(direction.tau_m) or np.any(direction.tau))
    tables = window_tables(network.model, windows.windows.length, with_rates)
    problem = WindowForward(
        neurons=network.model.neurons,
        direction=_in_rows(network, direction, windows.number),
        windows=windows.windows,
        rows=windows.rows,
        tables=tables,
        emissions=section.emissions,
        own=section.own,
        slopes=section.slopes,
    )
    work = _begun(windows, problem, section, direction)
    status = RUNNING
    with Crew(min(question.threads, len(windows.rows.edge) - 1)) as crew:
        arguments = (problem, work, np.int64(_SHARE * crew.size))
        while status != DONE:
            status = crew.run(run_tangents, arguments)
    voltage = np.zeros(len(question.samples))
    voltage[question.sample_order] = work.sample_dot
    return work.spike_dot, voltage


def _in_rows(network: Network, direction: Parameters, number: NDArray[np.int32]) -> Direction:
    """Return a direction in the layout of the kernels."""
    dot = model_tangent(network, direction)
    ports = network.model.ports
    gain = np.zeros(len(ports.rate))
    is_cascade = ports.order == 2
    gain[ports.first[is_cascade]] = (dot.ports.gain / np.where(is_cascade, ports.gain, 1.0))[
        is_cascade
    ]
    weight, delay = direction.weight, direction.delay
    if len(number):  # packed synapses are in the order of rows
        weight, delay = weight[number], delay[number]
    return Direction(dot.neurons, dot.ports.rate, gain, weight, delay)


def _begun(
    windows: WindowPass, problem: WindowForward, section: Section, direction: Parameters
) -> TangentWork:
    """Return the tangents at time 0."""
    question, network = windows.question, windows.question.network
    n, n_blocks = network.n_neurons, len(windows.rows.edge) - 1
    n_states, n_responses = len(problem.tables.gain), problem.tables.over.shape[3]
    width = (1 + n_states) * (2 if problem.tables.with_rates else 1)
    counts, now = cleared(COUNTS, n_blocks), cleared(PROGRESS, 1)
    counts.own = section.own.start[1:]
    now.status, now.done = RUNNING, -1
    return TangentWork(
        row=_rows_at_start(network, problem, direction, width),
        at=np.zeros(n, dtype=np.int32),
        release_dot=np.zeros(n),
        held=np.zeros(n, dtype=np.uint8),
        emission_dot=_input_tangents(question, section, direction),
        spike_dot=np.zeros(len(section.emissions.of_spike)),
        sample_dot=np.zeros(len(question.samples)),
        departures=_departures(windows, section, n_blocks),
        pieces=room_for_pieces(n_blocks, n, width, room_of_pieces(section.own)),
        chunk=room_for_chunk(n_blocks, n_responses),
        found=room_for_found(n_blocks, windows.rows),
        out=np.zeros((n_blocks, n_responses)),
        counts=counts,
        now=now,
        claims=claims(n_blocks),
    )


def _rows_at_start(
    network: Network, problem: WindowForward, direction: Parameters, width: int
) -> Float:
    row = aligned_zeros(network.n_neurons, width)
    row[:, 0] = direction.v0 - problem.direction.neurons.drive
    if problem.tables.with_rates:
        row[:, width // 2] = start_of(network) - problem.neurons.drive
    return row


def _input_tangents(question: Question, section: Section, direction: Parameters) -> Float:
    """Return tangents of emissions: those of inputs, and zeros for those of spikes."""
    tangent = np.zeros(len(section.emissions.time))
    tangent[section.emissions.of_input] = direction.input_times[question.input_order]
    return tangent


def _departures(windows: WindowPass, section: Section, n_blocks: int) -> Departures:
    span = (windows.ring + 3) * windows.windows.length
    places = 1 << (most_together(section.emissions.time, span) + 1).bit_length()
    return Departures(
        head=np.full((n_blocks, windows.ring), -1, dtype=np.int32),
        link=np.zeros((n_blocks, places), dtype=np.int32),
        begin=np.zeros((n_blocks, places), dtype=np.int64),
        mask=np.array([places - 1]),
    )
