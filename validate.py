"""Read and check the tables of data/, in two ways that hold no table in memory.

plain_rows gives the rows of a table as fast as can be, and stops at the first that one pattern does not take for
good: what the build loads. check_data then says everything that is wrong, as file, line, column, value and remedy.
"""

import csv
import datetime
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
CITATION = re.compile(r"(!?)([a-z0-9]+(?:-[a-z0-9]+)*)(?: \(([^;]+)\))?")
FORMULA = "=+-"  # and @, but handles begin so, and no spreadsheet runs @handle

LONGEST_CELL = 100_000  # characters; more is a broken quote, not a fact
LONGEST_TEXT = 5_000  # characters, where the declaration says nothing
FEW = 40  # words that an error names
MOST_ERRORS = 1_000  # shown; more are counted
BETWEEN = "\x1f"  # stands between cells while one pattern reads a whole row

Row = dict[str, object]  # column name → value; "_line" holds the line in the CSV file


class Errors:
    """Everything wrong with the data, each as (file, line, text), to be shown together; of very many, the first."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int, str]] = []
        self.count = 0

    def add(self, path: Path, line: int, column: str, text: str) -> None:
        self.count += 1
        if self.count <= MOST_ERRORS:
            self.shown.append((str(path), line, f"{column}: {text}" if column else text))

    def report(self) -> str:
        """One line per error, `file:line: column: value and remedy`, in file order."""
        more = [f"… and {self.count - MOST_ERRORS:,} more"] if self.count > MOST_ERRORS else []
        return "\n".join([*(f"{path}:{line}: {text}" for path, line, text in sorted(self.shown)), *more])


class Invalid(Exception):
    """The data break a rule; the argument is the Errors."""


class Doubt(Exception):
    """A row may break a rule; check_data tells which."""


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
    yield from read_records(text_lines(path, errors), path, fields, errors)


def read_records(lines: Iterable[str], path: Path, fields: list[dict], errors: Errors) -> Iterator[Row]:
    """Yield each record of the lines of a CSV file as read_table does."""
    csv.field_size_limit(LONGEST_CELL)  # other libraries of the same process may have raised it
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
        if kind == "string" and value[0] in FORMULA:
            return f"{shown(value)} begins with {value[0]}, which spreadsheets take for a formula; word it otherwise"
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
        if len(value) > rules.get("maxLength", LONGEST_TEXT):
            return f"has {len(value)} characters; write at most {rules.get('maxLength', LONGEST_TEXT)}"

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


def check_table(resource: dict, path: Path, today: str, keys: dict[str, set[str]], errors: Errors) -> int:
    """Read one table, report every broken rule, and return the number of its rows; keys holds the ids of the tables that are referred to."""
    fields = resource["schema"]["fields"]
    checkers = [(field, cell_checker(field, today), field.get("constraints", {}).get("required")) for field in fields]
    unique = [(field["name"],) for field in fields if field.get("constraints", {}).get("unique")]
    unique += [tuple(key) for key in resource["schema"].get("uniqueKeys", [])]
    pairs = pairs_of(resource)
    seen: dict[tuple, int] = {}
    count = 0
    for count, row in enumerate(read_table(path, fields, errors), 1):
        line, before = row["_line"], errors.count
        whole = all(field["name"] in row for field in fields)  # else the first line is refused already
        for field, check, required in checkers:
            name, value = field["name"], row.get(field["name"], "")
            if value == "":
                row[name] = None
                if required and whole:
                    errors.add(path, line, name, "is blank; this column needs a value")
            elif problem := check(value):
                errors.add(path, line, name, problem)
        for columns in unique:
            key = (columns, *(row[column] for column in columns))
            if None not in key and seen.setdefault(key, line) != line:
                errors.add(path, line, ", ".join(columns), f"{shown(str(key[1]))} stands already in line {seen[key]}; ids are used once")
        if whole and errors.count == before:
            check_row(resource["name"], pairs, path, row, errors)
        check_references(resource, path, row, keys, errors)
    return count


def pairs_of(resource: dict) -> list[tuple[str, str]]:
    """Return (column, column that is never later) of a table."""
    return [(field["name"], field["after"]) for field in resource["schema"]["fields"] if "after" in field]


def check_row(name: str, pairs: list[tuple[str, str]], path: Path, row: Row, errors: Errors) -> None:
    """Report what is wrong between the columns of one row of a table: its pairs of dates, and the rules of its name."""
    for column, earlier in pairs:
        if row[column] and row[earlier]:
            length = min(len(row[column]), len(row[earlier]))
            if row[column][:length] < row[earlier][:length]:
                errors.add(path, row["_line"], column, f"{shown(row[column])} is before {earlier} {shown(row[earlier])}; correct one of them")
    for column, holds, text in RULES.get(name, []):
        if not holds(row):
            errors.add(path, row["_line"], column, f"{shown(row[column] or '')} {text}")


def links_of(resource: dict) -> dict[str, str]:
    """Return column → table that it refers to."""
    return {key["fields"]: key["reference"]["resource"] or resource["name"] for key in resource["schema"].get("foreignKeys", [])}


def check_references(resource: dict, path: Path, row: Row, keys: dict[str, set[str]], errors: Errors) -> None:
    """Report cells of a row that name a row which does not exist, and what is wrong with its sources."""

    def refuse(column: str, value: str, target: str) -> None:
        near = f', did you mean "{guess}"' if (guess := closest(value, sorted(keys[target]))) else f" ({', '.join(sorted(keys[target]))})" if len(keys[target]) <= FEW else ""
        errors.add(path, row["_line"], column, f"{shown(value)} is not in {target}.csv{near}; correct it or add the row there")

    for column, target in links_of(resource).items():
        if row[column] and row[column] not in keys[target]:
            refuse(column, row[column], target)
    if "sources" in row:
        try:
            cited = citations(row["sources"] or "")
        except ValueError as part:
            return errors.add(path, row["_line"], "sources", f'{shown(str(part))} is not a citation; write id or id (locator), joined by "; ", "!" before a contradiction')
        names = [source for source, _, _ in cited]
        for source in names:
            if source not in keys["sources"]:
                refuse("sources", source, "sources")
            if names.count(source) > 1:
                errors.add(path, row["_line"], "sources", f"{shown(source)} is cited twice; join the two")
        if cited and all(stance == "contradicts" for _, _, stance in cited):
            errors.add(path, row["_line"], "sources", "only contradict the row; cite one that supports it")


def read_package(directory: Path) -> dict:
    """Return the descriptor of a data directory; raise Invalid if it cannot be read."""
    errors, path = Errors(), directory / "datapackage.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        errors.add(path, getattr(error, "lineno", 1), "", f"cannot be read: {error}")
        raise Invalid(errors) from error


def check_data(directory: Path) -> dict[str, int]:
    """Return the rows of each table of a data directory; raise Invalid with every error found."""
    package, errors, today = read_package(directory), Errors(), datetime.date.today().isoformat()
    targets = {"sources"} | {target for resource in package["resources"] for target in links_of(resource).values()}
    keys = {resource["name"]: {row["id"] for row in read_table(directory / resource["path"], resource["schema"]["fields"], Errors()) if row.get("id")}
            for resource in package["resources"] if resource["name"] in targets}
    counts = {}
    for resource in package["resources"]:
        progress(f"checking {resource['name']}")
        counts[resource["name"]] = check_table(resource, directory / resource["path"], today, keys, errors)
    if errors.count:
        raise Invalid(errors)
    return counts


def past_dates(today: str) -> str:
    """Return a pattern of the partial dates from 2000 to today, but for 29 February."""
    days = ("(?:0[13-9]|1[0-2])-(?:0[1-9]|[12]\\d|30)", "(?:0[13578]|1[02])-31", "02-(?:0[1-9]|1\\d|2[0-8])")
    year, month, day = (int(part) for part in today.split("-"))
    earlier = "|".join(str(past) for past in range(2000, year))
    months, dates = ("|".join(f"{number:02}" for number in range(1, end)) for end in (month + 1, day + 1))
    before = f"(?:{'|'.join(f'{number:02}' for number in range(1, month))})-(?:0[1-9]|1\\d|2[0-8])|" if month > 1 else ""
    return f"(?:{earlier})(?:-(?:0[1-9]|1[0-2]|{'|'.join(days)}))?|{year}(?:-(?:{months}|{before}{month:02}-(?:{dates})))?"


def plain_cell(field: dict, today: str) -> str:
    """Return a pattern of the cells of a field that are certainly good, as far as they can be told without a dictionary."""
    rules, text, start = field.get("constraints", {}), f"[^{BETWEEN}]", f"(?![{FORMULA}])"
    if "rdfType" in field:
        pattern = past_dates(today)
    elif field["type"] != "string":
        pattern = r"-?\d{1,15}" if field["type"] == "integer" else r"-?\d{1,15}(?:\.\d{1,6})?"
    elif field.get("format") == "uri":
        pattern = rf"(?={text}{{1,{rules.get('maxLength', LONGEST_TEXT)}}}(?:{BETWEEN}|\Z))https?://[^\s/]+\S*"
    elif field["name"] == "sources":
        one = CITATION.pattern.replace("[^;]", f"[^;{BETWEEN}]")
        pattern = f"(?={text}{{1,{LONGEST_TEXT}}}(?:{BETWEEN}|\\Z)){one}(?:; {one})*"
    elif "pattern" in rules:
        pattern = rf"(?={text}{{1,{rules.get('maxLength', LONGEST_TEXT)}}}(?:{BETWEEN}|\Z))(?:{rules['pattern']})"
    else:
        pattern = f"{start}{text}{{1,{rules.get('maxLength', LONGEST_TEXT)}}}"
    return f"(?:{pattern})" if rules.get("required") else f"(?:{pattern})?"


def plain_text(path: Path) -> bool:
    """Tell whether a file has neither a byte order mark nor carriage returns or NUL bytes."""
    with path.open("rb") as file:
        parts = iter(lambda: file.read(1 << 20), b"")
        return not any(b"\r" in part or b"\0" in part or part.startswith(b"\xef\xbb\xbf") for part in parts)


def plain_rows(resource: dict, path: Path, today: str) -> Iterator[tuple[list, list[tuple[str, str | None, str]]]]:
    """Yield (values in the order of the fields, without sources; citations) of each row; raise Doubt where a row may break a rule.

    Whether ids are unique and references lead somewhere is left to the database.
    """
    fields = resource["schema"]["fields"]
    names = [field["name"] for field in fields]
    whole = re.compile(BETWEEN.join(plain_cell(field, today) for field in fields))
    control = re.compile(CONTROL.pattern.replace(r"\x1f", r"\x1e"))  # but BETWEEN
    numbers = [(names.index(field["name"]), int if field["type"] == "integer" else float, field.get("constraints", {})) for field in fields if field["type"] != "string"]
    place = names.index("sources") if "sources" in names else None
    pairs, wrong = pairs_of(resource), Errors()
    try:
        if not plain_text(path):
            raise Doubt(path)
        with path.open(encoding="utf-8", newline="") as file:
            csv.field_size_limit(LONGEST_CELL)
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if sorted(header) != sorted(names):
                raise Doubt(path)
            in_order = list if header == names else itemgetter(*(header.index(name) for name in names))
            for cells in reader:
                if len(cells) != len(names):
                    raise Doubt(path)
                cells = in_order(cells)
                line = BETWEEN.join(cells)
                values = [cell or None for cell in cells]
                spaced = "  " in line or f"{BETWEEN} " in line or f" {BETWEEN}" in line or line != line.strip(" ")
                if spaced or control.search(line) or not whole.fullmatch(line):
                    check_alone(resource, path, dict(zip(names, values)), today)
                for number, convert, rules in numbers:
                    if values[number] is not None:
                        values[number] = value = convert(values[number])
                        if not rules.get("minimum", value) <= value <= rules.get("maximum", value):
                            raise Doubt(path)
                check_row(resource["name"], pairs, path, {**dict(zip(names, values)), "_line": 0}, wrong)
                if wrong.count:
                    raise Doubt(path)
                cited = []
                if place is not None:
                    cited = citations(values.pop(place) or "")
                    if len(cited) != len({source for source, _, _ in cited}) or (cited and all(stance == "contradicts" for _, _, stance in cited)):
                        raise Doubt(path)
                yield values, cited
    except (OSError, UnicodeError, csv.Error) as error:
        raise Doubt(path) from error


def check_alone(resource: dict, path: Path, row: Row, today: str) -> None:
    """Raise Doubt unless each cell of a row that the pattern does not take is good after all, as 29 February may be."""
    for field in resource["schema"]["fields"]:
        value = row[field["name"]]
        if value is None and field.get("constraints", {}).get("required") or value is not None and cell_checker(field, today)(value):
            raise Doubt(path)
    try:
        citations(row.get("sources") or "")
    except ValueError as error:
        raise Doubt(path) from error


def progress(step: str) -> None:
    """Show the current step on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{step}", end="", file=sys.stderr, flush=True)
