"""Samples of a machine: GPUs, processors, memory."""
