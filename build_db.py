#!/usr/bin/env python3
"""Build the Twittosphère database: data/ → twittosphere.db.

    build_db.py [--data DIR] [--out FILE] [--gzip] [--check]

data/datapackage.json is the only declaration of tables and columns: the SQLite
schema, the validation and the documentation inside the database come from it.
Exit status: 0 built or valid, 1 refused (every error is printed), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import fcntl
import functools
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from validate import Doubt, Invalid, check_data, plain_rows, progress, read_package

if TYPE_CHECKING:  # else when building only: it loads pandas where that is installed, and the site takes names from here
    import sqlite_utils

ROOT = Path(__file__).resolve().parent
DATABASE = "twittosphere"  # the name of the file, and of the database in Datasette
APPLICATION_ID = 0x54574954  # "TWIT", so that `file` and scripts can recognise the database
PROSE = {"title", "title_fr", "summary", "summary_fr", "text", "label", "type_en", "type_fr", "value", "locator", "until", "unit", "qualifier", "posture"}  # derived columns that nobody filters by
SQL_TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL"}
NOT_KNOWN = ("unknown", "not_stated", "not_looked_for")  # words that stand for no knowledge, in any vocabulary
BATCH = 1_000  # rows in memory at a time
LONGEST_ANSWER = 500  # rows of a question that the build answers beforehand
SPACE = "[ \u00a0\u202f]"
TYPOGRAPHY = [  # what a curator types, and what French typography prints; spaces are never added where none was typed
    (marks, re.compile(pattern), printed) for marks, pattern, printed in (
        ("'", r"(?<=[^\W\d_])'", "’"),
        (".", r"\.\.\.", "…"),
        ('"', r'"([^"]+)"', r"«\1»"),
        ("«", rf"«{SPACE}*", "«\u202f"),
        ("»", rf"{SPACE}*»", "\u202f»"),
        (";!?", rf"{SPACE}+(?=[;!?])", "\u202f"),
        (":", rf"{SPACE}+(?=:(?!\w))", "\u00a0"),
        ("%€$£", rf"(?<=\d){SPACE}+(?=[%€$£])", "\u202f"),
        ("0123456789", rf"(?<!\d)(\d{{1,3}}){SPACE}(?=\d{{3}}(?!\d))", "\\1\u202f"),
    )
]
ADDRESS = re.compile(r"(https?://\S+)")
Meanwhile = Callable[[Callable[[sqlite3.Connection, list[dict]], Any], list[dict]], Future]  # (task, its tables) → what it will return


def french(text: str) -> str:
    """Return text with the quotes, apostrophes and unbreakable spaces of French typography; web addresses stay as they are."""
    if "://" in text:
        parts = ADDRESS.split(text)
        return "".join(part if place % 2 else french(part) for place, part in enumerate(parts))
    for marks, pattern, printed in TYPOGRAPHY:
        if any(map(text.__contains__, marks)):
            text = pattern.sub(printed, text)
    return text


def figure_title(language: str, who: str, handle: str | None, metric: str, unit: str, qualifier: str | None, value: float, date: str) -> str:
    """Say a figure in one line: who, about how many of what, when; the unit only where the metric's label does not hold it."""
    number = f"{value:,.15g}"
    if language == "fr":
        number = number.replace(",", "\u202f").replace(".", ",")
    measure, amount = metric[0].lower() + metric[1:], f"{qualifier.lower()} {number}" if qualifier else number
    said = f"{amount} {measure}" if unit.lower() in metric.lower() else f"{measure} {amount} {unit}"
    line = f"{who}{f' (@{handle})' if handle else ''}{' :' if language == 'fr' else ':'} {said} ({date})"
    return line if language == "fr" else line.replace(" %", "%")


