#!/usr/bin/env python3
"""Build the Twittosphère database: data/ → twittosphere.db.

    build_db.py [--data DIR] [--out FILE] [--check]

data/datapackage.json is the only declaration of tables and columns: the SQLite
schema, the validation and the documentation inside the database come from it.
Exit status: 0 built or valid, 1 refused (every error is printed), 2 wrong usage.
"""

import argparse
import csv
import datetime
import difflib
import hashlib
import json
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlite_utils

ROOT = Path(__file__).resolve().parent
APPLICATION_ID = 0x54574954  # "TWIT", so that `file` and scripts can recognise the database
SQL_TYPES = {"string": "TEXT", "integer": "INTEGER", "number": "REAL"}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
CITATION = re.compile(r"(!?)([a-z0-9]+(?:-[a-z0-9]+)*)(?: \(([^;]+)\))?")

Row = dict[str, object]  # column name → value; "_line" holds the line in the CSV file


class Errors(list):
    """Everything wrong with the data, each as (file, line, text), to be shown together."""

    def add(self, path: Path, line: int, column: str, text: str) -> None:
        self.append((str(path), line, f"{column}: {text}" if column else text))

    def report(self) -> str:
        """One line per error, `file:line: column: value and remedy`, in file order."""
        return "\n".join(f"{path}:{line}: {text}" for path, line, text in sorted(self))


class Invalid(Exception):
    """The data break a rule; the argument is the Errors."""


# --- Reading and checking ---------------------------------------------------


