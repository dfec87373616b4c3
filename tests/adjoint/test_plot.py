"""Pictures draw what was simulated, and the examples run."""

import builtins
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

import adjoint  # noqa: E402
import refsim  # noqa: E402
from adjoint.plot import sensitivity  # noqa: E402
from refsim.plot import COLOURS, GREY, between_spikes, raster, traces  # noqa: E402
from validation.case_suite.zoo import refractory, two_ports  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture(params=[refractory, two_ports], ids=["refractory", "two ports"])
def case(request):
    return request.param()


@pytest.fixture
def simulation(case):
    return refsim.simulate(case.network, case.inputs, case.duration)


def draw(ax):
    ax.figure.canvas.draw()


def test_raster_has_a_tick_for_every_spike(simulation):
    ax = raster(simulation)
    draw(ax)
    (ticks,) = ax.collections
    segments = np.array(ticks.get_segments())
    np.testing.assert_array_equal(segments[:, 0, 0], simulation.spikes.time)
    np.testing.assert_allclose(
        segments[:, :, 1].mean(axis=1), simulation.spikes.neuron, rtol=0.0, atol=1e-12
    )
    assert ax.get_xlim() == (0.0, simulation.duration)
    assert ax.get_ylim() == (-1, simulation.network.n_neurons)


def test_raster_of_some_neurons(simulation):
    wanted = [4, 0, 2]
    ax = raster(simulation, neurons=wanted)
    draw(ax)
    rows = np.array(ax.collections[0].get_segments())[:, :, 1].mean(axis=1)
    use = np.isin(simulation.spikes.neuron, wanted)
    expected = [wanted.index(n) for n in simulation.spikes.neuron[use]]
    np.testing.assert_allclose(rows, expected, rtol=0.0, atol=1e-12)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["4", "0", "2"]
    with pytest.raises(refsim.InvalidValueError, match=r"neurons\[0\] is -1"):
        raster(simulation, neurons=[-1])


def test_raster_of_many_neurons_has_dots_that_can_be_seen():
    run = refsim.simulate(refsim.Network(400, i_ext=np.linspace(1.1, 3.0, 400)), None, 40.0)
    ax = raster(run, color=[COLOURS[i % 2] for i in range(400)])
    draw(ax)
    (dots,) = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), np.stack(run.spikes[:2], axis=1))
    expected = [matplotlib.colors.to_rgba(COLOURS[i % 2]) for i in run.spikes.neuron]
    np.testing.assert_allclose(dots.get_facecolors(), expected)
    # Wider than a pixel, however many neurons there are.
    assert np.sqrt(dots.get_sizes()[0]) * ax.figure.dpi / 72.0 > 1.0


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 30, 1000])
def test_ticks_of_a_raster_are_neurons(n):
    ax = raster(refsim.simulate(refsim.Network(n), None, 10.0))
    draw(ax)
    ticks = ax.get_yticks()
    assert len(ticks) >= min(n, 2)
    assert set(ticks) <= set(range(n))


def test_raster_takes_a_colour_for_each_neuron(simulation):
    n = simulation.network.n_neurons
    ax = raster(simulation, color=[COLOURS[i % 2] for i in range(n)])
    draw(ax)
    colours = ax.collections[0].get_colors()
    expected = [matplotlib.colors.to_rgba(COLOURS[i % 2]) for i in simulation.spikes.neuron]
    np.testing.assert_allclose(colours, expected)


def test_raster_of_a_silent_network():
    draw(raster(refsim.simulate(refsim.Network(3), None, 10.0)))


def test_axes_given_are_used_and_returned(simulation, case):
    _, (first, second, third) = pyplot.subplots(3)
    assert raster(simulation, first) is first
    assert traces(simulation, [0], second) is second
    arguments = (case.network, case.inputs, case.duration)
    assert sensitivity(*arguments, 0, "v_th", ax=third) is third
    assert len(pyplot.get_fignums()) == 1


