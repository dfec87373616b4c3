"""The JAX back ends on a CUDA device: what is true of them on the CPU is true there."""

import numpy as np
import pytest

from adjoint.check import evaluate
from refsim.grid.scheme import GridScheme
from validation.case_suite.stored import given_cases

jax = pytest.importorskip("jax", reason="needs the extra jax")

import test_jax_event  # noqa: E402
import test_jax_grid  # noqa: E402

from validation.backends.jax import grid as jax_grid  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def on_cuda_device():
    try:
        device = jax.devices("cuda")[0]
    except RuntimeError as error:
        pytest.skip(f"JAX has no CUDA device: {str(error).splitlines()[0]}")
    with jax.default_device(device):
        assert jax.numpy.zeros(1).devices() == {device}
        yield


def without_samples():
    return [case for case in given_cases() if len(case.samples) == 0]


def test_events():
    for case in without_samples():
        test_jax_event.check(evaluate(case))


@pytest.mark.parametrize("scheme", [GridScheme(), GridScheme.adseq()])
def test_steps(scheme):
    for case in without_samples():
        test_jax_grid.check(case, 0.1, scheme)


@pytest.mark.parametrize("scheme", [GridScheme(), GridScheme.adseq()])
def test_steps_in_single_precision(scheme):
    test_jax_grid.check_single_precision(scheme)


def test_a_batch():
    test_jax_grid.check_batch()


def test_runs_are_repeatable():
    """The sums of a step are matrix products, without atomic additions; scatters add up rows."""
    case = without_samples()[0]
    _, _, asked = test_jax_grid.question(case, 0.1, GridScheme())
    first, second = (
        jax_grid.backend(case.network, case.inputs, case.duration, asked, dt=0.1) for _ in range(2)
    )
    assert np.array_equal(first.time, second.time)
