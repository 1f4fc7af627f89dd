#!/usr/bin/env python3
"""Write a release: data/ → dist/, every file in one form for one kind of reader.

    release.py [--out DIR] [--since FILE.db]

    .db, .db.gz          the database
    -csv.zip             every table as CSV, with a datapackage.json (Frictionless), and what loads them into PostgreSQL
    -parquet.zip         every table as Parquet, with the declared types and the meaning of each column, and what opens them in DuckDB and Spark
    -queries.zip         the questions of the site in the SQL of each of these engines
    -facts.csv           every fact as one row, for a spreadsheet
    .xlsx                the tables of facts, sources and columns as sheets of one workbook
    -sources.bib, .json  the sources as BibTeX and as CSL-JSON, for Zotero and its like
    -dcat.jsonld         the data set and these files for catalogues of open data
    -datacite.json       the data set for whoever registers a DOI
    -codebook.md, .html  what tables, columns and coded words mean
    RELEASE.md           what is new since another release, and the version that follows from it
    SHA256SUMS           of all these
Two runs on the same data give the same bytes. Exit status: 0 written, 1 refused, 2 wrong usage.
"""

import argparse
import csv
import datetime
import hashlib
import json
import mimetypes
import re
import shutil
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import build_db
from build_db import DATABASE, ROOT
from twittosphere.description import File, datacite, dcat
from validate import Invalid