def text_lines(path: Path, errors: Errors) -> Iterator[str]:
    """Yield the lines of a UTF-8 file; report bytes that a canonical CSV file never holds."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if number == 1 and raw.startswith(b"\xef\xbb\xbf"):
                errors.add(path, 1, "", "starts with a byte order mark; save as UTF-8 without BOM")
                raw = raw[3:]
            if b"\r" in raw:
                errors.add(path, number, "", "has a carriage return; end lines with LF alone")
                raw = raw.replace(b"\r", b"")
            if b"\0" in raw:
                errors.add(path, number, "", "has a NUL byte; remove it")
                raw = raw.replace(b"\0", b"")
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                errors.add(path, number, "", f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8")
                yield raw.decode("latin-1")


def read_table(path: Path, fields: list[dict], errors: Errors) -> Iterator[Row]:
    """Yield each record of a CSV file as text, with its line; report what is not such a record."""
    if not path.is_file():
        return errors.add(path, 1, "", "is missing; datapackage.json declares it")
    lines = text_lines(path, errors)
    reader, start = csv.reader(lines, strict=True), 2
    try:
        header = next(reader, None)
        if header is None:
            return errors.add(path, 1, "", "is empty; write at least the line of column names")
        names = [field["name"] for field in fields]
        for name in (name for name in names if name not in header):
            errors.add(path, 1, name, "column is missing; add it to the first line")
        for name in header:
            if name not in names or header.count(name) > 1:
                near = f', did you mean "{guess}"' if (guess := closest(name, names)) else ""
                errors.add(path, 1, name, f"unknown or repeated column{near}; see datapackage.json")
        for cells in reader:
            if len(cells) == len(header):
                yield {**dict(zip(header, cells)), "_line": start}
            else:
                errors.add(path, start, "", f"{len(cells)} cells where the first line has {len(header)}; check commas and quotes")
            start = reader.line_num + 1
    except csv.Error as error:
        errors.add(path, start, "", f"{error}; check quotes, and the length of cells")


def closest(word: str, words: list[str]) -> str | None:
    """Return the most similar of words, or None."""
    return next(iter(difflib.get_close_matches(word, words, n=1)), None)


def cell_checker(field: dict, today: str) -> Callable[[str], str | None]:
    """Return a function that tells what is wrong with a non-blank cell of this field, or None."""
    rules, kind = field.get("constraints", {}), field["type"]
    pattern = re.compile(rules["pattern"]) if "pattern" in rules else None
    number = re.compile(r"-?\d+" if kind == "integer" else r"-?\d+(\.\d+)?")

    def check(value: str) -> str | None:
        if found := CONTROL.search(value):
            return f"holds the control character U+{ord(found[0]):04X}; remove it"
        if value != value.strip() or "  " in value:
            return f"{shown(value)} has spaces too many; remove them"
        if "rdfType" in field:
            return bad_date(value, today)
        if kind != "string" and not number.fullmatch(value):
            return f"{shown(value)} is not {'a whole number' if kind == 'integer' else 'a number'}; write digits, with a point for decimals"
        if kind != "string" and not rules.get("minimum", float(value)) <= float(value) <= rules.get("maximum", float(value)):
            return f"{shown(value)} is out of range; see datapackage.json"
        if field.get("format") == "uri" and not re.fullmatch(r"https?://[^\s/]+\S*", value):
            return f"{shown(value)} is not a web address; write http:// or https:// and a host"
        if pattern and not pattern.fullmatch(value):
            return f"{shown(value)} does not have the form {rules['pattern']}"
        if "enum" in rules and value not in rules["enum"]:
            return f"{shown(value)} is not a known word; write one of {', '.join(rules['enum'])}"
        if len(value) > rules.get("maxLength", 5000):
            return f"has {len(value)} characters; write at most {rules.get('maxLength', 5000)}"

    return check


def shown(value: str) -> str:
    """Quote a value for an error message, cut to a readable length."""
    return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'


def bad_date(value: str, today: str) -> str | None:
    """Tell what is wrong with a partial ISO 8601 date (2009, 2009-04, 2009-04-17), or None."""
    try:
        if not re.fullmatch(r"\d{4}(-\d\d){0,2}", value):
            raise ValueError
        datetime.date.fromisoformat((value + "-01-01")[:10])
    except ValueError:
        return f'{shown(value)} is not a date; write YYYY, YYYY-MM or YYYY-MM-DD'
    return f"{shown(value)} is in the future; nothing after {today} can be known" if value > today[: len(value)] else None


def citations(cell: str) -> list[tuple[str, str | None, str]]:
    """Split a cell of sources into (source id, locator, stance); ValueError names a malformed part."""
    found = []
    for part in filter(None, cell.split("; ")):
        if not (match := CITATION.fullmatch(part)):
            raise ValueError(part)
        found.append((match[2], match[3], "contradicts" if match[1] else "supports"))
    return found


# Rules that join several columns of a row: a test and what to say when it fails.
RULES: dict[str, list[tuple[str, Callable[[Row], bool], str]]] = {
    "accounts": [
        ("id", lambda r: r["id"] == str(r["handle"]).lower(), "is not the handle in lower case"),
        ("opened_dating", lambda r: bool(r["opened"]) == (r["opened_dating"] != "unknown"), 'is "unknown" exactly where opened is blank'),
        ("closed_how", lambda r: bool(r["closed_how"] or not r["closed"]), "is blank though closed is known; say how it ended"),
    ],
    "events": [("summary", lambda r: bool(r["dating"] != "inferred" or r["summary"]), "is blank though the date is inferred; say from what")],
    "uses": [("summary", lambda r: bool(r["dating"] != "inferred" or r["summary"]), "is blank though the date is inferred; say from what")],
    "figures": [
        ("organisation", lambda r: bool(r["organisation"]) != bool(r["cohort"]), "and cohort: fill exactly one of them"),
        ("summary", lambda r: bool(r["dating"] != "inferred" or r["summary"]), "is blank though the date is inferred; say from what"),
    ],
}


def check_table(resource: dict, path: Path, today: str, errors: Errors) -> list[Row]:
    """Read one table, report every broken rule inside its rows, and return them with typed values."""
    fields = resource["schema"]["fields"]
    checkers = [(field, cell_checker(field, today), field.get("constraints", {}).get("required")) for field in fields]
    unique = [(field["name"],) for field in fields if field.get("constraints", {}).get("unique")]
    unique += [tuple(key) for key in resource["schema"].get("uniqueKeys", [])]
    seen: dict[tuple, int] = {}
    rows = []
    for row in read_table(path, fields, errors):
        line, before = row["_line"], len(errors)
        for field, check, required in checkers:
            name, value = field["name"], row.get(field["name"], "")
            if value == "":
                row[name] = None
                if required:
                    errors.add(path, line, name, "is blank; this column needs a value")
            elif problem := check(value):
                errors.add(path, line, name, problem)
            elif field["type"] != "string":
                row[name] = int(value) if field["type"] == "integer" else float(value)
        for columns in unique:
            key = (columns, *(row[column] for column in columns))
            if None not in key and seen.setdefault(key, line) != line:
                errors.add(path, line, ", ".join(columns), f"{shown(str(key[1]))} stands already in line {seen[key]}; ids are used once")
        if len(errors) == before:
            check_row(resource, path, row, errors)
        rows.append(row)
    return rows


def check_row(resource: dict, path: Path, row: Row, errors: Errors) -> None:
    """Report what is wrong between the columns of one row."""
    for field in resource["schema"]["fields"]:
        if (earlier := field.get("after")) and row[field["name"]] and row[earlier]:
            length = min(len(row[field["name"]]), len(row[earlier]))
            if row[field["name"]][:length] < row[earlier][:length]:
                errors.add(path, row["_line"], field["name"], f"{shown(row[field['name']])} is before {earlier} {shown(row[earlier])}; correct one of them")
    for column, holds, text in RULES.get(resource["name"], []):
        if not holds(row):
            errors.add(path, row["_line"], column, f"{shown(row[column] or '')} {text}")


def check_references(resource: dict, path: Path, tables: dict[str, list[Row]], errors: Errors) -> None:
    """Report cells that name a row which does not exist, and replace sources by their list."""
    keys = {name: {row["id"] for row in rows} for name, rows in tables.items()}
    links = {key["fields"]: key["reference"]["resource"] or resource["name"] for key in resource["schema"].get("foreignKeys", [])}

    def refuse(row: Row, column: str, value: str, target: str) -> None:
        near = f', did you mean "{guess}"' if (guess := closest(value, sorted(filter(None, keys[target])))) else ""
        errors.add(path, row["_line"], column, f"{shown(value)} is not in {target}.csv{near}; correct it or add the row there")

    for row in tables[resource["name"]]:
        for column, target in links.items():
            if row[column] and row[column] not in keys[target]:
                refuse(row, column, row[column], target)
        if "sources" in row:
            try:
                row["sources"] = citations(row["sources"] or "")
            except ValueError as part:
                errors.add(path, row["_line"], "sources", f'{shown(str(part))} is not a citation; write id or id (locator), joined by "; ", "!" before a contradiction')
                continue
            cited = [source for source, _, _ in row["sources"]]
            for source in cited:
                if source not in keys["sources"]:
                    refuse(row, "sources", source, "sources")
                if cited.count(source) > 1:
                    errors.add(path, row["_line"], "sources", f"{shown(source)} is cited twice; join the two")
            if cited and all(stance == "contradicts" for _, _, stance in row["sources"]):
                errors.add(path, row["_line"], "sources", "only contradict the row; cite one that supports it")


def load_data(directory: Path) -> tuple[dict, dict[str, list[Row]]]:
    """Return (descriptor, rows by table) of a data directory; raise Invalid with every error found."""
    errors, path = Errors(), directory / "datapackage.json"
    try:
        package = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        errors.add(path, getattr(error, "lineno", 1), "", f"cannot be read: {error}")
        raise Invalid(errors) from error
    today = datetime.date.today().isoformat()
    tables = {}
    for resource in package["resources"]:
        progress(f"checking {resource['name']}")
        tables[resource["name"]] = check_table(resource, directory / resource["path"], today, errors)
    for resource in package["resources"]:
        check_references(resource, directory / resource["path"], tables, errors)
    if errors:
        raise Invalid(errors)
    return package, tables


# --- Building ---------------------------------------------------------------


def columns_of(table: dict) -> list[dict]:
    """Return the SQLite columns of a declared table, each a field with its `reference` table if any."""
    if "schema" not in table:
        return table["fields"]
    links = {key["fields"]: key["reference"]["resource"] or table["name"] for key in table["schema"].get("foreignKeys", [])}
    fields = [{**field, "reference": links.get(field["name"])} for field in table["schema"]["fields"] if field["name"] != "sources"]
    return fields + table.get("derived", [])


def create_table(db: sqlite_utils.Database, table: dict) -> None:
    """Create the STRICT table that a declaration describes, with its keys and constraints."""
    schema = table.get("schema", table)
    parts = []
    for field in columns_of(table):
        rules = field.get("constraints", {})
        sql = f'"{field["name"]}" {SQL_TYPES[field["type"]]}'
        sql += " NOT NULL" if rules.get("required") else ""
        sql += " UNIQUE" if rules.get("unique") and field["name"] != "id" else ""
        if "enum" in rules:
            sql += f' CHECK ("{field["name"]}" IN ({", ".join(repr(word) for word in rules["enum"])}))'
        sql += f' REFERENCES "{field["reference"]}"("id")' if field.get("reference") else ""
        parts.append(sql)
    key = schema.get("primaryKey") or [field["name"] for field in table["fields"][:2]]
    parts.append("PRIMARY KEY ({})".format(", ".join(f'"{name}"' for name in ([key] if isinstance(key, str) else key))))
    parts += ["UNIQUE ({})".format(", ".join(names)) for names in schema.get("uniqueKeys", [])]
    db.execute(f'CREATE TABLE "{table["name"]}" (\n  ' + ",\n  ".join(parts) + "\n) STRICT")


def fill(db: sqlite_utils.Database, package: dict, tables: dict[str, list[Row]], directory: Path) -> None:
    """Create and load every table: declared, joining facts and sources, and derived for browsing."""
    for table in package["resources"] + package["joins"] + package["views"]:
        create_table(db, table)
    for table in package["resources"]:
        progress(f"loading {table['name']}")
        names = [field["name"] for field in table["schema"]["fields"] if field["name"] != "sources"]
        db[table["name"]].insert_all(({name: row[name] for name in names} for row in tables[table["name"]]), batch_size=1000)
    for table in package["joins"]:
        names = [field["name"] for field in table["fields"]]
        rows = (dict(zip(names, (row["id"], *citation))) for row in tables[table["joins"]] for citation in row["sources"])
        db[table["name"]].insert_all(rows, batch_size=1000)
    for table in package["resources"]:
        for field in table.get("derived", []):
            db.execute(f'UPDATE "{table["name"]}" SET "{field["name"]}" = {field["sql"]}')
    for table in package["views"]:
        names = ", ".join(f'"{field["name"]}"' for field in table["fields"])
        db.execute(f'INSERT INTO "{table["name"]}" ({names}) ' + (directory / table["query"]).read_text(encoding="utf-8"))


def index(db: sqlite_utils.Database, package: dict) -> None:
    """Index every reference, coded word and derived column, and make the text tables searchable."""
    for table in package["resources"] + package["joins"] + package["views"]:
        derived = {field["name"] for field in table.get("derived", table.get("fields", [])) if field["name"] not in ("title", "title_fr", "summary", "text", "label")}
        for field in columns_of(table):
            if field.get("reference") or field["name"] in derived or "enum" in field.get("constraints", {}):
                db[table["name"]].create_index([field["name"]], if_not_exists=True)
        if "search" in table:
            db[table["name"]].enable_fts(table["search"], tokenize="unicode61 remove_diacritics 2")


def describe(db: sqlite_utils.Database, package: dict) -> None:
    """Write the documentation of tables and columns, and of the package itself, into the database."""
    declared = package["resources"] + package["joins"] + package["views"]
    db["_tables"].insert_all([{key: table.get(key) for key in ("name", "title", "title_fr", "description")} for table in declared], pk="name")
    db["_columns"].insert_all(
        [
            {"table": table["name"], "column": field["name"], "title": field["title"], "title_fr": field["title_fr"], "type": field["type"], "unit": field.get("unit"),
             "description": field["description"], "example": None if "example" not in field else str(field["example"]), "blank": field.get("blank"), "reference": field.get("reference")}
            for table in declared for field in columns_of(table)
        ],
        pk=("table", "column"),
    )
    counts = {table["name"]: db[table["name"]].count for table in declared}
    about = {
        "title": package["title"], "version": package["version"], "created": package["created"], "license": package["licenses"][0]["path"],
        "digest": logical_digest(db, declared), "counts": json.dumps(counts),
        "built_with": f"build_db.py, sqlite-utils {sqlite_utils.__version__ if hasattr(sqlite_utils, '__version__') else ''}, SQLite {sqlite3.sqlite_version}".replace(" ,", ","),
    }
    db["_package"].insert_all(({"key": key, "value": value} for key, value in about.items()), pk="key")


def logical_digest(db: sqlite_utils.Database, declared: list[dict]) -> str:
    """Return the SHA-256 of all declared rows, in order of their keys: equal on any SQLite version."""
    digest = hashlib.sha256()
    for table in declared:
        order = ", ".join(str(number) for number in range(1, len(columns_of(table)) + 1))
        for row in db.execute(f'SELECT * FROM "{table["name"]}" ORDER BY {order}'):
            digest.update(json.dumps([table["name"], *row], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def verify(db: sqlite_utils.Database) -> None:
    """Raise sqlite3.IntegrityError unless references, structure and search indexes are sound."""
    for pragma in ("foreign_key_check", "integrity_check"):
        found = [row for row in db.execute(f"PRAGMA {pragma}") if row != ("ok",)]
        if found:
            raise sqlite3.IntegrityError(f"{pragma}: {found[:3]}")


def build(directory: Path, target: Path) -> dict[str, int]:
    """Build target from a data directory and return the rows per table.

    Works on a file beside the target and moves it into place at the end, with the
    inspect-data.json that makes Datasette serve it as immutable. Raises Invalid,
    OSError or sqlite3.Error; the former database then stands as it was.
    """
    package, tables = load_data(directory)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".building", dir=target.parent)
    os.close(handle)
    draft, inspect = Path(name), target.with_name("inspect-data.json")
    try:
        db = sqlite_utils.Database(draft)
        for pragma in ("journal_mode = off", "synchronous = off", f"application_id = {APPLICATION_ID}", f"user_version = {version_number(package['version'])}"):
            db.execute(f"PRAGMA {pragma}")
        fill(db, package, tables, directory)
        describe(db, package)
        db.conn.commit()
        db.vacuum()  # before the search indexes, which rest on row numbers that it may change
        progress("indexing")
        index(db, package)
        db.execute("ANALYZE")
        db.conn.commit()
        progress("verifying")
        verify(db)
        # Search indexes are left out: Datasette works through all tables that it is told of for each listing.
        counts = {table: db[table].count for table in db.table_names() if "_fts" not in table}
        db.close()
        publish(draft, target, inspect, counts)
    finally:
        draft.unlink(missing_ok=True)
    return {resource["name"]: counts[resource["name"]] for resource in package["resources"]}


def publish(draft: Path, target: Path, inspect: Path, counts: dict[str, int]) -> None:
    """Put the verified draft in place of target, on disk before its name changes."""
    os.chmod(draft, 0o644)
    content = draft.read_bytes()
    facts = {"hash": hashlib.sha256(content).hexdigest(), "size": len(content), "file": target.name, "tables": {name: {"count": count} for name, count in counts.items()}}
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(draft, target)
    aside = inspect.with_name(inspect.name + ".building")
    aside.write_text(json.dumps({target.stem: facts}, indent=1) + "\n", encoding="utf-8")
    os.replace(aside, inspect)


def version_number(version: str) -> int:
    """Turn 1.2.3 into 10203, for PRAGMA user_version."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major * 10000 + minor * 100 + patch


def progress(step: str) -> None:
    """Show the current step on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{step}", end="", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description="Build the Twittosphère database from its CSV tables.")
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="directory with datapackage.json (default: data)")
    parser.add_argument("--out", type=Path, default=ROOT / "twittosphere.db", metavar="FILE", help="database to write (default: twittosphere.db)")
    parser.add_argument("--check", action="store_true", help="check the data and write nothing")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            counts = {name: len(rows) for name, rows in load_data(options.data)[1].items()}
        else:
            counts = build(options.data, options.out)
    except Invalid as invalid:
        progress("")
        errors = invalid.args[0]
        print(errors.report(), f"{len(errors)} error{'s' if len(errors) > 1 else ''}; nothing was written.", sep="\n", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:
        progress("")
        print(f"{options.out}: cannot be built: {error}; the former database stands as it was.", file=sys.stderr)
        return 1
    progress("")
    print(f"{'checked' if options.check else options.out}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
