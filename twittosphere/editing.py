"""The tables of data/ as a workbook to edit in a spreadsheet, and what an edited one would change: checked, shown, written.

Needs openpyxl, of the extra `edit`, and a clone of the repository: a wheel holds the database but not the files that it is built from.
"""

import csv
import datetime
import io
import re
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from validate import Errors, Invalid, check_data, closest, links_of, read_package, read_records, shown

Rows = list[dict[str, str]]  # column → text, blank where nothing is known
LONGEST_LIST = 300  # words that a cell offers; more are no choice
EDITED = ("organisations", "accounts", "events", "uses", "figures", "cohorts", "cohort_members", "sources")


class Sheet(NamedTuple):
    """A table as a workbook has it."""

    rows: Rows
    places: dict[str, int]  # id → number of its row in the sheet


class Proposal(NamedTuple):
    """What a workbook would make of data/: the new text of each file that it changes, and how to say so."""

    texts: dict[str, str]  # table → CSV
    changes: list[tuple[str, str, list[str]]]  # what is done (+, - or ~), table/id, lines on its columns


def names_of(resource: dict[str, Any]) -> list[str]:
    """Return the columns of a declared table as they stand in its file."""
    return [field["name"] for field in resource["schema"]["fields"]]


def is_vocabulary(resource: dict[str, Any]) -> bool:
    """Tell whether a table holds coded words, whose order is chosen and not that of the alphabet."""
    return "label_en" in names_of(resource)


def read_rows(path: Path) -> Rows:
    """Return the rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def canonical(resource: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the file of their table: in order of id, but words in theirs; quotes only where needed; lines end with LF."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names_of(resource), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows if is_vocabulary(resource) else sorted(rows, key=lambda row: row["id"]))
    return text.getvalue()


def untidy(data: Path) -> dict[Path, tuple[str, str]]:
    """Return each file of a data directory that is not in canonical form → (its text, the canonical one); raise Invalid if a line has not the cells of the first."""
    found, errors = {}, Errors()
    for resource in read_package(data)["resources"]:
        path = data / resource["path"]
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        rows = list(read_records(io.StringIO(text, newline=""), path, resource["schema"]["fields"], errors))
        if not errors.count and text != (tidy := canonical(resource, rows)):
            found[path] = (text, tidy)
    if errors.count:
        raise Invalid(errors)
    return found


def write_workbook(data: Path, path: Path, tables: list[str]) -> dict[str, int]:
    """Write tables of a data directory as sheets to edit, with lists to choose coded words from and sheets of what columns and words mean; return the rows of each."""
    import openpyxl
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    resources = {resource["name"]: resource for resource in read_package(data)["resources"]}
    book, bold = openpyxl.Workbook(), Font(bold=True)
    lists: dict[str, int] = {}  # vocabulary → its column in the sheet of words
    counts: dict[str, int] = {}
    book.remove(book.active)
    words = {name: [row["id"] for row in read_rows(data / resource["path"])] for name, resource in resources.items() if is_vocabulary(resource)}
    for name in tables:
        resource, sheet = resources[name], book.create_sheet(name)
        links = links_of(resource)
        sheet.append(names_of(resource))
        rows = read_rows(data / resource["path"])
        for row in rows:
            sheet.append([value or None for value in row.values()])
        for place, column in enumerate(names_of(resource), 1):
            letter = get_column_letter(place)
            sheet.column_dimensions[letter].width = 40 if column in ("title", "title_fr", "summary", "summary_fr", "url", "sources") else 18
            sheet.cell(1, place).font = bold
            sheet.column_dimensions[letter].number_format = "@"  # text: else 2009-04 becomes a day
            for line in range(2, len(rows) + 2):
                sheet.cell(line, place).number_format = "@"
            target = links.get(column, "")
            if 0 < len(words.get(target, [])) <= LONGEST_LIST:
                letters = get_column_letter(lists.setdefault(target, len(lists) + 1))
                choice = DataValidation("list", formula1=f"words!${letters}$2:${letters}${len(words[target]) + 1}", allow_blank=True, showErrorMessage=True, error=f"Choose a word of {target}.")
                choice.add(f"{letter}2:{letter}1048576")
                sheet.add_data_validation(choice)
        sheet.freeze_panes = "B2"
        counts[name] = len(rows)
    meanings = book.create_sheet("columns")
    for line in [["table", "column", "meaning", "example", "blank means"]] + [[name, field["name"], field.get("description"), field.get("example"), field.get("blank")] for name in tables for field in resources[name]["schema"]["fields"]]:
        meanings.append(line)
    definitions = book.create_sheet("definitions")
    definitions.append(["table", "word", "English", "French", "definition"])
    for name in lists:
        for row in read_rows(data / resources[name]["path"]):
            definitions.append([name, row["id"], row["label_en"], row["label_fr"], row.get("definition")])
    choices = book.create_sheet("words")
    for target, place in lists.items():
        for line, word in enumerate([target, *words[target]], 1):
            choices.cell(line, place, word)
    for sheet, widest in ((meanings, "C"), (definitions, "E")):
        for letter in "ABCDE":
            sheet.column_dimensions[letter].width, sheet[f"{letter}1"].font = 60 if letter == widest else 24, bold
    book.save(path)
    return counts


def slug(text: str) -> str:
    """Return text in the letters of an id."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))


