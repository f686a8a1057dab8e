"""What is installed on the machine: a program, its unit and its config, an SSH server."""

UNIT_TEXT = """\
[Unit]
Description=llama-swap
After=network.target

[Service]
Type=simple
ExecStart=%h/bin/llama-swap -listen 127.0.0.1:{port} -config %h/.config/llama-swap/config.yaml
LimitNOFILE=1024
Restart=on-failure
RestartSec=5

[Install]
WantedBy=default.target
"""
CONFIG = """\
# What the machine serves.
globalTTL: 1800
models:
  small:
    cmd: |
      /opt/llama.cpp/llama-server --port ${PORT}
      --model /models/small.gguf
      # as many as the card holds
      --ctx-size 65536
      --n-gpu-layers 99
      --memory-mib 8000 --fail-oom-above 131072
  from-the-environment:
    env: ["LLAMA_ARG_CTX_SIZE=16384"]
    cmd: /opt/llama.cpp/llama-server --port ${PORT} --model /models/other.gguf
"""
PYVENV = "home = {folder}\n"
# Of an executable that is called llama-swap, `-B` is the first flag, and the script its value.
PROGRAM = """\
#!/mnt/home/lib/llama-swap/bin/llama-swap -B
import sys
sys.path[:0] = ["/mnt/project", "/mnt/project/tests", "/mnt/packages"]
from llama_swap_program import main
sys.exit(main())
"""
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /mnt/folder/etc/host_key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys
Subsystem sftp internal-sftp
{surroundings}
"""
