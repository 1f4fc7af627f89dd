"""Servers on 127.0.0.1, for benchmarks and tests: Datasette, alone or with several workers, and nginx in front of it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("metadata.yml", "settings.json", "templates", "static", "plugins")  # of a Datasette directory
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def lay_out(folder: Path, site: Path | None = None) -> Path:
    """Make a folder a Datasette directory with the parts of ours that it does not have, and the database of a site if one is named; return it."""
    folder.mkdir(exist_ok=True)
    for origin, names in ((ROOT, PARTS), (site, ("twittosphere.db", "inspect-data.json") if site else ())):
        for name in names:
            if not (folder / name).exists():
                (folder / name).symlink_to(origin / name)
    return folder


def build(folder: Path, *arguments: object) -> None:
    """Build the database of a folder, as a user would."""
    subprocess.run([sys.executable, ROOT / "build_db.py", "--out", folder / "twittosphere.db", *arguments], check=True, stdout=subprocess.DEVNULL)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Running:
    """A server for a `with` block: its `address`, and its `process` once it answers."""

    address: str
    process: subprocess.Popen

    def __init__(self, command: list[str], folder: Path, port: int):
        self.command, self.folder, self.address = command, folder, f"http://127.0.0.1:{port}"

    def __enter__(self) -> "Running":
        with tempfile.TemporaryFile("w+") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{self.address}/-/versions.json").close()
                    return self
                except OSError:
                    if self.process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(log.read()) from None
                    time.sleep(0.1)
        raise TimeoutError(self.address)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)


class Server(Running):
    """Datasette in a folder, with workers of uvicorn if told so."""

    def __init__(self, folder: Path, workers: int = 0):
        by = ["uvicorn", "twittosphere.asgi:site", "--factory", "--workers", str(workers), "--app-dir", str(ROOT), "--no-access-log"] if workers else ["datasette", "."]
        port = free_port()
        super().__init__([sys.executable, "-m", *by, "--host", "127.0.0.1", "--port", str(port)], folder, port)


class Nginx(Running):
    """nginx with deploy/nginx.conf in front of a server and its site, with its files in a folder; its limit leaves out the machine itself, unless limited."""

    def __init__(self, behind: str, site: Path, folder: Path, limited: bool = False):
        port = free_port()
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        for old, new in [("listen 80;", f"listen 127.0.0.1:{port};"), ("127.0.0.1:8001", behind.removeprefix("http://")), ("/var/cache/nginx", str(folder)), ("/srv/twittosphere", str(site)), ('127.0.0.1 "";', "" if limited else '127.0.0.1 "";')]:
            assert old in text, old
            text = text.replace(old, new)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2; {user}\nevents {{}}\nhttp {{ access_log off; include /etc/nginx/mime.types;\n{text}\n}}\n")
        super().__init__([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port)
