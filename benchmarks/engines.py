"""Ask the questions of the site on four engines: SQLite, DuckDB, PostgreSQL, and Spark on a cluster of two workers.

    python benchmarks/engines.py [--site DIR] [--rounds N]

Each but SQLite loads what `make release` writes, with the script and the queries of the release. Prints, for each
question, its rows and the time of each engine, and ends with 1 if two engines give different rows. An engine that
is not installed is left out, with the reason.
"""

import argparse
import contextlib
import csv
import importlib.util
import io
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from results import recorded
from servers import ROOT

sys.path.insert(0, str(ROOT))
import build_db  # noqa: E402
import release  # noqa: E402

Ask = Callable[[str, dict[str, str]], list[tuple]]  # query, parameters → rows
BLANK = "\x01"  # stands for NULL where psql prints it
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
TYPED_IN = {"country": "FR", "before": "2012", "since": "2022", "until": "2023", "year": "2013", "organisation": "SNCF", "use": "customer_service"}  # asked beside blank ones
QUERIES = build_db.site()["queries"]


@contextlib.contextmanager
def sqlite(database: Path, tables: Path) -> Iterator[Ask]:
    """The database itself, with its indexes."""
    db = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    yield lambda sql, params: db.execute(sql, params).fetchall()
    db.close()


@contextlib.contextmanager
def duckdb(database: Path, tables: Path) -> Iterator[Ask]:
    """DuckDB on the Parquet files."""
    import duckdb

    db = duckdb.connect()
    db.execute(f"SET file_search_path = {release.text_of(str(tables / 'parquet'))}")
    db.execute((tables / "parquet" / "duckdb.sql").read_text(encoding="utf-8"))
    yield lambda sql, params: db.execute(sql, params).fetchall()
    db.close()


@contextlib.contextmanager
def spark(database: Path, tables: Path) -> Iterator[Ask]:
    """Spark on the Parquet files: a master and two workers, each a process of its own."""
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    settings = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "4", "spark.log.level": "ERROR"}
    with contextlib.chdir(tables / "parquet"), tempfile.TemporaryDirectory() as scratch:
        builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName(build_db.DATABASE).config("spark.local.dir", scratch).config("spark.worker.dir", scratch)
        session = builder.config(map=settings).getOrCreate()
        try:
            for statement in (tables / "parquet" / "spark.sql").read_text(encoding="utf-8").split(";\n")[:-1]:  # whose comments Spark skips
                session.sql(statement)
            yield lambda sql, params: [tuple(row) for row in session.sql(sql, args=params).collect()]
        finally:
            session.stop()