def own_id(table: str, row: dict[str, str]) -> str:
    """Return the id that a row without one gets: of a fact its organisation, year and type; of a source its publisher, year and two long words of its title."""
    if table == "accounts":
        return row["handle"].lower()
    if table == "cohort_members":
        return f"{row['cohort']}--{row['organisation']}"
    if table == "sources":
        return "-".join(filter(None, [slug(row["publisher"]), slug(row["published"])[:4] or "nd", *[word for word in slug(row["title"]).split("-") if len(word) > 3][:2]]))
    if table in ("events", "uses", "figures"):
        return "-".join(filter(None, [row["organisation"] or row.get("cohort", ""), slug(row.get("date") or row.get("since") or "")[:4], slug(row.get("type") or row.get("metric", ""))]))
    return slug(row.get("name", ""))


def text_of(value: object) -> str:
    """Return a cell of a workbook as text; ValueError says what is wrong with it."""
    if isinstance(value, (datetime.date, datetime.time)):
        raise ValueError(f"{str(value).removesuffix(' 00:00:00')} has become a date of the spreadsheet, which has no months or years alone; format the cell as text and type YYYY, YYYY-MM or YYYY-MM-DD")
    if isinstance(value, bool):
        raise ValueError(f"{value} has become a truth value of the spreadsheet; format the cell as text and type it again")
    if isinstance(value, float):
        return f"{value:.15g}"
    return "" if value is None else " ".join(str(value).split())


