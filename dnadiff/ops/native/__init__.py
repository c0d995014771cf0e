"""Kernels in C for CPUs, below the public functions of `dnadiff.ops`; without them the reference in torch serves."""