def test_traces_have_three_lines_a_neuron(simulation):
    ax = traces(simulation, [0, 2])
    draw(ax)
    assert len(ax.lines) == 6
    for neuron, (voltage, threshold, marks) in zip(
        (0, 2), (ax.lines[:3], ax.lines[3:]), strict=True
    ):
        times = simulation.by_neuron()[neuron]
        v_th = simulation.network.v_th[neuron]
        np.testing.assert_array_equal(marks.get_xdata(), times)
        assert set(threshold.get_ydata()) == {v_th}
        assert np.max(voltage.get_ydata()) == v_th
        reached = voltage.get_xdata()[voltage.get_ydata() == v_th]
        np.testing.assert_array_equal(reached, times)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def numbered(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.fixture
def different():
    """Twelve neurons with voltages of their own; no two of them spike together."""
    return refsim.simulate(refsim.Network(12, i_ext=np.linspace(1.1, 2.0, 12)), None, 60.0)


def test_traces_draw_the_first_five_neurons_and_say_so(different):
    ax = traces(different)
    draw(ax)
    assert len(ax.lines) == 15
    assert ax.get_title() == "The first 5 of 12 neurons"
    assert legend(ax) == ["0", "1", "2", "3", "4"]
    assert ax.get_legend().get_title().get_text() == "neuron"


def test_ten_traces_are_told_apart_by_a_legend(different):
    ax = traces(different, np.arange(10))
    draw(ax)
    assert ax.get_title() == ""
    assert legend(ax) == [str(i) for i in range(10)]
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines[::3]}
    assert len(looks) == 10
    assert {line.get_color() for line in ax.lines[1::3]} == {GREY}


def test_more_traces_are_stacked(different):
    ax = traces(different, np.arange(12))
    draw(ax)
    assert ax.get_legend() is None
    assert numbered(ax) == [str(i) for i in range(12)]
    lows = [line.get_ydata().min() for line in ax.lines[::3]]
    highs = [max(line.get_ydata()) for line in ax.lines[1::3]]
    assert np.all(np.array(lows[1:]) > np.array(highs[:-1]))


def test_equal_voltages_do_not_hide_one_another():
    simulation = refsim.simulate(refsim.Network(3, i_ext=1.2), None, 60.0)
    ax = traces(simulation)
    draw(ax)
    assert numbered(ax) == ["0", "1", "2"]
    tops = [line.get_ydata().max() for line in ax.lines[::3]]
    assert np.all(np.diff(tops) > 1.0)
    assert legend(traces(simulation, offset=0.0)) == ["0", "1", "2"]


def test_offset_is_the_distance(different):
    ax = traces(different, [3, 1], offset=2.5)
    draw(ax)
    assert numbered(ax) == ["3", "1"]
    np.testing.assert_allclose(ax.get_yticks(), [0.0, 2.5])
    with pytest.raises(refsim.InvalidValueError, match="offset"):
        traces(different, offset=-1.0)


def test_no_neurons_give_an_empty_picture(different):
    assert not traces(different, np.zeros(0, dtype=int)).lines


def test_the_grid_has_every_spike_twice(simulation):
    pieces = between_spikes(simulation, 1, 0.5)
    assert np.all(np.diff(pieces.time) >= 0.0)
    ends = np.flatnonzero(pieces.is_end)
    np.testing.assert_array_equal(pieces.time[ends], simulation.by_neuron()[1])
    np.testing.assert_array_equal(pieces.time[ends], pieces.time[ends + 1])


@pytest.mark.parametrize("parameter", ["weight", "delay", "v_th", "t_ref", "tau", "input_times"])
def test_sensitivity_has_a_band_and_four_lines(case, parameter):
    ax = sensitivity(case.network, case.inputs, case.duration, 1, parameter)
    draw(ax)
    assert len(ax.collections) == 1
    assert len(ax.lines) == 4
    edge, voltage, _, marks = ax.lines
    breaks = np.isnan(voltage.get_ydata()).sum()
    assert breaks == len(marks.get_xdata())
    np.testing.assert_array_equal(np.isnan(edge.get_ydata()), np.isnan(voltage.get_ydata()))


def test_sensitivity_names_the_parameter_and_its_change(case):
    arguments = (case.network, case.inputs, case.duration, 1)
    ax = sensitivity(*arguments, "delay", 1, epsilon=0.25)
    assert ax.get_title(loc="left") == "Sensitivity to p = delay[1], ε = 0.25 ms"
    assert legend(ax) == ["V ± ε dV/dp", "V + ε dV/dp", "V of neuron 1"]
    ax = sensitivity(*arguments, "weight", 1, epsilon=-1e-7)
    assert ax.get_title(loc="left") == "Sensitivity to p = weight[1], ε = -1e-07"


def test_the_default_change_is_round(case):
    ax = sensitivity(case.network, case.inputs, case.duration, 1, "v_th", 1)
    step = ax.get_title(loc="left").split("ε = ")[1]
    assert f"{float(step):.0e}"[0] in "125"
    assert float(step) == float(f"{float(step):.0e}")


def test_sensitivity_to_what_has_no_influence_says_so():
    ax = sensitivity(refsim.Network(2, i_ext=1.2), None, 50.0, 0, "v_th", 1)
    draw(ax)
    assert ax.get_title(loc="left") == "Sensitivity to p = v_th[1], dV/dp = 0 at all times"


