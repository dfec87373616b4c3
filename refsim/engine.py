"""Simulation: which engine answers a question."""

from __future__ import annotations

from typing import Any, Literal, overload

from refsim import features
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.events.options import Events
from refsim.events.run import EventRun
from refsim.grid.result import GridSimulation
from refsim.grid.run import GridRun
from refsim.grid.scheme import Grid
from refsim.layers.options import Layers
from refsim.layers.run import LayersRun
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question
from refsim.results.outcome import ExactRun
from refsim.results.simulation import Simulation
from refsim.validate import shown
from refsim.windows import plan
from refsim.windows.options import Windows
from refsim.windows.run import WindowRun

ExactEngine = Literal["auto"] | Events | Windows | Layers
Engine = ExactEngine | Grid


@overload
def simulate(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: ExactEngine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    keep_state: bool = False,
    progress: bool = False,
) -> Simulation: ...


@overload
def simulate(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: Grid,
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    keep_state: bool = False,
    progress: bool = False,
) -> GridSimulation: ...


def simulate(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: Engine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    keep_state: bool = False,
    progress: bool = False,
) -> Simulation | GridSimulation:
    """Simulate a network: exactly, event by event, or in time steps if that is asked for.

    Parameters
    ----------
    network : Network
        The network.
    inputs : SpikeTrain or None
        Input spikes; those after ``duration`` have no effect.
    duration : float
        End of the simulation in ms. Spikes up to and including this time are reported.
    engine : "auto", Events, Windows, Layers or Grid
        :class:`Events` takes events one by one in order of time. :class:`Windows` takes all
        arrivals of a window at once, and is faster for networks of many synapses; it finds the
        same spikes, to rounding. "auto" chooses one of these, and the result says which, and why.
        :class:`Layers` takes networks without cycles layer by layer. :class:`Grid` goes in time
        steps, as simulators on a grid do.
    samples : Samples or (neurons, times), optional
        Voltages to read, within [0, duration].
    max_spikes : int
        Limit on the number of spikes, which stops runaway activity.
    keep_state : bool
        Whether the result can be continued with :func:`refsim.resume`. With engine="auto" windows
        are chosen where they can be had.
    progress : bool
        Whether to show a progress bar; needs tqdm.

    Returns
    -------
    Simulation, or GridSimulation

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain, or the engine cannot do what is asked.
    MissingExtraError
        If ``progress`` is asked for and tqdm is not installed.
    SpikeLimitError
        If there are more than ``max_spikes`` spikes; its ``partial`` holds those so far.
    SimulationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` holds what was simulated.
    """
    question = Question(network, inputs, duration, samples, max_spikes, keep_state, progress)
    return run_of(question, engine).execute()


@overload
def run_of(question: Question, engine: ExactEngine = "auto") -> ExactRun: ...


@overload
def run_of(question: Question, engine: Engine) -> ExactRun | GridRun: ...


def run_of(question: Question, engine: Engine = "auto") -> ExactRun | GridRun:
    """Return the run of the engine that is asked for, or chosen."""
    check_engine(engine)
    if isinstance(engine, Grid):
        return GridRun(question, engine)
    if isinstance(engine, Events):
        return EventRun(question, engine)
    if isinstance(engine, Layers):
        return LayersRun(question)
    if isinstance(engine, Windows):
        check_windows(question, "engine is Windows(...)", "engine=Events()")
        return WindowRun(question, engine)
    by_windows, reason = _chosen(question)
    run: ExactRun = WindowRun(question) if by_windows else EventRun(question)
    run.reason = reason
    return run


def check_engine(engine: Any) -> None:
    """Raise unless ``engine`` is one."""
    is_auto = isinstance(engine, str) and engine == "auto"
    if not (is_auto or isinstance(engine, Events | Windows | Layers | Grid)):
        expected = "expected 'auto' or refsim.Events(), Windows(), Layers() or Grid(dt)"
        error = InvalidValueError if isinstance(engine, str) else InvalidTypeError
        raise error(f"engine is {shown(engine)}; {expected}")


def check_windows(question: Question, asker: str, instead: str = "longer delays") -> None:
    """Raise if ``asker`` needs the window engine, and it cannot be had."""
    why_not = plan.obstacle(question.network, question.duration)
    if why_not:
        raise InvalidValueError(f"{asker}, and {why_not}; expected {instead}")


def _chosen(question: Question) -> tuple[bool, str]:
    """Return whether to go by windows, and the reason."""
    network, duration = question.network, question.duration
    if question.keep_state and not plan.obstacle(network, duration):
        return True, "a state is kept"
    # The size comes first: the other questions lay synapses out for windows.
    size = f"there are {len(network.synapses)} synapses"
    if not plan.is_large(network):
        return False, f"{size}, too few for windows to be worth their compilation"
    why_not = plan.obstacle(network, duration)
    if why_not:
        return False, why_not
    if not plan.is_worthwhile(network, duration):
        return False, f"{size}, too few for so many windows"
    return True, size


def windows_for(engine: Any, name: str) -> Windows:
    """Return the windows that are asked for, by "auto" too, where ``name`` needs them."""
    check_engine(engine)
    if isinstance(engine, Windows):
        return engine
    if not isinstance(engine, str):
        features.check(name, type(engine).__name__, f"{name} is given")
    return Windows()
