"""Score the pages with Lighthouse on the local Chromium: performance, accessibility, best practices, search.

    python benchmarks/lighthouse.py [PATH ...]

Needs Node.js, from whose registry npx takes Lighthouse, and Chromium. Prints a line a page and ends with 1 if a score is below 95.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from results import recorded
from servers import Server, build, lay_out

LIGHTHOUSE = "lighthouse@13.5.0"
PATHS = ["/", "/fr/", "/twittosphere/organisations/societe-generale", "/twittosphere/cohorts/cac-40-2012-03", "/twittosphere/events", "/twittosphere/timeline", "/twittosphere/who-left"]
CATEGORIES = ["performance", "accessibility", "best-practices", "seo"]
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"


def scores(address: str) -> dict[str, int]:
    """Return category → score from 0 to 100 of a page."""
    command = ["npx", "--yes", LIGHTHOUSE, address, "--quiet", "--output=json", f"--only-categories={','.join(CATEGORIES)}", f"--chrome-flags={FLAGS}"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return {name: round(100 * report["categories"][name]["score"]) for name in CATEGORIES}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, recorded():
        site = lay_out(Path(name))
        build(site)
        with Server(site) as server:
            found = {path: scores(server.address + path) for path in sys.argv[1:] or PATHS}
        print(f"{'page':50}", *CATEGORIES)
        for path, score in found.items():
            print(f"{path:50}", *(f"{score[name]:{len(name)}}" for name in CATEGORIES))
    sys.exit(any(value < 95 for score in found.values() for value in score.values()))
