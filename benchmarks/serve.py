"""Measure the pages, in turn with stock Datasette on the same file: none of our templates and plugins, the same settings and facets.

    python benchmarks/serve.py [--site DIR] [--rounds N] [--load SECONDS]

For each page: the first answer; the median and the 95th percentile of some more that were made anew (their
addresses differ in a parameter that says nothing); the median of those that the site has kept; all in
milliseconds; its kilobytes; and the ratio of the medians of those made anew. Then, with wrk, requests per second and the 99th percentile at 1, 8 and 32
connections: one process, two workers of uvicorn, and nginx in front of them with its cache (and the download).
Without --site, the real data; with it, a directory with a twittosphere.db built from what generate.py writes.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "home": "/", "tables and questions": "/twittosphere", "table": "/twittosphere/events", "table, three facets": "/twittosphere/figures?_facet=metric&_facet=year&_facet=about", "table, filtered, with facets": "/twittosphere/events?type=crisis",
    "timeline": "/twittosphere/timeline", "timeline, one country and sector": "/twittosphere/timeline?country=FR&sector=retail", "panorama": "/twittosphere/panorama", "sources": "/twittosphere/sources",
    "search, rare word": "/twittosphere/search?_search=comcast", "search, common word": "/twittosphere/search?_search=twitter", "search in a table": "/twittosphere/events?_search=twitter",
    "CSV of 1,000 rows": "/twittosphere/events.csv?_size=1000", "JSON": "/twittosphere/events.json?_size=50", "what is not known": "/what-is-not-known",
}
LOADED = ["table", "organisation", "event"]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A Datasette, with workers if told so, on a free port of 127.0.0.1, for a `with` block; `get` returns seconds."""

    def __init__(self, folder: Path, workers: int = 0):
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = ["uvicorn", "asgi:site", "--factory", "--workers", str(workers), "--app-dir", str(ROOT), "--no-access-log"] if workers else ["datasette", "."]
        self.process = subprocess.Popen([sys.executable, "-m", *command, "--port", str(port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.bytes = 0

    def __enter__(self) -> "Server":
        for _ in range(600):
            try:
                self.get("/-/versions.json")
                return self
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(self.address)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def get(self, path: str) -> float:
        """Fetch a page and return the seconds it took; HTTPError for refusals."""
        start = time.perf_counter()
        with urllib.request.urlopen(self.address + path, timeout=120) as answer:
            self.bytes = len(answer.read())
        return time.perf_counter() - start


class Nginx:
    """nginx with deploy/nginx.conf in front of an address, for a `with` block."""

    def __init__(self, behind: str, site: Path, folder: Path):
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        for old, new in [("listen 80;", f"listen 127.0.0.1:{port};"), ("127.0.0.1:8001", behind.removeprefix("http://")), ("/var/cache/nginx", str(folder)), ("/srv/twittosphere", str(site))]:
            text = text.replace(old, new)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 2; {user}\nevents {{}}\nhttp {{ access_log off;\n{text}\n}}\n")
        self.command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]

    def __enter__(self) -> "Nginx":
        self.process = subprocess.Popen(self.command)
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def measured(server: Server, path: str, rounds: int) -> tuple[list[float], int]:
    """Return the milliseconds of the first and of so many more answers made anew (fewer if they are slow), and the bytes of one; no times if it is refused."""
    times, join = [], "&" if "?" in path else "?"
    try:
        while len(times) <= rounds and (len(times) < 4 or sum(times) < 20_000):
            times.append(1000 * server.get(f"{path}{join}_anew={len(times)}"))
    except (urllib.error.HTTPError, OSError):
        return [], 0
    return times, server.bytes


def page_times(ours: Path, stock: Path, pages: dict[str, str], rounds: int) -> None:
    """Print the times of each page, here and in stock Datasette."""
    print(f"{'page':34} {'first':>8} {'median':>8} {'p95':>8} {'kept':>6} {'kB':>6}   {'stock':>8} {'p95':>8} {'kB':>6}  ratio")
    with Server(ours) as here, Server(stock) as peer:
        for name, path in pages.items():
            (mine, size), (theirs, other) = measured(here, path, rounds), measured(peer, path, rounds)
            p95 = lambda times: sorted(times[1:])[int(0.95 * (len(times) - 1))]  # noqa: E731
            kept = statistics.median([1000 * here.get(path) for _ in range(5)]) if mine else 0
            shown = f"{mine[0]:8.1f} {statistics.median(mine[1:]):8.1f} {p95(mine):8.1f} {kept:6.1f} {size / 1000:6.0f}" if mine else f"{'refused':>40}"
            against = f"{statistics.median(theirs[1:]):8.1f} {p95(theirs):8.1f} {other / 1000:6.0f}  {statistics.median(mine[1:]) / statistics.median(theirs[1:]):5.2f}" if mine and theirs else "refused, or not there"
            print(f"{name:34} {shown}   {against}", flush=True)


def loads(address: str, label: str, pages: dict[str, str], seconds: int) -> None:
    """Print requests per second and the 99th percentile of pages at 1, 8 and 32 connections."""
    for name, path in pages.items():
        found = []
        for connections in (1, 8, 32):
            urllib.request.urlopen(address + path).read()
            said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", address + path], capture_output=True, text=True).stdout
            rate, high = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"^\s+99%\s+(\S+)", said, re.MULTILINE)
            errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
            found.append(f"{float(rate[1]):9,.0f}/s {high[1]:>8}{f' ({errors[1]} refused)' if errors else ''}")
        print(f"{label:26} {name:14} {'  '.join(found)}", flush=True)


def main(site: Path | None, rounds: int, seconds: int) -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        ours, stock, front = Path(name) / "ours", Path(name) / "stock", Path(name) / "nginx"
        for folder in (ours, stock, front):
            folder.mkdir()
        if site is None:
            site = Path(name)
            subprocess.run([sys.executable, str(ROOT / "build_db.py"), "--out", str(site / "twittosphere.db")], check=True, stdout=subprocess.DEVNULL)
        for folder in (ours, stock):
            for part in ("twittosphere.db", "inspect-data.json"):
                (folder / part).symlink_to(site / part)
            shutil.copy(ROOT / "settings.json", folder)
        for part in ("metadata.yml", "templates", "static", "plugins"):
            (ours / part).symlink_to(ROOT / part)
        metadata = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))
        metadata.pop("extra_css_urls")
        (stock / "metadata.yml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
        with Server(ours) as server:
            row = lambda table, place: re.search(rf'/twittosphere/{table}/([^"?]+)"', urllib.request.urlopen(f"{server.address}/twittosphere/{table}?_size=100").read().decode())[1]  # noqa: E731
            pages = PAGES | {singular: f"/twittosphere/{table}/{row(table, 50)}" for singular, table in (("organisation", "organisations"), ("source", "sources"), ("event", "events"))}
        pages |= {f"question: {query}": f"/twittosphere/{query}" for query in metadata["databases"]["twittosphere"]["queries"]}
        page_times(ours, stock, pages, rounds)
        if seconds and shutil.which("wrk"):
            chosen = {name: pages[name] for name in LOADED}
            print(f"\n{'':41} {'1 connection':>20} {'8 connections':>20} {'32 connections':>20}   (requests per second, 99th percentile)")
            with Server(ours) as server:
                loads(server.address, "one process", chosen, seconds)
            with Server(ours, 2) as server:
                loads(server.address, "two workers", chosen, seconds)
                with Nginx(server.address, ours, front) as nginx:
                    loads(nginx.address, "nginx, kept", chosen, seconds)
                    for label, address in (("Python", server.address), ("nginx", nginx.address)):
                        start = time.perf_counter()
                        size = sum(len(part) for part in iter(lambda answer=urllib.request.urlopen(address + "/twittosphere.db"): answer.read(1 << 20), b""))
                        print(f"download by {label}: {size / 1e6 / (time.perf_counter() - start):,.0f} MB/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, metavar="DIR", help="directory with a twittosphere.db to serve (default: the real data, built anew)")
    parser.add_argument("--rounds", type=int, default=20, help="answers measured of each page (default 20)")
    parser.add_argument("--load", type=int, default=3, metavar="SECONDS", help="length of each load by wrk, 0 for none (default 3)")
    options = parser.parse_args()
    main(options.site and options.site.resolve(), options.rounds, options.load)
