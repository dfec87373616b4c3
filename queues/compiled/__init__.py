"""How kernels are compiled and kept, and instructions that Numba does not emit by itself."""