@pytest.mark.parametrize("parameter", ["weight", "delay", "v_th", "v_reset"])
def test_edge_of_the_band_is_the_voltage_of_the_moved_parameter(case, parameter):
    epsilon, neuron = 1e-6, 1
    arguments = (case.network, case.inputs, case.duration)
    index = neuron
    if parameter in ("weight", "delay"):
        index = int(np.flatnonzero(case.network.post == neuron)[0])
    ax = sensitivity(*arguments, neuron, parameter, index, epsilon=epsilon, step=0.37)
    edge, voltage = ax.lines[0], ax.lines[1]
    time = voltage.get_xdata()
    values = getattr(case.network, parameter).copy()
    values[index] += epsilon
    moved = refsim.simulate(case.network.replace(**{parameter: values}), *arguments[1:])
    base = refsim.simulate(*arguments)
    # Away from the spikes and the ends of refractoriness, which move by some multiple of epsilon.
    spikes = base.by_neuron()[neuron]
    events = np.append(spikes, spikes + case.network.t_ref[neuron])
    events = np.append(events, _arrivals(base, neuron))
    use = np.isfinite(time)
    use[use] = np.abs(time[use][:, None] - events).min(axis=1) > 1e-3
    expected = moved.trace(neuron, time[use]).voltage[0]
    scale = np.abs(edge.get_ydata()[use] - voltage.get_ydata()[use]).max()
    assert scale > 1e-8
    np.testing.assert_allclose(edge.get_ydata()[use], expected, rtol=0.0, atol=1e-3 * scale)


def _arrivals(simulation, neuron):
    """Times of all arrivals at a neuron."""
    network = simulation.network
    trains = simulation.by_neuron()
    trains += [
        simulation.inputs.times[simulation.inputs.sources == c] for c in range(network.n_inputs)
    ]
    rows = np.flatnonzero(network.post == neuron)
    return np.concatenate([trains[network.pre[s]] + network.delay[s] for s in rows])


def test_end_of_the_band_at_a_spike_is_the_limit_from_the_left(case):
    arguments = (case.network, case.inputs, case.duration)
    simulation = refsim.simulate(*arguments)
    ax = sensitivity(*arguments, 1, "tau_m", 1, epsilon=1.0)
    time, edge = ax.lines[0].get_data()
    voltage = ax.lines[1].get_ydata()
    breaks = np.flatnonzero(np.isnan(time))
    rows = np.flatnonzero(simulation.spikes.neuron == 1)
    near = simulation.spikes.time[rows] - 1e-7
    samples = (np.full(len(near), 1), near)
    _, before = adjoint.jvp(*arguments, {"tau_m": _unit(case, 1)}, samples=samples)
    at_end = (edge - voltage)[breaks - 1]
    np.testing.assert_allclose(at_end, before.voltage, rtol=1e-4, atol=1e-6)


def _unit(case, i):
    return np.eye(case.network.n_neurons)[i]


def test_sensitivity_refuses_what_is_not_there(case):
    arguments = (case.network, case.inputs, case.duration)
    with pytest.raises(refsim.InvalidValueError, match="neuron"):
        sensitivity(*arguments, case.network.n_neurons, "v_th")
    with pytest.raises(refsim.InvalidValueError, match="parameter"):
        sensitivity(*arguments, 0, "capacitance")
    with pytest.raises(refsim.InvalidValueError, match="index"):
        sensitivity(*arguments, 0, "v_th", 1000)
    with pytest.raises(refsim.InvalidValueError, match="none"):
        sensitivity(refsim.Network(1), None, 10.0, 0, "weight")


@pytest.mark.parametrize("module", [refsim.plot, adjoint.plot])
def test_modules_list_what_is_theirs(module):
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in dir(module))


def test_missing_matplotlib_names_the_extra(monkeypatch, simulation):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(refsim.MissingExtraError, match=r'pip install "refsim\[plot\]"'):
        raster(simulation)


def run_example(name, *arguments):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name), *arguments],
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_example_learns_spike_times():
    done = run_example("learn_spike_time.py")
    assert done.returncode == 0, done.stderr
    before, after = (
        float(done.stdout.split(word)[1].split(",")[0]) for word in ("before", "after")
    )
    assert after < 0.1 * before


def test_example_draws_the_picture(tmp_path):
    target = tmp_path / "picture.png"
    done = run_example("readme_picture.py", str(target))
    assert done.returncode == 0, done.stderr
    height, width = pyplot.imread(target).shape[:2]
    assert width <= 1600
    assert height > 400
    assert target.stat().st_size < 200_000