def programs_of_postgresql() -> Path | None:
    """Return the directory with the programs of the newest PostgreSQL server that Debian installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


@contextlib.contextmanager
def postgresql(database: Path, tables: Path) -> Iterator[Ask]:
    """A PostgreSQL server of its own, on a socket in a directory of its own, loaded from the CSV files by psql."""
    programs, who = programs_of_postgresql(), {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}  # it refuses to run as root
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        data.mkdir()
        if who:
            Path(name).chmod(0o755)
            shutil.chown(data, **who)
        subprocess.run([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/", **who)
        server = subprocess.Popen([programs / "postgres", "-D", data, "-k", data, "-c", "listen_addresses=", "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **who)
        psql = ["psql", "--no-psqlrc", "-h", data, "-U", "postgres", "-q"]
        try:
            while subprocess.run([programs / "pg_isready", "-q", "-h", data]).returncode:
                if server.poll() is not None:
                    raise RuntimeError("PostgreSQL has not started")
                time.sleep(0.1)
            subprocess.run([*psql, "-f", "postgresql.sql"], check=True, cwd=tables / "csv")

            def ask(sql: str, params: dict[str, str]) -> list[tuple]:
                command = [*psql, "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-P", f"null={BLANK}", *(part for name, value in params.items() for part in ("-v", f"{name}={value}"))]
                said = subprocess.run(command, input=sql.rstrip() + ";\n", capture_output=True, text=True, check=True).stdout
                return [tuple(None if cell == BLANK else cell for cell in row) for row in csv.reader(io.StringIO(said))]

            yield ask
        finally:
            server.terminate()
            server.wait()


ENGINES: dict[str, Callable[[Path, Path], contextlib.AbstractContextManager[Ask]]] = {"sqlite": sqlite, "duckdb": duckdb, "postgresql": postgresql, "spark": spark}


def missing(engine: str) -> str | None:
    """Return why an engine cannot be asked here, or None."""
    if engine == "postgresql" and not (programs_of_postgresql() and shutil.which("psql")):
        return "Debian's postgresql is not installed"
    if engine == "spark" and not importlib.util.find_spec("pyspark"):
        return "pyspark is not installed; it is one of the extras: engines"
    if engine == "spark" and not shutil.which("java"):
        return "Java is not installed: Debian's default-jre-headless"
    if engine == "duckdb" and not importlib.util.find_spec("duckdb"):
        return "duckdb is not installed; it is one of the extras: test"
    return None


def plain(row: tuple) -> tuple[str | None, ...]:
    """Return a row as text that is the same whatever the engine: numbers to twelve digits, addresses of sources, which come in any order, in the order of the alphabet."""
    cells = [None if cell is None else str(cell) for cell in row]
    return tuple(" ".join(sorted(cell.split())) if cell and "://" in cell else f"{float(cell):.12g}" if cell and NUMBER.fullmatch(cell) else cell for cell in cells)


def asked(sql: str) -> list[dict[str, str]]:
    """Return the parameters that a query is asked with: all of them blank, and if it has some, all of them typed in."""
    names = re.findall(r":(\w+)", re.sub(r"'[^']*'", "", sql))
    return [{name: "" for name in names}] + [{name: TYPED_IN[name] for name in names}] * bool(names)


def main(site: Path, rounds: int) -> int:
    """Print rows and times of every question on every engine; return 1 if they disagree."""
    times: dict[str, dict[str, float]] = {name: {} for name in QUERIES}
    rows: dict[str, list[list[tuple]]] = {}
    wrong, there = [], []
    with tempfile.TemporaryDirectory() as name:
        tables, database = Path(name), site / f"{build_db.DATABASE}.db"
        db, start = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro&immutable=1", uri=True), time.perf_counter()
        release.write_tables(db, tables)
        size = sum(file.stat().st_size for file in tables.rglob("*.parquet")) / 1e6
        print(f"{db.execute('SELECT sum(row_count) FROM _tables').fetchone()[0]:,} rows, written as CSV and as {size:,.0f} MB of Parquet in {time.perf_counter() - start:.0f} s")
        db.close()
        for engine, opened in ENGINES.items():
            if reason := missing(engine):
                print(f"{engine}: left out; {reason}")
                continue
            there.append(engine)
            start = time.perf_counter()
            with opened(database, tables) as ask:
                print(f"{engine}: ready in {time.perf_counter() - start:.1f} s")
                for query, about in QUERIES.items():
                    sql, taken, found = (tables / "queries" / engine / f"{query}.sql").read_text(encoding="utf-8"), [], []
                    for params in asked(about["sql"]):
                        for _ in range(rounds):
                            start = time.perf_counter()
                            answer = ask(sql, params)
                            taken.append(time.perf_counter() - start)
                        found.append([plain(row) for row in answer])
                    times[query][engine] = statistics.median(taken)
                    if rows.setdefault(query, found) != found:
                        wrong.append(f"{query}: {engine} and {there[0]} differ")
    print(f"\n{'question':28} {'rows':>7}", *(f"{engine:>12}" for engine in there), "  (milliseconds, median)")
    for query, taken in times.items():
        print(f"{query:28} {len(rows[query][0]):7,}", *(f"{1000 * taken[engine]:12,.1f}" for engine in there))
    print(f"\n{len(QUERIES) * len(there) - len(wrong)} of {len(QUERIES) * len(there)} answers agree", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT, metavar="DIR", help="directory with a twittosphere.db (default: this one)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each question is asked (default 3)")
    options = parser.parse_args()
    with recorded():
        status = main(options.site, options.rounds)
    sys.exit(status)
