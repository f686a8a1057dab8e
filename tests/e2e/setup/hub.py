"""A small hub of models: the routes of huggingface.co that `hf download` asks for."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34
_CHUNK = 1 << 16


class Hub:
    """Repositories by name, each with its files by their paths.

    A download hangs after `hang_after` bytes until `go_on` is set, and its connection breaks once
    after `break_after` bytes. `starts` are the first bytes that each download asked for, in order.
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        self.hang_after: int | None = None
        self.break_after: int | None = None
        self.starts: list[int] = []
        self.is_hanging = threading.Event()
        self.go_on = threading.Event()
        self.url = ""


@contextmanager
def run_hub(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """Serve the repositories on loopback while the block runs."""
    hub = Hub(repositories)

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if info := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            self._answer_info(info[1])
        elif tree := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            self._answer_tree(tree[1])
        elif file := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._answer_file(file[1], file[2])
        else:
            self._refuse("EntryNotFound")

    def _answer_info(self, repo: str) -> None:
        files = self.served.repositories.get(repo)
        if files is None:
            self._refuse("RepoNotFound")
            return
        siblings = [{"rfilename": name} for name in files]
        self._answer_json({"id": repo, "sha": COMMIT, "private": False, "siblings": siblings})

    def _answer_tree(self, repo: str) -> None:
        files = self.served.repositories.get(repo)
        if files is None:
            self._refuse("RepoNotFound")
            return
        self._answer_json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in files.items()
            ]
        )

    def _answer_json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer_file(self, repo: str, name: str) -> None:
        content = self.served.repositories.get(repo, {}).get(name)
        if content is None:
            self._refuse("EntryNotFound")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        end = int(wanted[2]) + 1 if wanted and wanted[2] else len(content)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.served.starts.append(start)
        for at in range(start, end, _CHUNK):
            if self.served.break_after is not None and at >= self.served.break_after:
                self.served.break_after = None
                self.close_connection = True
                return
            if self.served.hang_after is not None and at >= self.served.hang_after:
                self.served.is_hanging.set()
                self.served.go_on.wait()
            self.wfile.write(content[at : min(at + _CHUNK, end)])

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
