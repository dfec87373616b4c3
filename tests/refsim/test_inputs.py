"""Spike trains: shifted, cut and joined."""

import numpy as np
import pytest

import refsim

TRAIN = refsim.SpikeTrain([5.0, 1.0, 3.0], [0, 1, 0], 2)


def test_shifted_cut_and_joined():
    later = TRAIN.shifted(2.5)
    assert later.times.tolist() == [7.5, 3.5, 5.5]
    assert later.sources.tolist() == TRAIN.sources.tolist()
    early, late = TRAIN.between(0.0, 3.0), TRAIN.between(3.0, 10.0)
    assert (early.times.tolist(), late.times.tolist()) == ([1.0], [5.0, 3.0])
    whole = early + late
    assert sorted(zip(whole.times, whole.sources, strict=True)) == [(1.0, 1), (3.0, 0), (5.0, 0)]
    assert len(TRAIN + refsim.SpikeTrain.empty(2)) == 3


def test_a_run_in_pieces_is_the_whole():
    network = refsim.Network(1, refsim.connect([1, 2], 0, 3.0, 1.0), n_inputs=2, tau_m=10.0)
    whole = refsim.simulate(network, TRAIN, 20.0)
    begun = refsim.simulate(network, TRAIN.between(0.0, 4.0), 4.0, keep_state=True)
    rest = refsim.resume(begun, 20.0, TRAIN.between(4.0, 1e12))
    np.testing.assert_allclose(rest.spikes.time, whole.spikes.time, rtol=1e-14)


def test_what_cannot_be():
    with pytest.raises(refsim.InvalidValueError, match=r"times\[1\] is -1.0"):
        TRAIN.shifted(-2.0)
    with pytest.raises(refsim.InvalidValueError, match=r"end is 1\.0; expected >= 2"):
        TRAIN.between(2.0, 1.0)
    with pytest.raises(
        refsim.InvalidValueError, match="a train of 3 channels is added to one of 2"
    ):
        TRAIN + refsim.SpikeTrain.empty(3)
    with pytest.raises(TypeError):
        TRAIN + 3
