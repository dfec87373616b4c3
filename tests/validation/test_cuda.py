"""The kernels of CUDA: in the simulator, through the compiler, and on a device where there is one.

Where kernels run is decided when Numba is first imported, so checks run in processes of their own.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import adjoint
import refsim
from validation.backends.cuda import event as cuda_event, target as cuda_target
from validation.case_suite.yinyang import to_spikes, yin_yang, yin_yang_network

TESTS = Path(__file__).parents[1] / "tools"
# Other tests run in the simulator, or where something else has to be compiled first.
SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
DEVICE = {"NUMBA_ENABLE_CUDASIM": "0", "NUMBA_DISABLE_JIT": "0"}
why_not = cuda_event.cuda_reason_of_absence()
on_a_device = pytest.mark.skipif(why_not is not None, reason=f"needs a CUDA device: {why_not}")


def python(*arguments, **environment):
    """Run Python in a process of its own and return what it printed."""
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(TESTS.parents[1]), **environment},
        cwd=TESTS.parents[1],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-3000:]
    return result.stdout


def checks(**environment):
    """Run all checks and return how many passed; none may be skipped."""
    options = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    printed = python(*options, TESTS / "cuda_checks.py", **environment)
    assert "skipped" not in printed
    return int(re.search(r"(\d+) passed", printed)[1])


@pytest.mark.skipif(find_spec("numba.cuda") is None, reason="needs numba.cuda")
def test_checks_pass_in_the_simulator():
    assert checks(**SIMULATOR) >= 30


@pytest.mark.gpu
@on_a_device
def test_checks_pass_on_a_device():
    assert checks(**DEVICE) >= 30


@pytest.mark.gpu
@on_a_device
def test_yin_yang_on_a_device():
    """Classifiers of 123 neurons: spikes and mean gradient of 2048 samples, and twice the same."""
    values, _ = yin_yang(2048, 1)
    trains = [to_spikes(row) for row in values]
    network = yin_yang_network(0)
    theirs, pull_theirs = adjoint.vjp_batch(network, trains, 60.0)
    ours, pull_ours = cuda_event.vjp_batch(network, trains, 60.0)
    assert np.array_equal(ours.spikes.neuron, theirs.spikes.neuron)
    np.testing.assert_allclose(ours.spikes.time, theirs.spikes.time, rtol=1e-11)
    bars = np.cos(np.arange(len(theirs.spikes.time)))
    one, again, other = (pull(bars, reduce="mean") for pull in (pull_ours, pull_ours, pull_theirs))
    for name, values in other.items():
        # Of so many samples some graze: their slopes cost digits.
        scale = np.abs(values).max(initial=0.0)
        np.testing.assert_allclose(getattr(one, name), values, rtol=0.0, atol=1e-8 * scale)
        assert np.array_equal(getattr(one, name), getattr(again, name))


@pytest.mark.slow
@pytest.mark.skipif(not cuda_target.has_target(), reason="needs numba-cuda, the extra 'cuda'")
def test_kernels_compile_for_devices():
    """Types are inferred and PTX is made of all that a device would run, as it is launched."""
    lines = [line.split() for line in python(TESTS / "cuda_compile.py", **DEVICE).splitlines()]
    assert {line[0] for line in lines} == {
        "simulate_samples", "take_samples_back", "add_in_order", "play_queues",
    }  # fmt: skip
    for _, capability, size, registers, _ in lines:
        assert capability == "90"
        assert int(size) > 1000
        assert int(registers) <= 255


def test_absence_has_a_reason():
    """Arguments are checked first, so that a mistake is not hidden by a machine without device."""
    network = refsim.Network(1)
    with pytest.raises(refsim.InvalidTypeError, match="duration is None"):
        cuda_event.simulate_batch(network, [None], None)
    with pytest.raises(refsim.InvalidValueError, match="room is 0"):
        cuda_event.simulate_batch(network, [None], 1.0, room=0)
    with pytest.raises(refsim.InvalidValueError, match="adjoint_queue is 'calendar'"):
        cuda_event.vjp_batch(network, [None], 1.0, adjoint_queue="calendar")
    if why_not is None:
        assert len(cuda_event.simulate_batch(network, [None], 1.0)) == 1
        return
    kind = cuda_target.NoDeviceError if cuda_target.has_target() else refsim.MissingExtraError
    with pytest.raises(kind, match=re.escape(why_not[:20])):
        cuda_event.simulate_batch(network, [None], 1.0)


def test_the_simulator_asks_for_plain_python():
    program = (
        "from validation.backends.cuda.event import cuda_reason_of_absence as why; print(why())"
    )
    printed = python("-c", program, NUMBA_ENABLE_CUDASIM="1", NUMBA_DISABLE_JIT="0")
    assert "needs NUMBA_DISABLE_JIT=1" in printed
    assert python("-c", program, **SIMULATOR).strip() == "None"


def test_nothing_of_cuda_is_loaded_before_it_is_used():
    program = (
        "import sys, validation.backends.cuda.event; "
        "print([name for name in sys.modules if name.startswith('numba.cuda')])"
    )
    assert python("-c", program).strip() == "[]"