def read_workbook(path: Path, package: dict[str, Any]) -> dict[str, Sheet]:
    """Return the tables that stand in a workbook; raise Invalid with every cell that cannot be taken, and OSError if it is no workbook."""
    import openpyxl

    resources, errors, sheets = {resource["name"]: resource for resource in package["resources"]}, Errors(), {}
    try:
        book = openpyxl.load_workbook(path, read_only=True)
    except (KeyError, ValueError, zipfile.BadZipFile, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise OSError(f"{path} is no workbook: {error}") from error
    for sheet in book:
        if sheet.title in ("columns", "definitions", "words"):
            continue
        at = Path(f"{path}, sheet {sheet.title}, row ")
        if sheet.title not in resources:
            near = f', did you mean "{guess}"' if (guess := closest(sheet.title, list(resources))) else ""
            errors.add(at, 1, "", f"no table is called so{near}; call the sheet as the table, or delete it")
            continue
        names, lines = names_of(resources[sheet.title]), sheet.iter_rows(values_only=True)
        header = [text_of(cell) for cell in next(lines, ())]
        while header and not header[-1]:
            header.pop()
        if sorted(header) != sorted(names):
            missing, unknown = [name for name in names if name not in header], [name or "a blank" for name in header if name not in names or header.count(name) > 1]
            errors.add(at, 1, "", "; ".join(f"{', '.join(columns)} {said}" for columns, said in ((missing, "is missing"), (unknown, "is no column, or there twice")) if columns) + f"; the first row is {', '.join(names)}, in any order")
            continue
        rows: Rows = []
        places: dict[str, int] = {}
        for number, cells in enumerate(lines, 2):
            row = dict.fromkeys(names, "")
            for column, cell in zip(header, cells):
                try:
                    row[column] = text_of(cell)
                except ValueError as error:
                    errors.add(at, number, column, str(error))
            if any(cell not in (None, "") for cell in cells[len(header):]):
                errors.add(at, number, "", "has a cell beyond the last column; remove it, for it would be lost")
            if any(row.values()):
                typed, row["id"] = row["id"], row["id"] or own_id(sheet.title, row)
                if "added" in row:
                    row["added"] = row["added"] or datetime.date.today().isoformat()
                if row["id"] in places:
                    errors.add(at, number, "id", f"{shown(row['id'])}{'' if typed else ', which this row would get,'} stands already in row {places[row['id']]}; if it is the same, add your source there, else type an id of its own, as {row['id']}-2")
                places.setdefault(row["id"], number)
                rows.append(row)
        sheets[sheet.title] = Sheet(rows, places)
    book.close()
    if errors.count:
        raise Invalid(errors)
    return sheets


def proposed(data: Path, workbook: Path) -> Proposal:
    """Return what a workbook would change in a data directory; raise Invalid, with rows of the workbook, where that would break a rule."""
    package = read_package(data)
    sheets = read_workbook(workbook, package)
    texts, changes = {}, []
    for resource in package["resources"]:
        if resource["name"] not in sheets:
            continue
        before, after = ({row["id"]: row for row in rows} for rows in (read_rows(data / resource["path"]), sheets[resource["name"]].rows))
        if before == after:
            continue
        texts[resource["name"]] = canonical(resource, list(after.values()))
        for id in sorted(before.keys() | after.keys()):
            old, new, at = before.get(id), after.get(id), f"{resource['name']}/{id}"
            if old is None and new is not None:
                changes.append(("+", at, [f"{column}: {value}" for column, value in new.items() if value and column != "id"]))
            elif new is None:
                changes.append(("-", at, []))
            elif old is not None and old != new:
                changes.append(("~", at, [f"{column}: {old[column] or '(blank)'} → {new[column] or '(blank)'}" for column in new if old[column] != new[column]]))
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "data"
        shutil.copytree(data, copy)
        for table, text in texts.items():
            (copy / f"{table}.csv").write_text(text, encoding="utf-8")
        try:
            check_data(copy)
        except Invalid as invalid:
            raise Invalid(in_workbook(invalid.args[0], data, workbook, sheets, texts)) from None
    return Proposal(texts, changes)


def in_workbook(errors: Errors, data: Path, workbook: Path, sheets: dict[str, Sheet], texts: dict[str, str]) -> Errors:
    """Return errors with the rows of the workbook in place of lines of the files that it changes."""
    found = Errors()
    ids = {table: [row["id"] for row in csv.DictReader(io.StringIO(text))] for table, text in texts.items()}
    for path, line, text in errors.shown:
        table = Path(path).stem
        text = re.sub(r"is not in (\w+)\.csv", r"is not in the sheet \1", text)
        if table in texts and 0 <= line - 2 < len(ids[table]):
            found.add(Path(f"{workbook}, sheet {table}, row "), sheets[table].places[ids[table][line - 2]], "", text)
        else:
            found.add(data / Path(path).name, line, "", text)
    found.count = errors.count
    return found
