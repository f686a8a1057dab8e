"""Graphics cards: one module a vendor, each a `GpuProbe`."""