def wilson(supported: int, judged: int, side: int) -> float | None:
    """Return the lower (side -1) or upper (side 1) bound, in percent, of the 95 % interval of a share; None of nothing.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if not judged:
        return None
    share, z = supported / judged, 1.959964
    middle, half = share + z * z / (2 * judged), z * math.sqrt(share * (1 - share) / judged + z * z / (4 * judged * judged))
    return round(100 * (middle + side * half) / (1 + z * z / judged), 1)


def columns_of(table: dict) -> list[dict]:
    """Return the SQLite columns of a declared table, each a field with its `reference` table if any."""
    if "schema" not in table:
        return table["fields"]
    links = {key["fields"]: key["reference"]["resource"] or table["name"] for key in table["schema"].get("foreignKeys", [])}
    fields = [{**field, "reference": links.get(field["name"])} for field in table["schema"]["fields"] if field["name"] != "sources"]
    return fields + table.get("derived", [])


def key_of(table: dict) -> list[str]:
    """Return the columns of the primary key of a declared table; of a joining table, the first two."""
    key = table.get("schema", table).get("primaryKey") or [field["name"] for field in table["fields"][:2]]
    return [key] if isinstance(key, str) else key


def create_table(db: sqlite_utils.Database, table: dict) -> None:
    """Create the STRICT table that a declaration describes, with its keys and constraints."""
    schema = table.get("schema", table)
    parts = []
    for field in columns_of(table):
        rules = field.get("constraints", {})
        sql = f'"{field["name"]}" {SQL_TYPES[field["type"]]}'
        sql += " NOT NULL" if rules.get("required") else ""
        sql += f' COLLATE {field["collation"]}' if "collation" in field else ""
        sql += " UNIQUE" if rules.get("unique") and field["name"] != "id" else ""
        sql += f' REFERENCES "{field["reference"]}"("id")' if field.get("reference") else ""
        parts.append(sql)
    parts.append("PRIMARY KEY ({})".format(", ".join(f'"{name}"' for name in key_of(table))))
    parts += ["UNIQUE ({})".format(", ".join(names)) for names in schema.get("uniqueKeys", [])]
    db.execute(f'CREATE TABLE "{table["name"]}" (\n  ' + ",\n  ".join(parts) + "\n) STRICT")


def fill(db: sqlite_utils.Database, package: dict, directory: Path, batches: Iterator[list], meanwhile: Meanwhile) -> tuple[Future[str], list[Future[dict]]]:
    """Create and load every table: declared, from batches of their rows; joining facts and sources; derived for browsing.

    Returns the digest of the declared ones and what verify finds, for each once it is whole.
    """
    db.conn.create_function("french", 1, lambda text: text and french(text), deterministic=True)
    db.conn.create_function("figure_title", 8, figure_title, deterministic=True)
    db.conn.create_function("wilson", 3, wilson, deterministic=True)
    declared = package["resources"] + package["joins"]
    for table in declared:
        create_table(db, table)
    joins = {table["joins"]: table for table in package["joins"]}
    for table in in_turn(package):
        progress(f"loading {table['name']}")
        load(db, table, joins.get(table["name"]), batches)
    index(db, declared)
    db.conn.commit()
    found = [meanwhile(verify, declared)]
    digest = meanwhile(logical_digest, declared)
    db.execute("ANALYZE")  # else the queries below take the worst of two indexes
    for table in package["views"]:
        progress(f"deriving {table['name']}")
        names = ", ".join(f'"{field["name"]}"' for field in table["fields"])
        query = (directory / table["query"]).read_text(encoding="utf-8")
        create_table(db, table)
        order = ", ".join(f'"{name}"' for name in table.get("order", key_of(table)))
        db.execute(f'INSERT INTO "{table["name"]}" ({names}) WITH derived ({names}) AS ({query}) SELECT * FROM derived ORDER BY {order}')
        index(db, [table])
        db.conn.commit()
        found.append(meanwhile(verify, [table]))
    return digest, found


def in_turn(package: dict) -> list[dict]:
    """Return the declared tables as they are loaded: those with derived columns look into those without."""
    return sorted(package["resources"], key=lambda table: "derived" in table)


def read(receiver: Connection, sender: Connection, tables: list[dict], directory: Path) -> None:
    """Send the rows of tables, one table after the other, in batches of (values, with French typography in the French ones; citations); after each table, None; or a Doubt."""
    receiver.close()  # else nobody here would learn that the other side has ended
    today = datetime.date.today().isoformat()
    try:
        for table in tables:
            in_french = [place for place, name in enumerate(given(table)) if name.endswith("_fr")]
            rows = plain_rows(table, directory / table["path"], today)
            while batch := list(islice(rows, BATCH)):
                for values, _ in batch:
                    for place in in_french:
                        if values[place]:
                            values[place] = french(values[place])
                sender.send(batch)
            sender.send(None)
    except Doubt as doubt:
        sender.send(doubt)
    except BrokenPipeError:
        pass  # who asked for the rows has ended


@contextmanager
def reading(tables: list[dict], directory: Path) -> Iterator[Iterator[list]]:
    """Read tables on another core, for a `with` block; give an iterator of what `read` sends."""
    receiver, sender = Pipe(duplex=False)
    reader = Process(target=read, args=(receiver, sender, tables, directory), daemon=True)
    reader.start()
    sender.close()

    def batches() -> Iterator[list]:
        while True:
            try:
                got = receiver.recv()
            except EOFError as error:
                raise OSError("the process that reads the data has ended") from error
            if isinstance(got, Doubt):
                raise got
            yield got

    try:
        yield batches()
    finally:
        receiver.close()
        reader.join()


def given(table: dict) -> list[str]:
    """Return the columns of a declared table that stand in its file, without its sources."""
    return [field["name"] for field in table["schema"]["fields"] if field["name"] != "sources"]


def load(db: sqlite_utils.Database, table: dict, join: dict | None, batches: Iterator[list]) -> None:
    """Load a table from batches of its rows, with its derived columns, and its citations into the joining table.

    Without sqlite-utils, which looks at every value to guess types that are declared.
    """
    names, derived = given(table), table.get("derived", [])
    columns = ", ".join(f'"{name}"' for name in names + [field["name"] for field in derived])
    values = ", ".join(f'? AS "{name}"' for name in names)
    worked_out = "".join(f", french({field['sql']})" if field["name"].endswith("_fr") else f", {field['sql']}" for field in derived)
    insert = f'INSERT INTO "{table["name"]}" ({columns}) SELECT *{worked_out} FROM (SELECT {values}) AS "{table["name"]}"'
    cite = f'INSERT INTO "{join["name"]}" VALUES (?, ?, ?, ?)' if join else ""
    for batch in iter(batches.__next__, None):
        db.conn.executemany(insert, (row for row, _ in batch))
        if join:
            db.conn.executemany(cite, ((row[0], *citation) for row, cited in batch for citation in cited))


@functools.cache
def site() -> dict[str, dict]:
    """Return what metadata.yml declares of the pages: "tables" → facets, sort, sort_desc; "queries" → sql."""
    return yaml.load((ROOT / "metadata.yml").read_text(encoding="utf-8"), yaml.CSafeLoader)["databases"][DATABASE]


def indexes_of(table: dict, page: dict) -> list[list]:
    """Return the columns of each index of a table.

    For its page, one index on the order, and one for each facet that holds the order and the other facets: such an index
    alone answers the page and its counts, for the whole table and for the rows that a facet picks. Then every reference,
    derived column and whatever says "index", but no prose, no list, and no key, which SQLite has indexed.
    """
    from sqlite_utils.db import DescIndex

    facets = [name for name in page.get("facets", []) if isinstance(name, str)]
    order = [DescIndex(page["sort_desc"])] if "sort_desc" in page else [page["sort"]] if "sort" in page else []
    wanted = [[facet, *(column for column in order if column != facet), *(other for other in facets if other != facet and other not in order)] for facet in facets]
    skipped = PROSE | {key_of(table)[0]}
    derived = {field["name"] for field in table.get("derived", table.get("fields", [])) if field["name"] not in skipped and "items" not in field}
    singles = [field["name"] for field in columns_of(table) if field.get("reference") or field.get("index") or field["name"] in derived]
    wanted += [order] if order and order[0] != key_of(table)[0] else []
    return wanted + [[name] for name in singles if [name] not in wanted]


def index(db: sqlite_utils.Database, tables: list[dict]) -> None:
    """Make the indexes of tables."""
    declared = site()["tables"]
    for table in tables:
        for columns in indexes_of(table, declared.get(table["name"], {})):
            db[table["name"]].create_index(columns)


def make_searchable(db: sqlite_utils.Database, tables: list[dict]) -> None:
    """Give every table that says "search" a full-text index that is blind to accents."""
    for table in tables:
        if "search" in table:
            db[table["name"]].enable_fts(table["search"], tokenize="unicode61 remove_diacritics 2")


def describe(db: sqlite_utils.Database, package: dict, digest: str, counts: dict[str, tuple[int, ...]]) -> None:
    """Write the documentation of tables and columns, with what `filled` counted, and of the package itself with the digest of its tables, into the database."""
    declared = package["resources"] + package["joins"] + package["views"] + package["codebook"]
    for table in package["codebook"]:
        create_table(db, table)
        counts[table["name"]] = filled(db.conn, table)  # nothing yet
    db["_tables"].insert_all([{**documented(table, ("name", "title", "title_fr", "description", "description_fr")), "row_count": counts[table["name"]][0]} for table in declared])
    keys = ("title", "title_fr", "type", "unit", "unit_fr", "description", "description_fr", "example", "blank", "blank_fr", "reference", "items")
    columns = [{"table": table["name"], "column": field["name"], "position": position, **documented(field, keys), "filled": count}
               for table in declared for position, (field, count) in enumerate(zip(columns_of(table), counts[table["name"]][1:]), 1)]
    db["_columns"].insert_all(sorted(columns, key=lambda row: (row["table"], row["column"])))
    for table in package["codebook"]:
        rows, *known = filled(db.conn, table)
        db["_tables"].update(table["name"], {"row_count": rows})
        for field, count in zip(columns_of(table), known):
            db["_columns"].update((table["name"], field["name"]), {"filled": count})
    about = {
        **documented(package, ("title", "title_fr", "description", "description_fr")), "version": package["version"], "created": package["created"],
        "license": package["licenses"][0]["path"], "license_name": package["licenses"][0]["name"], "publisher": package["contributors"][0]["title"], "keywords": ", ".join(package["keywords"]),
        "digest": digest,
        "built_with": f"build_db.py, sqlite-utils {version('sqlite-utils')}, SQLite {sqlite3.sqlite_version}",
    }
    db["_package"].insert_all(({"key": key, "value": value} for key, value in about.items()), pk="key")


def answer(db: sqlite_utils.Database) -> None:
    """Write the answers to the questions of metadata.yml that take no parameter, if they are short: each row as a JSON list, the names of the columns first."""
    for name, query in site()["queries"].items():
        if not re.search(r":\w", query["sql"]):
            found = db.execute(query["sql"])
            rows = [[column[0] for column in found.description], *found.fetchmany(LONGEST_ANSWER)]
            if len(rows) <= LONGEST_ANSWER:
                lines = ({"question": name, "position": place, "row": json.dumps(row, ensure_ascii=False)} for place, row in enumerate(rows))
                db["_answers"].insert_all(lines, pk=("question", "position"), strict=True)


def documented(declaration: dict, keys: Sequence[str]) -> dict[str, str | None]:
    """Return the texts of a declaration as a row, the French ones in French typography."""
    texts = {key: None if declaration.get(key) is None else str(declaration[key]) for key in keys}
    return {key: french(text) if text and key.endswith("_fr") else text for key, text in texts.items()}


def filled(db: sqlite3.Connection, table: dict) -> tuple[int, ...]:
    """Count the rows of a table, then for each column those in which something is known."""
    counts = (f'count(CASE WHEN "{field["name"]}" NOT IN {NOT_KNOWN} THEN 1 END)' for field in columns_of(table))
    return db.execute(f'SELECT count(*), {", ".join(counts)} FROM "{table["name"]}"').fetchone()


def logical_digest(db: sqlite3.Connection, declared: list[dict]) -> str:
    """Return the SHA-256 of the tables that were not derived from others, each as CSV in order of its key, without names of columns: equal on any SQLite version."""
    digest = hashlib.sha256()
    for table in declared:
        order = ", ".join(f'"{name}"' for name in key_of(table))
        rows = db.execute(f'SELECT * FROM "{table["name"]}" ORDER BY {order}')
        while batch := rows.fetchmany(BATCH):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(batch)
            digest.update(text.getvalue().encode())
    return digest.hexdigest()


def check(db: sqlite3.Connection, pragma: str) -> None:
    """Raise sqlite3.IntegrityError unless a pragma finds nothing."""
    found = [row for row in db.execute(f"PRAGMA {pragma}") if row != ("ok",)]
    if found:
        raise sqlite3.IntegrityError(f"{pragma}: {found[:3]}")


def check_file(path: Path) -> None:
    """Raise sqlite3.IntegrityError unless the structure of a database is sound."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        check(db, "quick_check")


