"""Ctrl-C in long runs: a partial result forwards, a prompt end backwards; ignored if it was."""

import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from signals import handled, interrupted

import refsim
from refsim.long import recording
from refsim.threads import uninterrupted
from validation.cli import certify as cli_certify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent as on Unix")

ROOT = Path(__file__).parents[2]

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


def test_ctrl_c_reaches_programs_of_tests_that_ignore_it():
    """As they do in the background of a shell."""
    with handled(signal.SIGINT, signal.SIG_IGN):
        output, errors, *_ = interrupted(BACKWARD, interpreted=True)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert errors == ""
    assert output.split() == ["ready", "interrupted"]


def test_ctrl_c_is_put_off():
    done = []

    def press():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with handled(signal.SIGINT, signal.default_int_handler):
        with pytest.raises(KeyboardInterrupt):
            press()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    assert done == [True]


@contextmanager
def uninterrupted_by_ctrl_c(handler):
    """Handle Ctrl-C in some way in a block, which must not be interrupted."""
    with handled(signal.SIGINT, handler):
        try:
            yield
        except KeyboardInterrupt:
            pytest.fail("Ctrl-C did what it does by default")


def test_ctrl_c_that_is_ignored_stays_so():
    with uninterrupted_by_ctrl_c(signal.SIG_IGN):
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_handler_of_a_program_gets_ctrl_c_after_the_block():
    calls = []
    order = ["before"]
    with uninterrupted_by_ctrl_c(lambda *_: calls.append(order[-1])), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        order.append("after")
    assert calls == ["after"]


def test_a_recording_goes_on_where_ctrl_c_is_ignored(monkeypatch, tmp_path):
    network = refsim.Network(3, i_ext=2.0)
    flush = recording._flush

    def pressed(*arguments):
        signal.raise_signal(signal.SIGINT)
        return flush(*arguments)

    monkeypatch.setattr(recording, "_flush", pressed)
    with uninterrupted_by_ctrl_c(signal.SIG_IGN):
        done = refsim.record(network, None, 100.0, tmp_path / "spikes", piece=30.0)
    expected = refsim.simulate(network, None, 100.0, engine=refsim.Windows()).spikes
    pieces = [np.load(path)["time"] for path in sorted(done.path.glob("*.npz"))]
    assert len(pieces) == done.pieces == 4
    assert np.array_equal(np.concatenate(pieces), expected.time)


def test_termination_that_is_ignored_or_handled_stays_so():
    for handler in (signal.SIG_IGN, lambda *_: None):
        with handled(signal.SIGTERM, handler), cli_certify._termination_as_interruption():
            assert signal.getsignal(signal.SIGTERM) == handler
    with handled(signal.SIGTERM, signal.SIG_DFL):
        with pytest.raises(KeyboardInterrupt), cli_certify._termination_as_interruption():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
