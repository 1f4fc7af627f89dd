"""Measure the build and the pages, each as a ratio to a peer in the same run on the same machine.

    python benchmarks/pages.py [--rounds N]

Pages: median seconds of this site and of stock Datasette with the same database,
settings and facets, but none of our templates and plugins. Build: seconds and peak
memory of build_db.py against `sqlite-utils insert` of the same CSV files, which
checks, joins, indexes and searches nothing.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PATHS = ["/", "/twittosphere", "/twittosphere/organisations", "/twittosphere/accounts", "/twittosphere/events", "/twittosphere/uses", "/twittosphere/figures",
         "/twittosphere/sources", "/twittosphere/timeline", "/twittosphere/panorama", "/twittosphere/adoption", "/twittosphere/search?_search=orange",
         "/twittosphere/events?type=crisis&_search=twitter", "/twittosphere/organisations/comcast", "/twittosphere/organisations/twitter",
         "/twittosphere/sources/communication-entreprise-2012-six-ans"]


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command and return its (seconds, peak resident megabytes)."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - start, used.ru_maxrss / 1024


def build_times(folder: Path, rounds: int) -> None:
    """Print the build's time and memory and those of its peer."""
    ours = [measured([sys.executable, str(ROOT / "build_db.py"), "--out", str(folder / "ours.db")]) for _ in range(rounds)]
    package = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
    peer = []
    for _ in range(rounds):
        (folder / "peer.db").unlink(missing_ok=True)
        steps = [measured([sys.executable, "-m", "sqlite_utils", "insert", str(folder / "peer.db"), table["name"], str(ROOT / "data" / table["path"]), "--csv"]) for table in package["resources"]]
        peer.append((sum(seconds for seconds, _ in steps), max(memory for _, memory in steps)))
    (seconds, memory), (peer_seconds, peer_memory) = (map(statistics.median, zip(*runs)) for runs in (ours, peer))
    print(f"build: {seconds:.2f} s, {memory:.0f} MB; sqlite-utils insert alone: {peer_seconds:.2f} s, {peer_memory:.0f} MB; ratios {seconds / peer_seconds:.2f} and {memory / peer_memory:.2f}")


class Server:
    """A Datasette on a free port of 127.0.0.1, for a `with` block; `get` returns seconds."""

    def __init__(self, folder: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([sys.executable, "-m", "datasette", ".", "--port", str(port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self) -> "Server":
        for _ in range(300):
            try:
                self.get("/-/versions.json")
                return self
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(self.address)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def get(self, path: str) -> float:
        """Fetch a page and return the seconds it took."""
        start = time.perf_counter()
        with urllib.request.urlopen(self.address + path) as answer:
            answer.read()
        return time.perf_counter() - start


def page_times(folder: Path, rounds: int) -> None:
    """Print the median of each page, here and in stock Datasette."""
    ours, stock = folder / "ours", folder / "stock"
    for site in (ours, stock):
        site.mkdir()
        subprocess.run([sys.executable, str(ROOT / "build_db.py"), "--out", str(site / "twittosphere.db")], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(ROOT / "settings.json", site)
    for name in ("metadata.yml", "templates", "static", "plugins"):
        (ours / name).symlink_to(ROOT / name)
    metadata = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))
    metadata.pop("extra_css_urls")
    (stock / "metadata.yml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    print(f"{'page':62} {'ours':>8} {'stock':>8} ratio")
    with Server(ours) as here, Server(stock) as peer:
        for path in PATHS + [f"/twittosphere/{name}" for name in metadata["databases"]["twittosphere"]["queries"]]:
            pairs = [(here.get(path), peer.get(path)) for _ in range(rounds + 1)][1:]  # the first fills caches
            mine, theirs = (statistics.median(times) for times in zip(*pairs))
            print(f"{path:62} {1000 * mine:5.0f} ms {1000 * theirs:5.0f} ms {mine / theirs:5.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="repetitions of each measurement (default 9)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        build_times(Path(name), options.rounds)
        page_times(Path(name), options.rounds)
