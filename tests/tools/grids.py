"""Steps and schemes of the fixed-step engine that several files of tests draw from."""

from hypothesis import strategies as st

from refsim import GridScheme
from refsim.grid.scheme import MEMBRANES, RECEIVES, RESETS, SPIKE_TIMES

STEPS = st.sampled_from([0.25, 0.1, 0.4, 0.03125])


@st.composite
def schemes(draw):
    return GridScheme(
        membrane=draw(st.sampled_from(MEMBRANES)),
        spike_time=draw(st.sampled_from(SPIKE_TIMES)),
        receive=draw(st.sampled_from(RECEIVES)),
        reset=draw(st.sampled_from(RESETS)),
        steepness=draw(st.sampled_from([1.0, 0.3, 10.0])),
        hold=draw(st.booleans()),
        latency=draw(st.sampled_from([0, 0, 1, 3])),
    )
