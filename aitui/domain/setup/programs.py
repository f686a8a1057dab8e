"""How llama-swap and llama-server get onto a machine, as shell commands."""

from aitui.domain.config.keys import NEWEST_RELEASE

LLAMA_SWAP_PATH = "~/bin/llama-swap"
LLAMA_SERVER_PATH = "~/llama.cpp/build/bin/llama-server"
RELEASES = "https://github.com/mostlygeek/llama-swap/releases"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_BACK_ENDS = {"NVIDIA": "-DGGML_CUDA=ON", "AMD": "-DGGML_HIP=ON", "Intel": "-DGGML_VULKAN=ON"}


def llama_swap_commands(
    system: str, machine: str, *, release: int = NEWEST_RELEASE, releases: str = RELEASES
) -> str:
    """Return the commands that install a release of llama-swap, "" if there is none for the machine.

    `system` and `machine` are what `uname` reports. The archive is compared with the checksums that are
    published with it (the names are goreleaser's), before anything of it is unpacked.
    """
    architecture = _ARCHITECTURES.get(machine)
    if system != "Linux" or architecture is None:
        return ""
    archive = f"llama-swap_{release}_linux_{architecture}.tar.gz"
    checksums = f"llama-swap_{release}_checksums.txt"
    place = f"{releases}/download/v{release}"
    return f"""\
# llama-swap v{release} for linux/{architecture}
( set -e; cd "$(mktemp -d)"
  curl -fsSLO {place}/{archive}
  curl -fsSLO {place}/{checksums}
  sha256sum --check --ignore-missing {checksums}
  tar -xzf {archive} llama-swap
  install -D -m 755 llama-swap {LLAMA_SWAP_PATH} )
"""


def llama_server_commands(vendor: str) -> str:
    """Return the commands that build llama-server for the cards of a vendor, "" for none."""
    back_end = _BACK_ENDS.get(vendor, "")
    return f"""\
# llama-server: git, cmake, a C++ compiler{" and the vendor's toolkit" if back_end else ""} are needed
git clone --depth 1 https://github.com/ggml-org/llama.cpp ~/llama.cpp
cmake -S ~/llama.cpp -B ~/llama.cpp/build {back_end + " " if back_end else ""}-DCMAKE_BUILD_TYPE=Release
cmake --build ~/llama.cpp/build --target llama-server --parallel
"""