def verify(db: sqlite3.Connection, tables: list[dict]) -> dict[str, tuple[int, ...]]:
    """Return what each of tables holds, as `filled` counts it; raise sqlite3.IntegrityError unless each of its indexes holds its rows, and each reference leads somewhere."""
    for table in tables:
        check(db, f'integrity_check("{table["name"]}")')
        check(db, f'foreign_key_check("{table["name"]}")')
    return {table["name"]: filled(db, table) for table in tables}


@contextmanager
def reading_back(draft: Path) -> Iterator[Meanwhile]:
    """Read tables of a database on another core while others are made, for a `with` block; give a function that takes a task and those of its tables that are whole.

    A task that fails raises its error at the end of the block. It reads without locks, as of the call: nothing moves the
    pages of a table that nobody writes to any more.
    """
    tasks = []

    def run(task: Callable, db: sqlite3.Connection, tables: list[dict]) -> Any:
        with closing(db):
            return task(db, tables)

    def meanwhile(task: Callable, tables: list[dict]) -> Future:
        db = sqlite3.connect(f"{draft.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False, isolation_level=None)
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on, the file's first page is not read again
        result = pool.submit(run, task, db, tables)
        tasks.append((db, result))
        return result

    with ThreadPoolExecutor(1) as pool:
        try:
            yield meanwhile
            for _, result in tasks:
                result.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for db, result in tasks:
                with suppress(sqlite3.ProgrammingError):  # it has ended at this moment
                    if result.running():
                        db.interrupt()
            raise


def finish(db: sqlite_utils.Database, package: dict, draft: Path, digest: str, counts: dict[str, tuple[int, ...]]) -> None:
    """Verify the file and its search indexes, and document it meanwhile, on another core; raise sqlite3.IntegrityError if it is not sound."""
    with ThreadPoolExecutor(2) as pool, draft.open("rb") as file, db.atomic():
        pool.submit(os.fsync, file.fileno())  # what is on disk already need not be waited for at the end
        sound = pool.submit(check_file, draft)
        for table in db.table_names(fts5=True):
            db.execute(f'INSERT INTO "{table}"("{table}") VALUES (\'integrity-check\')')
        describe(db, package, digest, counts)
        answer(db)
        sound.result()  # who reads the file keeps this from being written
    for table in db.table_names():
        if table.startswith("_"):
            check(db.conn, f'integrity_check("{table}")')


def build(directory: Path, target: Path, compress: bool = False) -> dict[str, int]:
    """Build target from a data directory, and if told so target.gz, and return the rows per table.

    Works on a file beside the target and moves it into place at the end, with the
    inspect-data.json that makes Datasette serve it as immutable. Raises Invalid,
    OSError or sqlite3.Error; the former database then stands as it was.
    """
    package = read_package(directory)
    with alone(target.parent):
        for left in target.parent.glob(f".{target.name}.*.building"):
            remove_if_left(left)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".building", dir=target.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)  # as long as this build runs
    draft, inspect = Path(name), target.with_name("inspect-data.json")
    try:
        with reading(in_turn(package), directory) as batches:
            import sqlite_utils  # meanwhile

            db = sqlite_utils.Database(draft)
            for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -32768", f"application_id = {APPLICATION_ID}", f"user_version = {version_number(package['version'])}"):
                db.execute(f"PRAGMA {pragma}")
            with reading_back(draft) as meanwhile:
                digest, found = fill(db, package, directory, batches, meanwhile)
                progress("indexing")
                make_searchable(db, package["resources"] + package["views"])
                db.execute("ANALYZE")
                db.conn.commit()
                progress("verifying")
                finish(db, package, draft, digest.result(), {name: counts for one in found for name, counts in one.result().items()})
        # Search indexes are left out: Datasette works through all tables that it is told of for each listing.
        counts = {table: db[table].count for table in db.table_names() if "_fts" not in table}
        db.close()
        publish(draft, target, inspect, counts, compress)
    except (Doubt, sqlite3.IntegrityError):
        check_data(directory)  # says what is wrong
        raise
    finally:
        draft.unlink(missing_ok=True)
        zipped(draft).unlink(missing_ok=True)
        os.close(handle)
    return {resource["name"]: counts[resource["name"]] for resource in package["resources"]}


