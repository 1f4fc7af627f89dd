"""The package: what a wheel holds, its command and its functions, in a clean environment and outside the repository."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from urllib.request import urlopen

import pytest

from servers import ROOT, Running, free_port


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a clean environment with our wheel in it, made from our source package, beside the libraries that are installed here."""
    folder = tmp_path_factory.mktemp("package")
    clone = shutil.copytree(ROOT, folder / "clone", ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "twittosphere.db*", "__pycache__"))
    subprocess.run([sys.executable, "-c", "from setuptools.build_meta import build_sdist; build_sdist('..')"], cwd=clone, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (packed,) = folder.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, packed], check=True)
    venv.create(folder / "venv", with_pip=True)
    commands = folder / "venv" / "bin"
    subprocess.run([commands / "pip", "install", "-q", "--no-deps", "--no-index", *folder.glob("*.whl")], check=True)
    (others,) = (folder / "venv").glob("lib/python*/site-packages")
    # A plain path: what is installed here as a clone is not found by it, only the libraries.
    (others / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    shutil.rmtree(clone)
    return commands


def run(installed: Path, *arguments: object, command: str = "twittosphere") -> subprocess.CompletedProcess:
    """Run a command of the environment, far from the repository."""
    return subprocess.run([installed / command, *map(str, arguments)], capture_output=True, text=True, cwd=installed.parent)


def python(installed: Path, code: str) -> str:
    """Return what a program prints."""
    finished = run(installed, "-c", code, command="python")
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_sql(installed: Path, db: sqlite3.Connection):
    count = db.execute("select count(*) from events").fetchone()[0]
    assert run(installed, "sql", "select count(*) from events").stdout.split() == ["count(*)", "----------", str(count)]
    finished = run(installed, "sql", "select id, country from organisations where country = :c and kind = :k order by id", "-p", "c", "FR", "-p", "k", "company", "--format", "json")
    assert [tuple(row.values()) for row in json.loads(finished.stdout)] == [tuple(row) for row in db.execute("select id, country from organisations where country = 'FR' and kind = 'company' order by id")] != []
    for query, said in (("select x", "no such column: x"), ("delete from events", "readonly"), ("", "no question")):
        refused = run(installed, "sql", query)
        assert refused.returncode == 1 and said in refused.stderr and "Traceback" not in refused.stderr and not refused.stdout


def test_export(installed: Path, db: sqlite3.Connection, tmp_path: Path):
    rows = [tuple(row) for row in db.execute("select * from uses")]
    assert run(installed, "export", "uses", "-o", tmp_path / "uses.csv").returncode == 0
    with (tmp_path / "uses.csv").open(encoding="utf-8", newline="") as file:
        header, *found = csv.reader(file)
    assert [tuple(cell or None for cell in row) for row in found] == [tuple(None if cell is None else str(cell) for cell in row) for row in rows]
    for form in ("json", "nl"):
        text = run(installed, "export", "uses", "-f", form).stdout
        objects = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
        assert [tuple(row.values()) for row in objects] == rows and list(objects[0]) == header
    refused = run(installed, "export", "use")
    assert refused.returncode == 1 and "there is no table use" in refused.stderr and "uses" in refused.stderr


def test_info_path_and_verify(installed: Path, db: sqlite3.Connection):
    known = json.loads(run(installed, "info", "--json").stdout)
    about = dict(map(tuple, db.execute("select key, value from _package")))
    assert known["digest"] == about["digest"] and known["counts"] == dict(map(tuple, db.execute("select name, row_count from _tables")))
    path = Path(run(installed, "path").stdout.strip())
    assert path == Path(known["path"]) and path.is_relative_to(installed.parent) and path.stat().st_size == known["bytes"]
    assert f"{known['counts']['events']:,} events" in run(installed, "info").stdout
    assert run(installed, "verify").stdout == f"sound; digest {about['digest']}\n"
    assert run(installed, "--version").stdout.strip() == about["version"] == python(installed, "import twittosphere; print(twittosphere.VERSION)")
    whole = path.read_bytes()
    try:
        changed = sqlite3.connect(path)
        changed.execute("update events set title = 'Invented' where id = (select id from events limit 1)")
        changed.commit()
        changed.close()
        refused = run(installed, "verify", "--json")
        assert refused.returncode == 1 and not json.loads(refused.stdout)["sound"] and "digest" in refused.stdout
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_serve(installed: Path, db: sqlite3.Connection, workers: int):
    port = free_port()
    with Running([str(installed / "twittosphere"), "serve", "--port", str(port), "--workers", str(workers)], installed.parent, port) as server:
        with urlopen(f"{server.address}/twittosphere.json?sql=select+count(*)+as+n+from+events&_shape=array") as answer:
            assert json.load(answer) == [{"n": db.execute("select count(*) from events").fetchone()[0]}]
        for page in ("/", "/fr/", "/twittosphere/events", "/charts/timeline.svg", "/what-is-not-known", "/static/twittosphere.css"):
            with urlopen(server.address + page) as answer:
                assert answer.status == 200


def test_functions(installed: Path, db: sqlite3.Connection):
    assert python(installed, "import doctest, twittosphere; print(doctest.testmod(twittosphere))") == "TestResults(failed=0, attempted=6)"
    assert python(installed, "import twittosphere; print(len(twittosphere.table('facts')))") == str(db.execute("select count(*) from facts").fetchone()[0])
    refused = run(installed, "-c", "import twittosphere; twittosphere.table('x')", command="python")
    assert refused.returncode == 1 and "ValueError: there is no table 'x'" in refused.stderr
    refused = run(installed, "-c", "import twittosphere; twittosphere.connect().execute('delete from events')", command="python")
    assert "readonly database" in refused.stderr


@pytest.mark.parametrize("library, size", [("pandas", "len(frame)"), ("polars", "frame.height")])
def test_frames(site: Path, db: sqlite3.Connection, library: str, size: str):
    code = f"import pathlib, twittosphere; twittosphere.PATH = pathlib.Path({str(site / 'twittosphere.db')!r}); frame = twittosphere.table('figures', {library!r}); print({size}, sum(frame['value']))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}).stdout.split()
    count, total = db.execute("select count(*), sum(value) from figures").fetchone()
    assert int(printed[0]) == count and float(printed[1]) == pytest.approx(total)


def test_the_shell_completes_words(installed: Path):
    said = subprocess.run([installed / "twittosphere"], env={"_TWITTOSPHERE_COMPLETE": "bash_complete", "COMP_WORDS": "twittosphere ex", "COMP_CWORD": "1", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert said.stdout == "plain,export\n", said


def test_types():
    finished = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout
