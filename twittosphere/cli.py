"""The command: twittosphere serve | path | sql | export | info | verify."""

import csv
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from typing import IO, Any

import click
from tabulate import tabulate

import twittosphere

FORMATS = ("table", "csv", "json", "nl")
FORMAT = click.option("--format", "-f", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="For people, for spreadsheets, or for programs (nl: a JSON object a line).")
OUTPUT = click.option("--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="File to write to.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="twittosphere", message="%(version)s")
def cli() -> None:
    """How organisations adopted Twitter, since 2006: a sourced data set in one SQLite file."""


def opened() -> sqlite3.Connection:
    """Return twittosphere.connect(), or end with status 1 and what to do."""
    try:
        return twittosphere.connect()
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from error


def write(cursor: sqlite3.Cursor, form: str, output: IO[str]) -> None:
    """Write the rows of a cursor in one of FORMATS."""
    names = [column[0] for column in cursor.description]
    if form == "table":
        output.write(tabulate([tuple(row) for row in cursor], headers=names, disable_numparse=True) + "\n")
    elif form == "csv":
        writer = csv.writer(output, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(tuple(row) for row in cursor)
    elif form == "nl":
        output.writelines(line + "\n" for line in objects(cursor))
    else:
        output.write("[")
        for place, line in enumerate(objects(cursor)):
            output.write(f"{',' if place else ''}\n {line}")
        output.write("\n]\n")


def objects(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Yield the rows of a cursor as JSON objects."""
    return (json.dumps(dict(row), ensure_ascii=False) for row in cursor)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets other machines in.")
@click.option("--port", "-p", default=8001, show_default=True, help="Port to listen on.")
@click.option("--workers", "-w", type=click.IntRange(1), default=1, show_default=True, help="Processes that answer.")
@click.option("--open", "browse", is_flag=True, help="Open the site in the browser.")
def serve(host: str, port: int, workers: int, browse: bool) -> None:
    """Serve the site: facets, SQL, download."""
    opened().close()
    if browse and workers > 1:
        raise click.UsageError("--open goes with one worker only")
    os.chdir(twittosphere.SITE)
    server = ["datasette", ".", *["--open"] * browse] if workers == 1 else ["uvicorn", "twittosphere.asgi:site", "--factory", "--workers", str(workers), "--no-access-log"]
    os.execv(sys.executable, [sys.executable, "-m", *server, "--host", host, "--port", str(port)])


@cli.command()
def path() -> None:
    """Print where the database is, for other tools: sqlite3 "$(twittosphere path)"."""
    opened().close()
    click.echo(twittosphere.PATH)


@cli.command()
@click.argument("query")
@click.option("--param", "-p", "parameters", type=(str, str), multiple=True, metavar="NAME VALUE", help="Value of :NAME in the query.")
@FORMAT
@OUTPUT
def sql(query: str, parameters: tuple[tuple[str, str], ...], form: str, output: IO[str]) -> None:
    """Answer a query in the SQL of SQLite; nothing can be changed by it."""
    db = opened()
    try:
        cursor = db.execute(query, dict(parameters))
        if cursor.description is None:
            raise click.ClickException("that is no question; write a SELECT")
        write(cursor, form, output)
    except sqlite3.Error as error:
        raise click.ClickException(f"{error}; the tables are those of: twittosphere sql 'select name, description from _tables'") from error
    finally:
        db.close()


@cli.command()
@click.argument("table")
@click.option("--format", "-f", "form", type=click.Choice(FORMATS[1:]), default="csv", show_default=True)
@OUTPUT
def export(table: str, form: str, output: IO[str]) -> None:
    """Write all rows of a table, as `facts` (every fact as one row), `citations` or `events`."""
    db = opened()
    try:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone():
            raise click.ClickException(f"there is no table {table}; the tables are: {', '.join(row['name'] for row in db.execute('SELECT name FROM _tables ORDER BY name'))}")
        write(db.execute(f'SELECT * FROM "{table}"'), form, output)
    finally:
        db.close()


def known() -> dict[str, Any]:
    """Return what is known of this version and of its file."""
    db = twittosphere.connect()
    counts = {name: count for name, count in db.execute("SELECT name, row_count FROM _tables")}
    db.close()
    return {**twittosphere.about(), "counts": counts, "path": str(twittosphere.PATH), "bytes": twittosphere.PATH.stat().st_size}


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def info(as_json: bool) -> None:
    """Say which version this is, what it holds and where it stands."""
    opened().close()
    facts = known()
    if as_json:
        return click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    counts = facts.pop("counts")
    for key, value in facts.items():
        click.echo(f"{key:12} {value}")
    click.echo(f"{'rows':12} " + ", ".join(f"{count:,} {name}" for name, count in counts.items() if name in ("organisations", "accounts", "events", "uses", "figures", "sources", "citations")))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(as_json: bool) -> None:
    """Check that the file is sound and that its facts are those of the digest that it names; status 1 if not."""
    from build_db import check, logical_digest
    from validate import read_package

    package, db, wrong = read_package(twittosphere.SITE / "data"), opened(), []
    db.row_factory = None
    with click.progressbar(length=3, label="verifying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for pragma in ("integrity_check", "foreign_key_check"):
            try:
                check(db, pragma)
            except sqlite3.DatabaseError as error:
                wrong.append(str(error))
            bar.update(1)
        named, found = twittosphere.about()["digest"], logical_digest(db, package["resources"] + package["joins"])
        bar.update(1)
    wrong += [f"digest: the database names {named}, its facts have {found}"] if named != found else []
    if as_json:
        click.echo(json.dumps({"sound": not wrong, "digest": found, "wrong": wrong}))
    else:
        click.echo("\n".join(wrong) or f"sound; digest {found}")
    sys.exit(bool(wrong))
