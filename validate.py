"""Read and check the tables of data/: what build_db.py asks before it builds.

Every broken rule is collected, as file, line, column, value and remedy, and shown together.
"""

import csv
import datetime
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
CITATION = re.compile(r"(!?)([a-z0-9]+(?:-[a-z0-9]+)*)(?: \(([^;]+)\))?")

LONGEST_CELL = 100_000  # characters; more is a broken quote, not a fact

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
    csv.field_size_limit(LONGEST_CELL)  # other libraries of the same process may have raised it
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
        whole = all(field["name"] in row for field in fields)  # else the first line is refused already
        for field, check, required in checkers:
            name, value = field["name"], row.get(field["name"], "")
            if value == "":
                row[name] = None
                if required and whole:
                    errors.add(path, line, name, "is blank; this column needs a value")
            elif problem := check(value):
                errors.add(path, line, name, problem)
            elif field["type"] != "string":
                row[name] = int(value) if field["type"] == "integer" else float(value)
        for columns in unique:
            key = (columns, *(row[column] for column in columns))
            if None not in key and seen.setdefault(key, line) != line:
                errors.add(path, line, ", ".join(columns), f"{shown(str(key[1]))} stands already in line {seen[key]}; ids are used once")
        if whole and len(errors) == before:
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


def progress(step: str) -> None:
    """Show the current step on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{step}", end="", file=sys.stderr, flush=True)
