"""Measure the pages, in turn with stock Datasette on the same file: none of our templates and plugins, the same settings and facets.

    python benchmarks/serve.py [--site DIR] [--rounds N] [--load SECONDS]

For each page: the first answer; the median and the 95th percentile of some more that were made anew (their
addresses differ in a parameter that says nothing); the median of those that the site has kept; all in
milliseconds; its kilobytes; how many facets were cut for want of time; and the ratio of the medians of those made anew. Then, with wrk, requests per second and the 99th percentile at 1, 8 and 32
connections: one process, two workers of uvicorn, and nginx in front of them with its cache (and the download).
Without --site, the real data; with it, a directory with a twittosphere.db built from what generate.py writes.
"""

import argparse
import html
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

from results import recorded
from servers import NGINX, ROOT, Nginx, Server, build, lay_out

PAGES = {
    "home": "/", "tables and questions": "/twittosphere", "table": "/twittosphere/events", "table, three facets": "/twittosphere/figures?_facet=metric&_facet=year&_facet=about", "table, filtered, with facets": "/twittosphere/events?type=crisis",
    "timeline": "/twittosphere/timeline", "timeline, one country and sector": "/twittosphere/timeline?country=FR&sector=retail", "panorama": "/twittosphere/panorama", "sources": "/twittosphere/sources",
    "search, rare word": "/twittosphere/search?_search=comcast", "search, common word": "/twittosphere/search?_search=twitter", "search in a table": "/twittosphere/events?_search=twitter",
    "CSV of 1,000 rows": "/twittosphere/events.csv?_size=1000", "JSON": "/twittosphere/events.json?_size=50", "what is not known": "/what-is-not-known",
}


def get(address: str) -> tuple[float, int]:
    """Fetch a page and return the milliseconds it took, and its bytes; HTTPError for refusals."""
    start = time.perf_counter()
    with urllib.request.urlopen(address, timeout=120) as answer:
        size = len(answer.read())
    return 1000 * (time.perf_counter() - start), size


def measured(address: str, rounds: int) -> tuple[list[float], int]:
    """Return the milliseconds of the first and of so many more answers made anew (fewer if they are slow), and the bytes of one; no times if it is refused."""
    times, size, join = [], 0, "&" if "?" in address else "?"
    try:
        while len(times) <= rounds and (len(times) < 4 or sum(times) < 20_000):
            took, size = get(f"{address}{join}_anew={len(times)}")
            times.append(took)
    except OSError:
        return [], 0
    return times, size


def a_row(address: str, table: str) -> str:
    """Return the path of a row of a table that a site shows."""
    with urllib.request.urlopen(f"{address}/twittosphere/{table}") as answer:
        return re.search(rf'/twittosphere/{table}/[^"?]+(?=")', answer.read().decode())[0]


def next_page(address: str, table: str) -> str:
    """Return the path of the second page of a table."""
    with urllib.request.urlopen(f"{address}/twittosphere/{table}") as answer:
        return html.unescape(re.search(rf'href="[^"]*(/twittosphere/{table}\?[^"]*_next=[^"]+)"', answer.read().decode())[1])


def cut_facets(address: str) -> int:
    """Return how many facets of a page were left out for want of time."""
    with urllib.request.urlopen(address, timeout=120) as answer:
        said = re.search(r"These facets (?:timed out|took too long to count): ([^<]+)", answer.read().decode())
    return len(said[1].split(",")) if said else 0


def page_times(ours: Path, stock: Path, pages: dict[str, str], rounds: int) -> None:
    """Print the times of each page, here and in stock Datasette."""
    print(f"{'page':34} {'first':>8} {'median':>8} {'p95':>8} {'kept':>6} {'kB':>6} {'cut':>3}   {'stock':>8} {'p95':>8} {'kB':>6} {'cut':>3}  ratio")
    p95 = lambda times: sorted(times)[int(0.95 * len(times))]  # noqa: E731
    with Server(ours) as here, Server(stock) as peer:
        for name, path in pages.items():
            (mine, size), (theirs, other) = measured(here.address + path, rounds), measured(peer.address + path, rounds)
            shown, against = f"{'refused':>44}", "refused, or not there"
            if mine:
                kept = statistics.median(get(here.address + path)[0] for _ in range(5))
                shown = f"{mine[0]:8.1f} {statistics.median(mine[1:]):8.1f} {p95(mine[1:]):8.1f} {kept:6.1f} {size / 1000:6.0f} {cut_facets(here.address + path):3}"
            if mine and theirs:
                against = f"{statistics.median(theirs[1:]):8.1f} {p95(theirs[1:]):8.1f} {other / 1000:6.0f} {cut_facets(peer.address + path):3}  {statistics.median(mine[1:]) / statistics.median(theirs[1:]):5.2f}"
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
        print(f"{label:19} {name:34} {'  '.join(found)}", flush=True)


def main(site: Path | None, rounds: int, seconds: int) -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        ours, stock, front = (Path(name) / part for part in ("ours", "stock", "nginx"))
        for folder in (stock, front):
            folder.mkdir()
        if site is None:
            site = Path(name)
            build(site)
        lay_out(ours, site)
        shutil.copy(ROOT / "settings.json", stock)
        metadata = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))
        metadata.pop("extra_css_urls")
        (stock / "metadata.yml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
        for part in ("twittosphere.db", "inspect-data.json"):
            (stock / part).symlink_to(site / part)
        with Server(ours) as server:
            pages = PAGES | {singular: a_row(server.address, table) for singular, table in (("organisation", "organisations"), ("source", "sources"), ("event", "events"))}
            pages |= {f"second page of {table}": next_page(server.address, table) for table in ("facts", "sources")}
        pages |= {f"question: {query}": f"/twittosphere/{query}" for query in metadata["databases"]["twittosphere"]["queries"]}
        page_times(ours, stock, pages, rounds)
        if seconds and shutil.which("wrk") and NGINX:
            print(f"\n{'':54} {'1 connection':>20} {'8 connections':>20} {'32 connections':>20}   (requests per second, 99th percentile)")
            with Server(ours) as server:
                loads(server.address, "one process", pages, seconds)
            with Server(ours, 2) as server:
                loads(server.address, "two workers", pages, seconds)
                with Nginx(server.address, ours, front) as nginx:
                    loads(nginx.address, "nginx, kept", pages, seconds)
                    lasting = re.search(r"/(twittosphere-[0-9a-f]{7})/", urllib.request.urlopen(nginx.address).read().decode())[1]
                    loads(nginx.address, "nginx, of a version", {name: path.replace("twittosphere", lasting, 1) for name, path in pages.items() if path.startswith("/twittosphere")}, seconds)
                    for label, address in (("Python", server.address), ("nginx", nginx.address)):
                        start = time.perf_counter()
                        size = sum(len(part) for part in iter(lambda answer=urllib.request.urlopen(address + "/twittosphere.db"): answer.read(1 << 20), b""))
                        print(f"download by {label}: {size / 1e6 / (time.perf_counter() - start):,.0f} MB/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, metavar="DIR", help="directory with a twittosphere.db to serve (default: the real data, built anew)")
    parser.add_argument("--rounds", type=int, default=20, help="answers measured of each page (default 20)")
    parser.add_argument("--load", type=int, default=1, metavar="SECONDS", help="length of each load by wrk, 0 for none (default 1)")
    options = parser.parse_args()
    with recorded():
        main(options.site and options.site.resolve(), options.rounds, options.load)
