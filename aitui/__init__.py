"""A full-screen terminal dashboard for a self-hosted llama-swap server."""

import gc

__version__ = "0.1.0"

# At Python's own pace, every 700 new objects, the collector looks through all that is being imported
# over and over: 17 of the 246 ms of CPU of `aitui status`, 10 of 260 to the first frame. Whatever goes
# on for longer than a start calls `tune_collector`.
gc.disable()
