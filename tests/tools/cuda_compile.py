"""Compile the kernels of CUDA as they are launched, without a device; print what came out.

Run as a program: ``python tests/tools/cuda_compile.py [CAPABILITY ...]`` with compute capabilities
such as 90. It stands in for the device: arrays stay on the host, and a launch compiles the kernel
for the types of its arguments and does nothing else. For each kernel and capability it prints a
line: name, capability, bytes of PTX, registers and bytes spilled. The last two are -1 without a
ptxas that knows the PTX; that of the package nvidia-cuda-nvcc does.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numba import cuda
from numba.cuda import dispatcher
from numba.cuda.typing.typeof import typeof

import refsim
from validation.backends.cuda import (
    event as cuda_event,
    kernels as cuda_kernels,
    queues as cuda_queues,
    target as cuda_target,
)

KERNELS = {
    "simulate_samples": cuda_kernels,
    "take_samples_back": cuda_kernels,
    "add_in_order": cuda_kernels,
    "play_queues": cuda_queues,
}


class HostArray(np.ndarray):
    """An array on the host in place of one on the device."""

    def copy_to_host(self):
        return np.array(self)


class Recorder:
    """A kernel that is compiled and not run."""

    def __init__(self, kernel):
        self.function = kernel.py_func
        self.argument_types = []  # of each launch

    def __getitem__(self, configuration):
        return self.launch

    def launch(self, *arguments):
        self.argument_types.append(tuple(map(type_of, arguments)))


def type_of(value):
    """Return the type of an argument, as a launch on a device has it."""
    if isinstance(value, tuple):
        return typeof(type(value)(*map(plain, value)))
    return typeof(plain(value))


def plain(value):
    if isinstance(value, tuple):
        return type(value)(*map(plain, value))
    return value.view(np.ndarray) if isinstance(value, HostArray) else value


def stand_in():
    """Let the host stand in for the device; return the kernels by name."""
    recorders = {name: Recorder(getattr(module, name)) for name, module in KERNELS.items()}
    for name, module in KERNELS.items():
        setattr(module, name, recorders[name])
    cuda.to_device = lambda array: np.array(array).view(HostArray)
    cuda.device_array = lambda shape, dtype, order="C": np.zeros(shape, dtype, order).view(
        HostArray
    )
    cuda_target.check_available = cuda_queues.check_available = lambda: None
    cuda_target.device_name = lambda: "no device"
    return recorders


def launch_all():
    network = refsim.Network(2, refsim.connect([2], [0], [1.0], [1.0]), n_inputs=1)
    _, pullback = cuda_event.vjp_batch(network, [None], 1.0, samples=([0], [0.5]))
    pullback()
    for structure in cuda_queues.STRUCTURES:
        capacity = 2 if "bounded" in structure or structure == "lossy_ring" else None
        cuda_queues.play(structure, capacity, np.zeros((1, 1)), np.zeros(1))


def assembled(ptx, capability):
    """Return registers and spilled bytes of a kernel, or -1 where ptxas cannot say."""
    beside = Path(sys.prefix) / "lib"
    found = [*beside.glob("python*/site-packages/nvidia/*/bin/ptxas"), shutil.which("ptxas")]
    if not found[0]:
        return -1, -1
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        result = subprocess.run(
            [found[0], f"-arch=sm_{capability}", "-v", source, "-o", Path(folder) / "kernel"],
            capture_output=True,
            text=True,
        )
    if result.returncode:
        if "Unsupported .version" in result.stderr:
            return -1, -1
        sys.exit(result.stderr[-2000:])
    registers = re.search(r"Used (\d+) registers", result.stderr)
    spilled = re.search(r"(\d+) bytes spill stores", result.stderr)
    return int(registers[1]), int(spilled[1])


def main(capabilities):
    recorders = stand_in()
    launch_all()
    for capability in capabilities:
        pair = divmod(int(capability), 10)
        dispatcher.get_current_device = lambda pair=pair: type(
            "Device", (), {"compute_capability": pair}
        )
        for name, recorder in recorders.items():
            for types in dict.fromkeys(recorder.argument_types):
                ptx, _ = cuda.compile(recorder.function, types, device=False, abi="numba", cc=pair)
                print(name, capability, len(ptx), *assembled(ptx, capability), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["90"])