SHEETS = ("facts", "organisations", "accounts", "events", "uses", "figures", "cohorts", "cohort_members", "sources", "citations")
WORDING = re.compile(r"(title|summary|note|description|definition|label|name|remark|text|locator)(_en|_fr)?|other_names|author|checked|added|accessed")  # columns whose change is one of words
CSL_TYPES = {"press": "article-newspaper", "agency": "article-newspaper", "blog": "post-weblog", "academic": "article-journal", "study": "report", "dataset": "dataset", "presentation": "speech"}
LATEX = str.maketrans({character: f"\\{character}" for character in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"})
ENGINES = {"sqlite": "sqlite", "duckdb": "duckdb", "postgresql": "postgres", "spark": "spark"}  # engine → its dialect in sqlglot
GROUP = 100_000  # rows in a group of a Parquet file, and in memory
MEDIA_TYPES = {".db": "application/vnd.sqlite3", ".gz": "application/gzip", ".md": "text/markdown", ".bib": "application/x-bibtex", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}  # that Python does not know everywhere
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the date of files in a zip, which must not depend on the clock


class Column(NamedTuple):
    """A column as _columns documents it."""

    name: str
    title: str
    type: str  # string, integer or number
    description: str
    unit: str | None
    example: str | None
    blank: str | None
    reference: str | None  # the table whose key it holds


class Table(NamedTuple):
    """A table as _tables and _columns document it."""

    name: str
    title: str
    description: str
    columns: list[Column]
    key: list[str]

    @property
    def stem(self) -> str:
        """The name of its files, without the underscore of _columns and _tables: Spark takes files with one for hidden."""
        return self.name.lstrip("_")


def tables_of(db: sqlite3.Connection) -> list[Table]:
    """Return the documented tables of a database, by name."""
    found = []
    for name, title, description in db.execute("SELECT name, title, description FROM _tables ORDER BY name").fetchall():
        columns = [Column(*row) for row in db.execute('SELECT "column", title, type, description, unit, example, blank, reference FROM _columns WHERE "table" = ? ORDER BY position', [name])]
        keys = sorted((place, column) for _, column, _, _, _, place in db.execute(f'PRAGMA table_info("{name}")') if place)
        found.append(Table(name, title, description, columns, [column for _, column in keys]))
    return found


def about_of(db: sqlite3.Connection) -> dict[str, str]:
    """Return which version a database is, as every file of a release says that has a place for it."""
    return dict(db.execute("SELECT key, value FROM _package WHERE key IN ('version', 'created', 'license', 'digest') ORDER BY key"))


def quoted(names: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(f'"{name}"' for name in names)


def rows_of(db: sqlite3.Connection, table: Table) -> sqlite3.Cursor:
    """Return the rows of a table in the order of its key."""
    return db.execute(f'SELECT {quoted(column.name for column in table.columns)} FROM "{table.name}" ORDER BY {quoted(table.key)}')


def write_csv(db: sqlite3.Connection, table: Table, path: Path) -> None:
    """Write a table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        writer.writerows(rows_of(db, table))


def zipped(folder: Path, path: Path) -> None:
    """Write a zip of the files below a folder, and remove the folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    shutil.rmtree(folder)


def descriptor(tables: list[Table], about: dict[str, str]) -> dict:
    """Return the Frictionless descriptor of the CSV files of tables."""
    keys = {table.name: table.key for table in tables}

    def resource(table: Table) -> dict:
        fields = [{"name": column.name, "type": column.type, "title": column.title, "description": " ".join(filter(None, [column.description, column.unit and f"Unit: {column.unit}."]))} for column in table.columns]
        links = [{"fields": [column.name], "reference": {"resource": "" if column.reference == table.name else column.reference, "fields": keys[column.reference]}}
                 for column in table.columns if column.reference and len(keys.get(column.reference, ())) == 1]
        return {"name": table.name, "path": f"{table.stem}.csv", "profile": "tabular-data-resource", "title": table.title, "description": table.description, "format": "csv", "mediatype": "text/csv", "encoding": "utf-8",
                "schema": {"fields": fields, "primaryKey": table.key} | ({"foreignKeys": links} if links else {})}

    return {"profile": "tabular-data-package", "name": DATABASE, "title": about["title"], "version": about["version"], "created": about["created"],
            "licenses": [{"name": "CC-BY-4.0", "path": about["license"]}], "resources": [resource(table) for table in tables]}


def write_parquet(db: sqlite3.Connection, table: Table, path: Path) -> None:
    """Write a table as Parquet, with its meaning and the version of the data."""
    import pyarrow
    from pyarrow import parquet

    types = {"string": pyarrow.string(), "integer": pyarrow.int64(), "number": pyarrow.float64()}
    schema = pyarrow.schema([pyarrow.field(column.name, types[column.type], metadata={"title": column.title, "description": column.description, "unit": column.unit or ""}) for column in table.columns],
                            metadata={"title": table.title, "description": table.description, **about_of(db)})
    rows = rows_of(db, table)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := rows.fetchmany(GROUP):
            writer.write_batch(pyarrow.record_batch([pyarrow.array(values, type=field.type) for values, field in zip(zip(*batch), schema)], schema=schema))


def text_of(value: str) -> str:
    """Return text as a literal in SQL."""
    return "'" + value.replace("'", "''") + "'"


def for_postgresql(tables: list[Table]) -> str:
    """Return what creates tables in PostgreSQL and loads their CSV files, for psql in the directory of these; text sorts there as in SQLite, by code point."""
    types, keys = {"string": 'text COLLATE "C"', "integer": "bigint", "number": "double precision"}, {table.name: table.key for table in tables}
    lines = ["\\set ON_ERROR_STOP on", "\\encoding UTF8", "BEGIN;"]
    for table in tables:
        columns = [f'"{column.name}" {types[column.type]}' for column in table.columns]
        lines += [f'CREATE TABLE "{table.name}" (', ",\n".join(f"  {part}" for part in [*columns, f"PRIMARY KEY ({quoted(table.key)})"]), ");", f"\\copy \"{table.name}\" FROM '{table.stem}.csv' WITH (FORMAT csv, HEADER)", f'COMMENT ON TABLE "{table.name}" IS {text_of(table.description)};']
        lines += [f'COMMENT ON COLUMN "{table.name}"."{column.name}" IS {text_of(column.description)};' for column in table.columns]
    for table in tables:
        for column in table.columns:
            if column.reference and keys.get(column.reference) == ["id"]:
                lines += [f'CREATE INDEX ON "{table.name}" ("{column.name}");', f'ALTER TABLE "{table.name}" ADD FOREIGN KEY ("{column.name}") REFERENCES "{column.reference}";']
    return "\n".join([*lines, "COMMIT;", "ANALYZE;", ""])


def for_duckdb(tables: list[Table]) -> str:
    """Return what shows Parquet files as tables in DuckDB, in the directory of these."""
    return "".join(f"CREATE VIEW \"{table.name}\" AS SELECT * FROM '{table.stem}.parquet';\n" for table in tables)


def for_spark(tables: list[Table]) -> str:
    """Return what shows Parquet files as tables in Spark, in the directory of these."""
    return "".join(f"CREATE TEMPORARY VIEW `{table.name}` USING parquet OPTIONS (path '{table.stem}.parquet');\n" for table in tables)


def query_for(engine: str, sql: str) -> str:
    """Return a query in the SQL of an engine of ENGINES. Its parameters are written as the clients of that engine take them: :name in SQLite and Spark, $name in DuckDB, :'name' in psql."""
    import sqlglot
    from sqlglot import expressions

    if engine == "sqlite":
        return sql + "\n"
    tree = sqlglot.parse_one(sql, read="sqlite")
    if engine == "postgresql":
        tree = tree.transform(lambda node: expressions.Var(this=f":'{node.name}'") if isinstance(node, expressions.Placeholder) else node)
    return tree.sql(ENGINES[engine], pretty=True) + "\n"


def write_tables(db: sqlite3.Connection, folder: Path) -> None:
    """Write every table below a folder: in csv/ with its descriptor and what loads them into PostgreSQL, in parquet/ with what opens them in DuckDB and Spark; and the questions of metadata.yml in queries/, by engine."""
    about, tables = dict(db.execute("SELECT key, value FROM _package")), tables_of(db)
    for form, write in (("csv", write_csv), ("parquet", write_parquet)):
        (folder / form).mkdir()
        for table in tables:
            write(db, table, folder / form / f"{table.stem}.{form}")
    head = f"-- {about['title']}, version {about['version']}\n"
    texts = {"csv/datapackage.json": json.dumps(descriptor(tables, about), ensure_ascii=False, indent=1), "csv/postgresql.sql": head + for_postgresql(tables), "parquet/duckdb.sql": head + for_duckdb(tables), "parquet/spark.sql": head + for_spark(tables)}
    for name, query in build_db.site()["queries"].items():
        texts |= {f"queries/{engine}/{name}.sql": f"{head}-- {query['title']}\n-- {query['description']}\n{query_for(engine, query['sql'])}" for engine in ENGINES}
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def workbook(path: Path, db: sqlite3.Connection, tables: list[Table], about: dict[str, str]) -> None:
    """Write the tables of SHEETS, and what their columns mean, as sheets."""
    import xlsxwriter

    chosen = [table for name in SHEETS for table in tables if table.name == name]
    options = {"strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False, "constant_memory": True}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": about["title"], "comments": f"Version {about['version']}, digest {about['digest']}", "created": datetime.datetime.fromisoformat(about["created"].rstrip("Z"))})
        bold = book.add_format({"bold": True})

        def sheet(name: str, header: list[str], rows: Iterator[tuple]) -> None:
            page, last = book.add_worksheet(name), 0
            page.freeze_panes(1, 1)
            page.set_column(0, len(header) - 1, 24)
            for last, row in enumerate([header, *rows]):
                for place, value in enumerate(row):
                    if value is not None:
                        page.write(last, place, value, *[bold] * (last == 0))
            page.autofilter(0, 0, last, len(header) - 1)

        sheet("about", ["what", "value"], ((key, about[key]) for key in ("title", "version", "created", "license", "digest")))
        for table in chosen:
            sheet(table.name, [column.name for column in table.columns], rows_of(db, table))
        sheet("columns", ["table", *Column._fields], ((table.name, *column) for table in chosen for column in table.columns))


def sources_of(db: sqlite3.Connection) -> list[dict[str, str | None]]:
    """Return the sources as dicts, by id."""
    cursor = db.execute("SELECT id, title, author, publisher, url, published, accessed, language, kind FROM sources ORDER BY id")
    return [dict(zip((column[0] for column in cursor.description), row)) for row in cursor]


def bibtex(source: dict[str, str | None]) -> str:
    """Return a source as an entry of BibTeX; names and titles stand in double braces, to be printed as they are."""
    date = (source["published"] or "").split("-")
    fields = {
        "title": source["title"] and f"{{{source['title'].translate(LATEX)}}}", "author": source["author"] and f"{{{source['author'].translate(LATEX)}}}", "publisher": source["publisher"] and source["publisher"].translate(LATEX),
        "year": date[0], "month": date[1] if len(date) > 1 else None, "day": date[2] if len(date) > 2 else None, "url": source["url"], "urldate": source["accessed"], "language": None if source["language"] == "unknown" else source["language"],
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{{source['id']},\n{lines}}}\n"


def csl(source: dict[str, str | None]) -> dict:
    """Return a source as an item of CSL-JSON."""
    parts = lambda date: {"date-parts": [[int(part) for part in date.split("-")]]}  # noqa: E731
    item = {
        "id": source["id"], "type": CSL_TYPES.get(source["kind"] or "", "webpage"), "title": source["title"], "author": source["author"] and [{"literal": source["author"]}], "container-title": source["publisher"], "URL": source["url"],
        "issued": source["published"] and parts(source["published"]), "accessed": source["accessed"] and parts(source["accessed"]), "language": None if source["language"] == "unknown" else source["language"],
    }
    return {key: value for key, value in item.items() if value}


def codebook(db: sqlite3.Connection, tables: list[Table], about: dict[str, str]) -> str:
    """Return what tables, columns and coded words mean, as Markdown."""
    cell = lambda text: (text or "").replace("|", "\\|")  # noqa: E731
    lines = [f"# {about['title']}: codebook", "", f"Version {about['version']}, {about['created'][:10]}, digest `{about['digest']}`. Licence: <{about['license']}>.", ""]
    for table in tables:
        lines += [f"## {table.name}", "", f"**{table.title}.** {table.description}", "", "| column | type | meaning | unit | example | blank | refers to |", "| --- | --- | --- | --- | --- | --- | --- |"]
        lines += [f"| `{column.name}` | {column.type} | {cell(column.description)} | {cell(column.unit)} | {cell(column.example)} | {cell(column.blank)} | {cell(column.reference)} |" for column in table.columns] + [""]
        if {"label_en", "definition"} <= {column.name for column in table.columns}:
            words = db.execute(f'SELECT id, label_en, label_fr, definition FROM "{table.name}" ORDER BY rowid')
            lines += ["| word | English | French | definition |", "| --- | --- | --- | --- |", *(f"| `{id}` | {cell(en)} | {cell(fr)} | {cell(definition)} |" for id, en, fr, definition in words), ""]
    return "\n".join(lines)


def html_of(markdown: str, title: str) -> str:
    """Return Markdown as a page of its own."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark").enable("table").render(markdown)
    style = "body{font:16px/1.5 sans-serif;max-width:75rem;margin:auto;padding:1rem}table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #bbb;padding:.3rem .5rem;text-align:left;vertical-align:top}"
    return f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{style}</style></head><body>\n{body}</body></html>\n'


def changes(db: sqlite3.Connection, since: sqlite3.Connection) -> tuple[list[str], str | None]:
    """Compare a database with an earlier one; return lines that say what is new, and which part of the version follows: major, minor, patch or None.

    A table or column that is gone: major. Rows or columns that came, rows that went or have other values: minor. Other words only: patch.
    """
    now, before = ({table.name: table for table in tables_of(each)} for each in (db, since))
    lines, parts = [], set()
    for name in sorted(before.keys() - now.keys()):
        lines.append(f"- table `{name}` is gone")
        parts.add("major")
    for name, table in now.items():
        if name not in before:
            (count,) = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            lines.append(f"- table `{name}` is new, with {count:,} rows")
            parts.add("minor")
            continue
        names, old_names = ({column.name for column in each.columns} for each in (table, before[name]))
        for gone in sorted(old_names - names):
            lines.append(f"- column `{name}.{gone}` is gone")
            parts.add("major")
        for came in sorted(names - old_names):
            lines.append(f"- column `{name}.{came}` is new")
            parts.add("minor")
        common = [column.name for column in table.columns if column.name in old_names]
        key = [common.index(column) for column in table.key] if set(table.key) <= set(common) else []
        if not key:
            continue
        query = f'SELECT {quoted(common)} FROM "{name}"'
        rows, old_rows = ({tuple(row[place] for place in key): row for row in each.execute(query)} for each in (db, since))
        added, removed = len(rows.keys() - old_rows.keys()), len(old_rows.keys() - rows.keys())
        differing = [{column for column, old, new in zip(common, old_rows[one], rows[one]) if old != new} for one in rows.keys() & old_rows.keys() if rows[one] != old_rows[one]]
        reworded = sum(all(WORDING.fullmatch(column) for column in columns) for columns in differing)
        counts = [(added, "added"), (removed, "removed"), (len(differing) - reworded, "changed"), (reworded, "worded otherwise")]
        if any(count for count, _ in counts):
            lines.append(f"- `{name}`: " + ", ".join(f"{count:,} {word}" for count, word in counts if count))
            parts |= {"minor"} if any(count for count, _ in counts[:3]) else {"patch"}
    return lines, next((part for part in ("major", "minor", "patch") if part in parts), None)


def bumped(version: str, part: str | None) -> str:
    """Return the version that follows: bumped("1.2.3", "minor") is 1.3.0."""
    major, minor, patch = (int(number) for number in version.split("."))
    return {"major": f"{major + 1}.0.0", "minor": f"{major}.{minor + 1}.0", "patch": f"{major}.{minor}.{patch + 1}", None: version}[part]


def notes(db: sqlite3.Connection, about: dict[str, str], since: Path | None) -> str:
    """Return the release note."""
    counts = dict(db.execute("SELECT name, row_count FROM _tables"))
    lines = [f"# {about['title']}, version {about['version']}", "", f"{about['created'][:10]}. Digest of the facts: `{about['digest']}`, the same with any version of SQLite.", "",
             ", ".join(f"{counts[name]:,} {name}" for name in ("organisations", "accounts", "events", "uses", "figures", "sources")) + ".", ""]
    if since:
        earlier = sqlite3.connect(f"{since.resolve().as_uri()}?mode=ro", uri=True)
        (version,) = earlier.execute("SELECT value FROM _package WHERE key = 'version'").fetchone()
        said, part = changes(db, earlier)
        earlier.close()
        lines += [f"## Since version {version}", "", *(said or ["Nothing has changed."]), "", f"The version that follows from this is {bumped(version, part)} ({part or 'no change'}).", ""]
    return "\n".join(lines)


def write(out: Path, since: Path | None) -> list[Path]:
    """Write every file of a release into a directory, in place of what stood there, and return their paths.

    Raises Invalid where data/ breaks a rule, OSError and sqlite3.Error; what stood there is then left as it was.
    """
    with tempfile.TemporaryDirectory(dir=out.resolve().parent) as name:
        folder = Path(name) / "dist"
        folder.mkdir()
        database = folder / f"{DATABASE}.db"
        build_db.build(ROOT / "data", database, compress=True)
        (folder / "inspect-data.json").unlink()
        db = sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)
        about, tables = dict(db.execute("SELECT key, value FROM _package")), tables_of(db)
        write_tables(db, folder)
        shutil.copy(folder / "csv" / "facts.csv", folder / f"{DATABASE}-facts.csv")
        for form in ("csv", "parquet", "queries"):
            zipped(folder / form, folder / f"{DATABASE}-{form}.zip")
        workbook(folder / f"{DATABASE}.xlsx", db, tables, about)
        sources, meanings = sources_of(db), codebook(db, tables, about)
        for file, text in {
            f"{DATABASE}-sources.bib": f"% The sources of {about['title']}, version {about['version']}\n\n" + "\n".join(map(bibtex, sources)), f"{DATABASE}-sources.json": json.dumps(list(map(csl, sources)), ensure_ascii=False, indent=1) + "\n",
            f"{DATABASE}-codebook.md": meanings, f"{DATABASE}-codebook.html": html_of(meanings, about["title"]), "RELEASE.md": notes(db, about, since),
        }.items():
            (folder / file).write_text(text, encoding="utf-8")
        db.close()
        files = [File(path.name, path.name, MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0], path.stat().st_size) for path in sorted(folder.iterdir())]
        for name, described in ((f"{DATABASE}-dcat.jsonld", dcat(about, "", files)), (f"{DATABASE}-datacite.json", datacite(about, files))):
            (folder / name).write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir()))
        (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        shutil.move(folder, out)
    return sorted(out.iterdir())


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description="Write every file of a release into a directory.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="directory to write, in place of what stood there (default: dist)")
    parser.add_argument("--since", type=Path, metavar="FILE", help="database of an earlier release, to say what is new")
    options = parser.parse_args(arguments)
    if options.since and not options.since.is_file():
        parser.error(f"--since {options.since}: there is no such file")
    try:
        written = write(options.out, options.since)
    except Invalid as invalid:
        print(invalid.args[0].report(), "Nothing was written.", sep="\n", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error) as error:
        print(f"{options.out}: cannot be written: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(f"{path.stat().st_size:12,} {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