@contextmanager
def alone(directory: Path) -> Iterator[int]:
    """Hold a directory, for a `with` block, while other builds wait; give its descriptor."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def remove_if_left(draft: Path) -> None:
    """Remove the draft of a build that was killed; that of one which runs is locked, or goes at this moment."""
    try:
        with draft.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return
    draft.unlink(missing_ok=True)
    zipped(draft).unlink(missing_ok=True)


def zipped(path: Path) -> Path:
    """Return the name of the compressed variant of a database."""
    return path.with_name(path.name + ".gz")


def publish(draft: Path, target: Path, inspect: Path, counts: dict[str, int], compress: bool) -> None:
    """Put the verified draft in place of target, on disk before its name changes; an older target.gz goes."""
    os.chmod(draft, 0o644)
    if compress:
        progress("compressing")
        with draft.open("rb") as plain, zipped(draft).open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
        os.chmod(zipped(draft), 0o644)
    with ThreadPoolExecutor(1) as pool, draft.open("rb+") as file:
        written = pool.submit(os.fsync, file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        written.result()
    facts = {"hash": digest, "size": draft.stat().st_size, "file": target.name, "tables": {name: {"count": count} for name, count in counts.items()}}
    with alone(target.parent) as directory:  # lest two builds mix their files
        zipped(target).unlink(missing_ok=True)  # never beside a database that it does not hold
        os.replace(draft, target)
        if compress:
            os.replace(zipped(draft), zipped(target))
        aside = inspect.with_name(inspect.name + ".building")
        aside.write_text(json.dumps({target.stem: facts}, indent=1) + "\n", encoding="utf-8")
        os.replace(aside, inspect)
        os.fsync(directory)


def version_number(version: str) -> int:
    """Turn 1.2.3 into 10203, for PRAGMA user_version."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 10000 + minor * 100 + patch


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description="Build the Twittosphère database from its CSV tables.")
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="directory with datapackage.json (default: data)")
    parser.add_argument("--out", type=Path, default=ROOT / f"{DATABASE}.db", metavar="FILE", help="database to write (default: twittosphere.db)")
    parser.add_argument("--gzip", action="store_true", help="write FILE.gz too, for visitors to download")
    parser.add_argument("--check", action="store_true", help="check the data and write nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            counts = check_data(options.data)
        else:
            counts = build(options.data, options.out, options.gzip)
    except Invalid as invalid:
        progress("")
        errors = invalid.args[0]
        print(errors.report(), f"{errors.count:,} error{'s' if errors.count > 1 else ''}; nothing was written.", sep="\n", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error, Doubt) as error:
        progress("")
        print(f"{options.out}: cannot be built: {error}; the former database stands as it was.", file=sys.stderr)
        return 1
    progress("")
    print(f"{'checked' if options.check else options.out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
