"""llama-swap over HTTP: the only place that imports httpx."""

import sys

# Where click is installed, httpx loads its command-line module, with rich and Pygments: 33 of the
# 54 ms that `import httpx` takes. With None in its place it does what it does without click.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
