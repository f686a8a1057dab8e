"""A full-screen terminal dashboard for a self-hosted llama-swap server."""

import gc

__version__ = "0.1.0"

# Python's own pace, every 700 new objects, has the garbage collector look through all that is being
# imported over and over: 17 of the 246 ms of CPU of `aitui status`, 40 of 320 to the first frame. The
# dashboard collects more often once it has started: see `aitui.collector`.
gc.set_threshold(100_000, 50, 50)
