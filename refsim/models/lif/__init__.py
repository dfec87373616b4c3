"""The neuron model as the event loop and the adjoint see it.

Another model is a folder beside this one, with functions of these names: flow, slope and crossing,
what happens at arrivals, spikes and releases, and their tangents and adjoints. Engines that have
states of another layout call the rules of single events all the same (`later_by`, `release_jvp`,
`late_vjp`, `reset_vjp`), and bounds by `refsim.models.lif.bound`.
"""

from refsim.models.lif.adjoint import (
    adjoint_state,
    arrive_vjp,
    fire_vjp,
    flow_vjp,
    late_vjp,
    membrane_vjp,
    release_vjp,
    reset_vjp,
    sample_vjp,
    start_vjp,
)
from refsim.models.lif.crossing import earliest_crossing, next_crossing, scratch
from refsim.models.lif.flow import (
    arrive,
    arrive_jvp,
    fire,
    flow_current,
    flow_current_jvp,
    flow_excursion,
    flow_voltage,
    flow_voltage_jvp,
    later_by,
    release_jvp,
    slope,
)

__all__ = [
    "adjoint_state",
    "arrive",
    "arrive_jvp",
    "arrive_vjp",
    "earliest_crossing",
    "fire",
    "fire_vjp",
    "flow_current",
    "flow_current_jvp",
    "flow_excursion",
    "flow_vjp",
    "flow_voltage",
    "flow_voltage_jvp",
    "late_vjp",
    "later_by",
    "membrane_vjp",
    "next_crossing",
    "release_jvp",
    "release_vjp",
    "reset_vjp",
    "sample_vjp",
    "scratch",
    "slope",
    "start_vjp",
]
