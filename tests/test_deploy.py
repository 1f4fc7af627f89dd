"""Serving to many: uvicorn with two workers behind nginx, with the configuration of deploy/."""

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers import NGINX, ROOT, Nginx, Server
from test_guard import fetch
from twittosphere.cli import cli

@contextmanager
def behind_nginx(site: Path, folder: Path, limited: bool = False) -> Iterator[str]:
    """Run the site with two workers and nginx in front of it; give the address of nginx."""
    with Server(site, workers=2) as server, Nginx(server.address, site, folder, limited) as nginx:
        yield nginx.address


@pytest.mark.skipif(not NGINX, reason="install Debian's nginx-light; `make test` does")
def test_behind_nginx(site: Path, tmp_path: Path):
    with behind_nginx(site, tmp_path) as address:
        lasting = re.search(r"(/twittosphere-[0-9a-f]{7}/)", fetch(address)[2].decode())[1] + "organisations/orange"
        pages = [lasting, "/", "/fr/", "/twittosphere/events", "/twittosphere/organisations/orange", "/twittosphere/events.json?_size=5"]
        first = {page: fetch(address + page) for page in pages}
        again = {page: fetch(address + page) for page in pages}
        assert {status for status, _, _ in [*first.values(), *again.values()]} == {200}
        assert all(again[page][1]["x-cache"] == "HIT" and again[page][2] == first[page][2] for page in pages)
        assert "immutable" in again[lasting][1]["cache-control"] and again[lasting][2] == again["/twittosphere/organisations/orange"][2]
        assert "default-src 'none'" in again["/"][1]["content-security-policy"]
        kept = fetch(f"{address}/how-facts-are-coded", headers={"Host": "evil.example"})[2] + fetch(f"{address}/how-facts-are-coded")[2]
        assert b"evil" not in kept and b'rel="canonical" href="http://twittosphere.example/how-facts-are-coded"' in kept
        whole = (site / "twittosphere.db").read_bytes()
        status, headers, body = fetch(f"{address}/twittosphere.db")
        assert status == 200 and body == whole and int(headers["content-length"]) == len(whole) and "x-cache" not in headers
        assert fetch(f"{address}/twittosphere.db", headers={"Range": "bytes=100-"})[::2] == (206, whole[100:])
        assert fetch(f"{address}/twittosphere.db.gz")[2] == (site / "twittosphere.db.gz").read_bytes()
        assert fetch(f"{address}/twittosphere/organisations.csv?_stream=on")[2].count(b"\n") > 2000
        assert Counter(fetch(f"{address}/twittosphere/events?_size={n}")[0] for n in range(1, 101)) == {200: 100}, "nobody is limited on the machine itself"


@pytest.mark.skipif(not NGINX, reason="install Debian's nginx-light; `make test` does")
def test_one_visitor_is_limited(site: Path, tmp_path: Path):
    with behind_nginx(site, tmp_path, limited=True) as address:
        start = time.monotonic()
        answers = Counter(fetch(address + "/")[0] for _ in range(300))
        allowed = 61 + 10 * (time.monotonic() - start)
        assert set(answers) == {200, 429} and 60 <= answers[200] <= allowed + 2, (answers, allowed)
        time.sleep(1)
        assert fetch(address + "/")[0] == 200, "who waits is served again"


def test_dockerfile():
    finished = subprocess.run([Path(sys.executable).with_name("hadolint"), "--no-color", ROOT / "deploy" / "Dockerfile"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_service(tmp_path: Path):
    text = (ROOT / "deploy" / "twittosphere.service").read_text(encoding="utf-8")
    command = re.search("^ExecStart=(\\S+) (.*)$", text, re.MULTILINE)
    unit = tmp_path / "twittosphere.service"
    unit.write_text(text.replace(command[1], "/bin/true"), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    parsed = cli.commands["serve"].make_context("serve", command[2].split()[1:])
    assert parsed.params["port"] == 8001 and parsed.params["workers"] == 2
