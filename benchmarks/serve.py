"""Measure the pages, as ratios to stock Datasette in the same run on the same machine.

    python benchmarks/pages.py [--rounds N]

Median seconds of this site and of stock Datasette with the same database,
settings and facets, but none of our templates and plugins.
"""

import argparse
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
        page_times(Path(name), options.rounds)
