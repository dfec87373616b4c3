"""Ctrl-C in long runs: a partial result forwards, a prompt end backwards."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent as on Unix")

# Spikes without end; the first call compiles all that the second needs.
FORWARD = """
import numpy as np
from refsim import Network, SimulationInterrupted, simulate

network = Network(100, v_rest=1e6, v_reset=0.0, v0=0.0)
simulate(network, None, 1e-4)
print("ready", flush=True)
try:
    simulate(network, None, 1e9, max_spikes=10**12, samples=([0], [1e9]))
except SimulationInterrupted as error:
    run = error.partial
    assert isinstance(error, KeyboardInterrupt)
    assert run.counts.spikes == len(run.spikes.time) == len(run.spikes.neuron) > 0
    assert run.duration == run.spikes.time[-1] < 1e9
    assert np.all(np.diff(run.spikes.time) >= 0.0)
    assert np.isnan(run.voltages).all()
    assert sum(map(len, run.by_neuron())) == run.counts.spikes
    assert "the attribute partial holds" in str(error)
    print("partial", flush=True)
"""

BACKWARD = """
import adjoint
from refsim import Network, connect

network = Network(2, connect([0, 1], [1, 0], 0.1, 1.0), v_rest=1e3, v_reset=0.0, v0=0.0, t_ref=0.01)
pullback = adjoint.vjp(network, None, 30.0)[1]
pullback(1.0)
print("ready", flush=True)
try:
    while True:
        pullback(1.0)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def interrupted(script, interpreted):
    """Run a script, send SIGINT a while after it is ready; return its output and the delay."""
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    if interpreted:
        environment["NUMBA_DISABLE_JIT"] = "1"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    watchdog = threading.Timer(300.0, process.kill)
    watchdog.start()
    try:
        first = process.stdout.readline()
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        return first + output, errors, process.returncode, time.monotonic() - begin
    finally:
        watchdog.cancel()
        process.kill()


@pytest.mark.parametrize("interpreted", [False, True], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(
    ("script", "word"), [(FORWARD, "partial"), (BACKWARD, "interrupted")], ids=["forward", "back"]
)
def test_ctrl_c(script, word, interpreted):
    output, errors, code, seconds = interrupted(script, interpreted)
    assert errors == ""
    assert output.split() == ["ready", word]
    assert code == 0
    assert seconds < 20.0  # half a second on an idle machine
