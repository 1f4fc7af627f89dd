"""The command: twittosphere serve | path | sql | export | import | tidy | info | verify."""

import csv
import difflib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
from tabulate import tabulate

import twittosphere
from twittosphere import editing
from validate import Invalid

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


def editable() -> Path:
    """Return the directory of the tables to edit, or end with status 1 where there is none."""
    data = twittosphere.SITE / "data"
    if not (data / "events.csv").is_file():
        raise click.ClickException("an installed package holds the database but not the files that it is built from; edit them in a clone of the repository")
    return data


@cli.command()
@click.argument("table", nargs=-1)
@click.option("--format", "-f", "form", type=click.Choice(FORMATS[1:]), default="csv", show_default=True)
@click.option("--xlsx", type=click.Path(path_type=Path, dir_okay=False, writable=True), metavar="FILE", help="Write tables of data/ as a workbook to edit, for twittosphere import; all that hold facts, if none is named.")
@OUTPUT
def export(table: tuple[str, ...], form: str, xlsx: Path | None, output: IO[str]) -> None:
    """Write all rows of a TABLE, as `facts` (every fact as one row), `citations` or `events`."""
    if xlsx:
        data = editable()
        if unknown := [name for name in table if not (data / f"{name}.csv").is_file()]:
            raise click.ClickException(f"there is no table {unknown[0]} in {data}")
        counts = editing.write_workbook(data, xlsx, list(table or editing.EDITED))
        return click.echo(f"{xlsx}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if len(table) != 1:
        raise click.UsageError("name one table, or a workbook with --xlsx")
    write_table(table[0], form, output)


def write_table(table: str, form: str, output: IO[str]) -> None:
    """Write all rows of a table of the database, or end with status 1 if it has none of that name."""
    db = opened()
    try:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone():
            raise click.ClickException(f"there is no table {table}; the tables are: {', '.join(row['name'] for row in db.execute('SELECT name FROM _tables ORDER BY name'))}")
        write(db.execute(f'SELECT * FROM "{table}"'), form, output)
    finally:
        db.close()


@cli.command("import")
@click.argument("workbook", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Say what would change and whether it breaks a rule, and write nothing.")
@click.option("--remove", is_flag=True, help="Remove the rows that are no more in the workbook; without it, nothing is written if there are any.")
def import_(workbook: Path, check: bool, remove: bool) -> None:
    """Take an edited WORKBOOK back into data/, after a look at what it changes: + added, - removed, ~ changed."""
    data = editable()
    try:
        found = editing.proposed(data, workbook)
    except Invalid as invalid:
        raise click.ClickException(f"{invalid.args[0].report().replace('row :', 'row ')}\nNothing was written.") from invalid
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for mark, at, lines in found.changes:
        click.secho(f"{mark} {at}", fg={"+": "green", "-": "red"}.get(mark, "yellow"))
        for line in lines:
            click.echo(f"    {line}")
    done = {mark: sum(change[0] == mark for change in found.changes) for mark in "+-~"}
    click.echo(f"{done['+']} added, {done['-']} removed, {done['~']} changed{'; nothing was written' if check else ''}")
    if done["-"] and not (check or remove):
        raise click.ClickException(f"{done['-']} rows would be lost, so that nothing was written; if they shall be, say --remove")
    for table, text in {} if check else found.texts.items():
        (data / f"{table}.csv").write_text(text, encoding="utf-8")


@cli.command()
@click.option("--check", is_flag=True, help="Show what would change, and write nothing; status 1 if anything would.")
def tidy(check: bool) -> None:
    """Put the files of data/ into canonical form: in order of id, quotes only where needed, lines ended by LF."""
    try:
        found = editing.untidy(editable())
    except Invalid as invalid:
        raise click.ClickException(f"{invalid.args[0].report()}\nNothing was written.") from invalid
    for path, (text, tidied) in found.items():
        if check:
            click.echo("".join(difflib.unified_diff(text.splitlines(True), tidied.splitlines(True), str(path), "canonical", n=0)), nl=False)
        else:
            path.write_text(tidied, encoding="utf-8")
            click.echo(f"{path}: tidied")
    sys.exit(int(bool(found) and check))


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
