"""A machine of its own on which a login's systemd runs the stand-in as `llama-swap.service`.

It is made of namespaces: its own processes, its own /run, accounts, journal and SSH server. Nothing
of it is seen outside, and it ends with the process that made it, however that ends. Needs root.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aitui
from e2e.service.installed import CONFIG, PROGRAM, PYVENV, SSHD, UNIT_TEXT

__all__ = [
    "ACCOUNT",
    "CONFIG",
    "EXECUTABLE",
    "UNIT",
    "UNIT_TEXT",
    "UserManager",
    "free_port",
    "python_path",
    "user_manager",
]

ACCOUNT = "ai-server"
UNIT = "llama-swap.service"
EXECUTABLE = "lib/llama-swap/bin/llama-swap"
"""What /proc/PID/exe names of the stand-in, below the login's home."""
COMES_UP_WITHIN = 30.0
"""Seconds after which a machine or a service that doesn't answer counts as broken."""


class UserManager:
    """One login, its systemd, its files. `home` is where they are seen from outside, `number` its uid."""

    def __init__(self, folder: Path, *, session: bool) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.port = free_port()
        self.ssh_port = free_port()
        # As much nobody else's as the port is.
        self.number = self.ssh_port
        self.config = self.home / ".config" / "llama-swap" / "config.yaml"
        self.unit_file = self.home / ".config" / "systemd" / "user" / UNIT
        self.identity = folder / "etc" / "login_key"
        self.known_hosts = folder / "etc" / "known_hosts"
        self._session = session
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the stand-in answers, without TLS."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def there(self) -> Path:
        """The machine's own root directory, as seen from outside."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/root")

    @property
    def entrance(self) -> tuple[str, ...]:
        """The words before a command that has to run as root on that machine."""
        assert self._process is not None
        spaces = f"/proc/{self._process.pid}/ns"
        return ("nsenter", f"--mount={spaces}/mnt", f"--pid={spaces}/pid_for_children")

    def login(self, number: int | None = None) -> tuple[str, ...]:
        """The words before a command of the login, or of another, in bare surroundings."""
        uid = str(self.number if number is None else number)
        return (
            *self.entrance,
            *("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"),
            *("env", "-i", "HOME=/mnt/home", "PATH=/usr/bin:/bin"),
        )

    def start(self) -> None:
        """Bring the machine up, its service enabled and answering."""
        self._prepare()
        surroundings = {
            **os.environ,
            "FOLDER": str(self.folder),
            "ACCOUNT": ACCOUNT,
            "NUMBER": str(self.number),
            "PROJECT": str(Path(aitui.__file__).parent.parent),
            "PACKAGES": sysconfig.get_path("purelib"),
            "PYTHON_HOME": sys.base_prefix,
            "HIDDEN": _hidden(Path(sys.base_prefix)),
        }
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("sh", str(Path(__file__).with_name("machine.sh"))),
                ],
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_for((self.folder / "ready").exists, "the machine")
        self._wait_for(self._greets, "its SSH server")
        self.systemctl("enable", "--now", UNIT)
        self.until_it_answers()

    def stop(self) -> None:
        """End everything that runs there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        with suppress(FileNotFoundError):
            for line in (self.folder / "groups").read_text().splitlines():
                _remove_groups(Path(line))

    def reset(self, unit: str = UNIT_TEXT, config: str = CONFIG) -> None:
        """Let the service run afresh with this unit and config, and nothing else be installed."""
        for path in self.unit_file.parent.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.rmtree(self.config.parent)
        (self.there / "var/lib/systemd/linger" / ACCOUNT).unlink(missing_ok=True)
        self._write_files(unit, config)
        self.systemctl("daemon-reload")
        self.systemctl("reset-failed")
        self.systemctl("enable", UNIT)
        self.systemctl("restart", UNIT)
        self.until_it_answers()

    def write_unit(self, text: str, name: str = UNIT) -> None:
        """Write a unit as the login would, and let systemd read it."""
        self._write(self.unit_file.with_name(name), text.replace("{port}", str(self.port)))
        self.systemctl("daemon-reload")

    def write_program(self, path: str, text: str) -> None:
        """Write a script below the login's home, to be run."""
        self._write(self.home / path, text, mode=0o755)

    def copy_program(self, program: str, path: str) -> None:
        """Copy an executable to a place below the login's home, as a new file."""
        self._write(self.home / path, "")
        shutil.copyfile(program, self.home / path)
        (self.home / path).chmod(0o755)

    def write_config(self, text: str) -> None:
        """Write the config file as the login would."""
        self._write(self.config, text)

    def systemctl(self, *words: str) -> str:
        """Run `systemctl --user` there, and give what it printed."""
        return self.run("systemctl", "--user", *words)

    def run(self, *words: str) -> str:
        """Run a command there as the login, in its session."""
        done = subprocess.run(
            [*self.login(), f"XDG_RUNTIME_DIR=/run/user/{self.number}", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def until_it_answers(self) -> None:
        """Return when the stand-in is healthy."""
        self._wait_for(self.answers, UNIT)

    def answers(self) -> bool:
        """Whether the stand-in is healthy."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _greets(self) -> bool:
        with socket.socket() as caller:
            caller.settimeout(5)
            return caller.connect_ex(("127.0.0.1", self.ssh_port)) == 0

    def _prepare(self) -> None:
        etc = self.folder / "etc"
        etc.mkdir(parents=True)
        for name, line in (
            ("passwd", f"{ACCOUNT}:x:{self.number}:{self.number}::/mnt/home:/bin/sh"),
            ("group", f"{ACCOUNT}:x:{self.number}:"),
            ("shadow", f"{ACCOUNT}:*:20000:0:99999:7:::"),
        ):
            (etc / name).write_text(f"{Path('/etc', name).read_text().rstrip()}\n{line}\n")
        for name in ("host_key", "login_key"):
            _make_key(etc / name)
        surroundings = f"SetEnv XDG_RUNTIME_DIR=/run/user/{self.number}" if self._session else ""
        (etc / "sshd_config").write_text(SSHD.format(port=self.ssh_port, surroundings=surroundings))
        public = (etc / "host_key.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.ssh_port} {public}")
        self.home.mkdir(mode=0o755)
        os.chown(self.home, self.number, self.number)
        self._write(self.home / ".ssh" / "authorized_keys", (etc / "login_key.pub").read_text())
        self._install()
        self._write_files()

    def _install(self) -> None:
        """Install the stand-in, run by an executable of that name: a process is known by its own.

        Under Python's name, /proc/PID/exe would be that of a launcher.
        """
        python = python_path()
        settings = PYVENV.format(folder=Path(python).parent)
        self._write(self.home / "lib" / "llama-swap" / "pyvenv.cfg", settings)
        self.copy_program(python, EXECUTABLE)
        self.write_program("bin/llama-swap", PROGRAM)

    def _write_files(self, unit: str = UNIT_TEXT, config: str = CONFIG) -> None:
        self._write(self.config, config)
        self._write(self.unit_file, unit.format(port=self.port))

    def _write(self, path: Path, text: str, mode: int = 0o644) -> None:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o755)
            os.chown(folder, self.number, self.number)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.number, self.number)

    def _wait_for(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + COMES_UP_WITHIN
        while not holds():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{what} does not come up: {self._logs()}")
            time.sleep(0.02)

    def _logs(self) -> str:
        names = ("log", "manager.log", "journald.log", "sshd.log")
        texts = [self.folder / name for name in names if (self.folder / name).exists()]
        journal = subprocess.run(
            [*self.entrance, "journalctl", "--no-pager", "--lines=30", f"_UID={self.number}"],
            capture_output=True,
            text=True,
            check=False,
        )
        parts = [f"{path.name}: {path.read_text()[-2000:]}" for path in texts]
        return "\n".join([*parts, journal.stdout, journal.stderr])


@contextmanager
def user_manager(folder: Path, *, session: bool = True) -> Iterator[UserManager]:
    """Such a machine for as long as the block; `session` puts XDG_RUNTIME_DIR into SSH logins."""
    machine = UserManager(folder, session=session)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def python_path() -> str:
    """Where the machine, too, has a Python, under Python's own name."""
    return f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"


def _hidden(path: Path) -> str:
    """The topmost folder on the way to a path that only its owner may pass, if there is one."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return str(folder)
    return ""


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given either."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _make_key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True
    )


def _remove_groups(top: Path) -> None:
    """Remove a control group and those below it, whose processes are about to be gone."""
    for _ in range(100):
        if not top.exists():
            return
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.02)
