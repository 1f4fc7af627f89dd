"""Measure the build against its peers, in turn, in the same run, on generated data of several sizes.

    python benchmarks/build.py [--scale N ...] [--rounds N]

Ours checks every row, reports by position, typesets French, joins, derives, indexes, documents and verifies.
- `sqlite3 .import`: the command-line shell into the same schema, with the same derived tables, indexes, search
  indexes and integrity checks, from files whose citations were cut apart for it beforehand; it checks no row,
  typesets nothing, and writes no documentation and no digest.
- executemany: the same by csv and sqlite3 of Python.
- sqlite-utils insert --csv: plain tables, nothing else. csvs-to-sqlite: the same, if it is installed.
- frictionless: validation alone (up to scale 0.01, beyond which it takes too long).
Prints, and writes to RESULTS.md, medians of wall seconds, peak megabytes, rows (with citations) per second, and the ratio to .import.
"""

import argparse
import csv
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import build_db  # noqa: E402
from results import recorded  # noqa: E402
from validate import citations  # noqa: E402

OURS_ONLY = [(r"\bfrench\(", "("), (r"\bfigure_title\(", "printf('%s %s %s %s %s %s %s %s', "), (r"\bwilson\(", "max(")]  # what the shell does not have


def measured(command: list[str], text: str = "") -> tuple[float, float]:
    """Run a command, with text as its input, and return its (seconds, peak resident megabytes)."""
    with tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - start, used.ru_maxrss / 1024


def cut(data: Path, directory: Path) -> None:
    """Write the files of a data directory without their sources, and the citations as files of their own."""
    package = json.loads((data / "datapackage.json").read_text(encoding="utf-8"))
    joins = {table["joins"]: table["name"] for table in package["joins"]}
    for table in package["resources"]:
        with (data / table["path"]).open(encoding="utf-8", newline="") as file, (directory / table["path"]).open("w", encoding="utf-8", newline="") as rows:
            reader, writer = csv.reader(file), csv.writer(rows, lineterminator="\n")
            header = next(reader)
            if "sources" not in header:
                writer.writerows(reader)
                continue
            place = header.index("sources")
            with (directory / f"{joins[table['name']]}.csv").open("w", encoding="utf-8", newline="") as file:
                cited = csv.writer(file, lineterminator="\n")
                for row in reader:
                    cited.writerows((row[0], *citation) for citation in citations(row.pop(place)))
                    writer.writerow(row)


def steps(data: Path, model: Path) -> dict[str, list[str]]:
    """Return the SQL of a build in the shell: "tables", "load" for each table from a table of texts called raw, and "finish"."""
    package = json.loads((data / "datapackage.json").read_text(encoding="utf-8"))
    master = sqlite3.connect(model).execute("select type, name, tbl_name, sql from sqlite_master where sql is not null").fetchall()
    schema, views = {name: sql for _, name, _, sql in master}, {table["name"] for table in package["views"]}
    indexes, of_views = ([sql for kind, _, table, sql in master if kind == "index" and (table in views) == derived] for derived in (False, True))
    load = {}
    for table in sorted(package["resources"], key=lambda table: "derived" in table):
        names = [field["name"] for field in table["schema"]["fields"] if field["name"] != "sources"]
        given = ", ".join(f"nullif(\"{name}\", '') AS \"{name}\"" for name in names)
        derived = "".join(f', {field["sql"]}' for field in table.get("derived", []))
        load[table["name"]] = f'INSERT INTO "{table["name"]}" SELECT *{derived} FROM (SELECT {given} FROM raw) AS "{table["name"]}";'
    for table in package["joins"]:
        given = ", ".join(f"nullif(\"{field['name']}\", '')" for field in table["fields"])
        load[table["name"]] = f'INSERT INTO "{table["name"]}" SELECT {given} FROM raw;'
    finish = [f"{sql};" for sql in indexes] + ["PRAGMA foreign_key_check;", "ANALYZE;"]
    for table in package["views"]:
        names = ", ".join(f'"{field["name"]}"' for field in table["fields"])
        query, key = (data / table["query"]).read_text(encoding="utf-8"), ", ".join(f'"{name}"' for name in table.get("order", build_db.key_of(table)))
        finish += [f'{schema[table["name"]]};', f'INSERT INTO "{table["name"]}" ({names}) WITH derived ({names}) AS ({query}\n) SELECT * FROM derived ORDER BY {key};']
    finish += [f"{sql};" for sql in of_views]
    for table in package["resources"] + package["views"]:
        if "search" in table:
            columns = ", ".join(table["search"])
            finish += [f'{schema[table["name"] + "_fts"]};', f'INSERT INTO "{table["name"]}_fts" (rowid, {columns}) SELECT rowid, {columns} FROM "{table["name"]}";']
    finish += ["ANALYZE;", "PRAGMA foreign_key_check;", "PRAGMA integrity_check;"]
    finish += [f"INSERT INTO \"{table['name']}_fts\"(\"{table['name']}_fts\") VALUES ('integrity-check');" for table in package["resources"] + package["views"] if "search" in table]
    made = {"tables": [f"{schema[name]};" for name in load], "load": load, "finish": finish}
    for pattern, other in OURS_ONLY:
        made["load"] = {name: re.sub(pattern, other, sql) for name, sql in made["load"].items()}
        made["finish"] = [re.sub(pattern, other, sql) for sql in made["finish"]]
    return made


