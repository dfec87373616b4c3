"""Simulation: which engine answers a question."""

from __future__ import annotations

from typing import Any

from refsim.errors import InvalidValueError
from refsim.events.run import EventRun
from refsim.names import EngineName, QueueChoice
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question
from refsim.results.simulation import Simulation
from refsim.transit.lossy import Lossy
from refsim.validate import choice
from refsim.windows import plan
from refsim.windows.run import WindowRun


def simulate(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    queue: QueueChoice | Lossy = "auto",
    dt: float | None = None,
    engine: EngineName = "auto",
    max_spikes: int = MAX_SPIKES,
    threads: int | None = None,
    keep_state: bool = False,
    progress: bool = False,
) -> Simulation:
    """Simulate a network event by event, exactly.

    Parameters
    ----------
    network : Network
        The network.
    inputs : SpikeTrain, optional
        Input spikes; those after ``duration`` have no effect.
    duration : float
        End of the simulation in ms. Spikes up to and including this time are reported.
    samples : Samples or (neurons, times), optional
        Voltages to read, within [0, duration].
    queue : str or Lossy
        Structure of the queue of arrivals: "auto", or one of "heap", "fifo" (which needs equal
        delays), "sorted_array", "dary_heap_4", "dary_heap_8", "pairing_heap", "calendar",
        "batch_heap", "fifo_merge", or "ring_buffer" (which needs ``dt``). Spikes are the same to
        the last bit with each of them. A :class:`Lossy` has bounded queues that drop spikes; the
        result says which.
    dt : float, optional
        Step in ms of a grid to which times of arrival are rounded, half to even, but not to before
        the spike. Gradients are passed straight through the rounding. Spikes stay off the grid.
    engine : {"auto", "event", "window"}
        The event engine takes events one by one in order of time. The window engine takes all
        arrivals of a window as long as the shortest delay at once, and is faster for networks of
        many synapses; it finds the same spikes, to rounding. The result says which was chosen, and
        why.
    max_spikes : int
        Limit on the number of spikes, which stops runaway activity.
    threads : int, optional
        Most threads of the window engine; as many as there are processors by default. Results are
        the same to the last bit for any number.
    keep_state : bool
        Whether the result can be continued with :func:`refsim.resume`. Bounded queues
        (:class:`Lossy`) keep no state. With engine="auto" windows are chosen where they can be had.
    progress : bool
        Whether to show a progress bar; needs tqdm.

    Returns
    -------
    Simulation

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain.
    MissingExtraError
        If ``progress`` is asked for and tqdm is not installed.
    SpikeLimitError
        If there are more than ``max_spikes`` spikes; its ``partial`` holds those so far.
    SimulationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` holds what was simulated.
    """
    question = Question(
        network, inputs, duration, samples, queue, dt, max_spikes, threads, keep_state, progress
    )
    return run_of(question, engine).execute()


def run_of(question: Question, engine: Any = "auto") -> EventRun | WindowRun:
    """Return the run of the engine that is asked for, or chosen."""
    choose_engine(question, engine)
    return WindowRun(question) if question.engine == "window" else EventRun(question)


def choose_engine(question: Question, engine: Any) -> None:
    """Choose "event" or "window", or raise if the one asked for cannot be had."""
    question.engine, question.reason = _chosen(question, engine)


def _chosen(question: Question, engine: Any) -> tuple[str, str]:
    """Return "event" or "window", and the reason."""
    network, duration = question.network, question.duration
    choice("engine", engine, ("auto", "event", "window"))
    if engine == "event":
        return "event", "it was asked for"
    if engine == "window":
        _check_windows(question)
        return "window", "it was asked for"
    if question.needs_events:
        return "event", question.needs_events
    if question.keep_state and not plan.obstacle(network, duration):
        return "window", "a state is kept"
    # The size comes first: the other questions lay synapses out for windows.
    size = f"there are {len(network.synapses)} synapses"
    if not plan.is_large(network):
        return "event", f"{size}, too few for windows to be worth their compilation"
    why_not = plan.obstacle(network, duration)
    if why_not:
        return "event", why_not
    if not plan.is_worthwhile(network, duration):
        return "event", f"{size}, too few for so many windows"
    return "window", size


def _check_windows(question: Question) -> None:
    """Raise if the window engine, which is asked for, cannot be had."""
    why_not = question.needs_events or plan.obstacle(question.network, question.duration)
    if why_not:
        raise InvalidValueError(f"engine is 'window', and {why_not}; expected engine='event'")


def refuse_event_engine(asker: str, engine: str) -> None:
    """Raise if the event engine is chosen and ``asker`` needs windows."""
    if engine == "event":
        raise InvalidValueError(
            f"{asker} and engine is 'event', which goes back in one piece; expected "
            "engine='window' or 'auto'"
        )


def no_state(asker: str, why_not: str, instead: str) -> InvalidValueError:
    """Return the error where ``asker`` needs snapshots and the window engine cannot be had."""
    return InvalidValueError(
        f"{asker}, and {why_not}; expected {instead}, since the window engine alone goes back in "
        "pieces"
    )