PRAGMAS = ["PRAGMA journal_mode = off;", "PRAGMA synchronous = off;", "PRAGMA cache_size = -65536;", "PRAGMA threads = 2;"]


def names_of(data: Path) -> dict[str, list[str]]:
    """Return the columns of the cut files, by table."""
    package = json.loads((data / "datapackage.json").read_text(encoding="utf-8"))
    return {table["name"]: [field["name"] for field in table.get("schema", table)["fields"] if field["name"] != "sources"] for table in package["resources"] + package["joins"]}


def shell_script(data: Path, parts: Path, model: Path) -> str:
    """Return what the sqlite3 shell is given."""
    made, names = steps(data, model), names_of(data)
    lines = [*PRAGMAS, "PRAGMA temp_store = file;", *made["tables"], ".mode csv"]
    for table, sql in made["load"].items():
        lines += ["CREATE TEMP TABLE raw (" + ", ".join(f'"{name}" TEXT' for name in names[table]) + ");", f".import {parts / table}.csv raw --schema temp", "BEGIN;", sql, "COMMIT;", "DROP TABLE raw;"]
    return "\n".join([*lines, *made["finish"]]) + "\n"


def by_executemany(data: Path, parts: Path, model: Path, out: Path) -> None:
    """Build with csv and executemany."""
    made, names, db = steps(data, model), names_of(data), sqlite3.connect(out)
    for sql in [*PRAGMAS, *made["tables"]]:
        db.execute(sql)
    for table, sql in made["load"].items():
        with (parts / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            raw = "(SELECT " + ", ".join(f'? AS "{name}"' for name in names[table]) + ")"
            db.executemany(sql.replace("FROM raw", f"FROM {raw}"), csv.reader(file))
    for sql in made["finish"]:
        db.execute(sql).fetchall()
    db.commit()


def counts(path: Path, package: dict) -> dict[str, int]:
    """Return the rows of each declared table of a database, and the entries of its search indexes."""
    db = sqlite3.connect(path)
    declared = package["resources"] + package["joins"] + package["views"]
    names = [table["name"] for table in declared] + [f"{table['name']}_fts_docsize" for table in declared if "search" in table]
    return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def main(scales: list[float], rounds: int) -> None:
    """Print a table for each size."""
    for scale in scales:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            data, parts, model = folder / "data", folder / "parts", folder / "model.db"
            build = lambda out: measured([sys.executable, str(ROOT / "build_db.py"), "--data", str(data), "--out", str(out)])  # noqa: E731
            # In processes of their own: a large parent would count as the memory of its children.
            written = subprocess.run([sys.executable, str(Path(__file__).with_name("generate.py")), str(data), "--scale", str(scale)], check=True, capture_output=True, text=True).stdout
            rows = sum(int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", written))
            parts.mkdir()
            cut(data, parts)
            build(model)
            package = json.loads((data / "datapackage.json").read_text(encoding="utf-8"))
            script, tables = shell_script(data, parts, model), names_of(data)
            here = [sys.executable, str(Path(__file__).resolve())]
            peers = {
                "ours": build,
                "sqlite3 .import": lambda out: measured(["sqlite3", str(out)], script),
                "executemany": lambda out: measured([*here, "--executemany", str(data), str(parts), str(model), str(out)]),
                "sqlite-utils insert": lambda out: one_by_one([[sys.executable, "-m", "sqlite_utils", "insert", str(out), table, str(data / f"{table}.csv"), "--csv"] for table in tables if (data / f"{table}.csv").exists()]),
            }
            if shutil.which("csvs-to-sqlite"):
                peers["csvs-to-sqlite"] = lambda out: measured(["csvs-to-sqlite", *map(str, sorted(data.glob("*.csv"))), str(out)])
            if scale <= 0.01:
                peers["frictionless validate"] = lambda out: measured([sys.executable, "-m", "frictionless", "validate", str(data / "datapackage.json")])
            found = {peer: [] for peer in peers}
            for _ in range(rounds):
                for peer, run in peers.items():
                    out = folder / "out.db"
                    out.unlink(missing_ok=True)
                    found[peer].append(run(out))
                    if peer in ("sqlite3 .import", "executemany"):
                        assert counts(out, package) == counts(model, package), f"{peer} built another file"
            base = statistics.median(seconds for seconds, _ in found["sqlite3 .import"])
            print(f"scale {scale}: {rows:,} rows with citations, {model.stat().st_size / 1e6:,.0f} MB, median of {rounds}")
            for peer, runs in found.items():
                seconds, memory = (statistics.median(values) for values in zip(*runs))
                print(f"  {peer:22} {seconds:8.2f} s {memory:6.0f} MB {rows / seconds:9,.0f} rows/s {1e6 * seconds / rows:7.1f} µs/row  ratio {seconds / base:5.2f}", flush=True)


def one_by_one(commands: list[list[str]]) -> tuple[float, float]:
    """Run commands in turn and return (seconds of all, peak megabytes of any)."""
    runs = [measured(command) for command in commands]
    return sum(seconds for seconds, _ in runs), max(memory for _, memory in runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, nargs="+", default=[0.01, 0.03, 0.1], metavar="N", help="sizes, 1 for a million events (default: 0.01 0.03 0.1)")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement (default 5)")
    parser.add_argument("--executemany", type=Path, nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.executemany:
        by_executemany(*options.executemany)
    else:
        with recorded():
            main(options.scale, options.rounds)
