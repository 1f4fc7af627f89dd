"""The home page, what row pages show of other tables, and cells that read as words and lead to rows."""

import functools
import json
import re
import sqlite3
import sys
from pathlib import Path

import jinja2
import markupsafe
from datasette import hookimpl
from datasette.utils import tilde_encode
from datasette.utils.asgi import Response

from build_db import APPLICATION_ID, DATABASE

# Columns that name their row: in lists they lead to its page.
NAMES = {"title", "title_fr", "name", "name_fr", "label", "label_en", "label_fr", "handle"}
PLAIN = re.compile(r"[\w-]+", re.ASCII)  # what tilde_encode leaves as it is
# Columns of queries and derived tables by which a title leads to a page, and the tables that they refer to.
LEADS = {"event": "events", "use": "uses", "figure": "figures", "account": "accounts", "organisation": "organisations", "cohort": "cohorts"}

MEMBERS = """
select m.id, m.organisation, o.name, m.finding, m.note, m.note_fr, a.id as account, a.handle, a.role, a.opened, a.opened_dating, p.first_trace, p.first_trace_dating, p.first_trace_in,
       (select json_group_array(type) from (select distinct type from uses where organisation = m.organisation order by type)) as uses,
       (select json_group_array(posture) from (select distinct posture from uses where organisation = m.organisation and posture != 'not_stated' order by posture)) as postures,
       (select json_group_array(json_array(date, value, qualifier)) from (select date, max(value) as value, qualifier from figures where organisation = m.organisation and metric = 'followers' and (account is null or account not in (select id from accounts where role in ('executive', 'staff'))) group by date order by date)) as followers
from cohort_members m
join organisations o on o.id = m.organisation
join panorama p on p.organisation = m.organisation
left join accounts a on a.id = m.account
where m.cohort = :cohort
order by o.name
"""


@hookimpl
def register_routes():
    """Serve the home page from its template alone; Datasette's own view first inspects every table."""

    async def home(datasette, request):
        context = {"metadata": datasette.metadata()}
        return Response.html(await datasette.render_template("index.html", context, request=request, view_name="index"))

    return [(r"^/$", home)]


TOLD = {"title", "title_fr", "description", "description_fr", "version", "created", "license", "license_name", "publisher", "keywords", "digest"}  # about itself by every database that the pages can show


def package(path: str) -> dict[str, str]:
    """Return what the build wrote about this version (version, created, digest…) into the database at path; ValueError if it is not one of ours, or not whole."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        (application,), (pages,), (size,) = (db.execute(f"pragma {name}").fetchone() for name in ("application_id", "page_count", "page_size"))
        if application != APPLICATION_ID:
            raise ValueError("it is another program's database")
        if pages * size != Path(path).stat().st_size:
            raise ValueError("it is cut short")
        about = dict(db.execute("select key, value from _package"))
        if missing := sorted(TOLD - about.keys()):
            raise ValueError(f"another version of build_db.py has built it, which does not tell its {missing[0]}")
        return about
    except sqlite3.Error as error:
        raise ValueError(str(error)) from error
    finally:
        db.close()


@hookimpl(tryfirst=True)
def startup(datasette):
    """Give every template, error pages too, the facts about this version; end here if the database cannot be served."""
    try:
        about = package(datasette.databases[DATABASE].path)
    except (ValueError, KeyError, OSError, sqlite3.Error) as error:
        sys.exit(f"{DATABASE}.db cannot be served: {error}. Build it with build_db.py and start the server again.")
    datasette.jinja_env.globals["package"] = lambda: about


@hookimpl
def prepare_jinja2_environment(env):
    """Give templates `macros()`: those of _macros.html, which wait for nothing, and so are written in half the time that an import into Datasette's asynchronous templates takes."""
    plain = env.overlay(enable_async=False)
    env.globals["macros"] = jinja2.pass_context(lambda context: plain.get_template("_macros.html").make_module(context.get_all()))


def link(address: str, text: str) -> markupsafe.Markup:
    """Return an HTML link, faster than by Markup.format."""
    return markupsafe.Markup(f'<a href="{markupsafe.escape(address)}">{markupsafe.escape(text)}</a>')


def row_link(datasette, table: str, id: str, label: str) -> markupsafe.Markup:
    """Return a link to the page of a row; Datasette's own way to its address is ten times slower, and there are hundreds in a page."""
    return link(f"{datasette.setting('base_url')}{DATABASE}/{table}/{id if PLAIN.fullmatch(id) else tilde_encode(id)}", label)


@hookimpl
def extra_template_vars(datasette):
    """Give templates links to rows, the fields of a row with their labels, and the numbered sources of facts."""
    database = datasette.databases[DATABASE]

    async def fields_of(documented: dict, table: str, columns: list[str], row) -> dict[str, dict]:
        """Return column → (value, table that it refers to, label) for the cells of a row that are not blank."""
        fields = {}
        for column, value in zip(columns, tuple(row)):
            if value is not None:
                target = datasette.reference_of(column, table) if table in documented else None
                label = datasette.word(target, value) if target else value
                if label is None:
                    label = (await datasette.expand_foreign_keys(DATABASE, table, column, [value])).get((column, value), value)
                fields[column] = {"value": value, "reference": target, "label": label}
        return fields

    async def cited(facts: str, value: str) -> dict:
        """Return the sources of the facts that a condition on citations picks, with one parameter.

        {"sources": each source once, in order of publication, with its number n,
         "of": "table/id" → [{n, stance, locator, and the source's columns}]}
        """
        sql = f"select c.fact, c.source, c.locator, c.stance, s.* from citations c join sources s on s.id = c.source where {facts} order by c.stance desc, s.published is null, s.published, s.id"
        found = {"sources": {}, "of": {}}
        for row in map(dict, (await database.execute(sql, [value])).rows):
            known = found["sources"].setdefault(row["source"], {**row, "n": len(found["sources"]) + 1})
            found["of"].setdefault(row["fact"], []).append({**row, "n": known["n"]})
        return {"sources": list(found["sources"].values()), "of": found["of"]}

    async def members_of(cohort: str, sort: str, descending: str | None) -> list[dict]:
        """Return what is recorded of each member of a cohort: account, uses, postures, and followers as [date, highest count, qualifier]; blanks last."""
        members = [{**dict(row), **{name: json.loads(row[name]) for name in ("uses", "postures", "followers")}} for row in (await database.execute(MEMBERS, {"cohort": cohort}, truncate=False)).rows]
        keys = {"name": lambda m: m["name"].casefold(), "uses": lambda m: len(m["uses"]) or None, "posture": lambda m: m["postures"], "followers": lambda m: max((value for _, value, _ in m["followers"]), default=None)}
        key = keys.get(sort) or (lambda m: m.get(sort))
        known = [member for member in members if key(member) not in (None, [])]
        return sorted(known, key=key, reverse=bool(descending)) + [member for member in members if member not in known]

    return {"row_link": functools.partial(row_link, datasette), "fields_of": fields_of, "cited": cited, "members_of": members_of, "database_sha256": database.hash, "database_size": database.size}


def target_of(row, column: str, value: str, table: str | None, datasette) -> tuple:
    """Return (table, id) of the row that a cell of a table, or of a query if table is None, seems to lead to; else fewer, or None in them."""

    def cell(name: str) -> object:
        found = row[name] if name in row.keys() else None
        return found["value"] if isinstance(found, dict) else found

    if column == "fact" and cell("stands") == 0:
        return ()
    if column in ("fact", "first_trace_in") or (table == "search" and column in ("id", "title", "title_fr")):
        return tuple(str(cell("id") if table == "search" else value).split("/", 1))
    if column in NAMES:
        if fact := cell("fact"):
            return tuple(str(fact).split("/", 1))
        if table not in (None, "timeline", "panorama"):
            return table, cell("id")
        keys = ("organisation",) if column == "name" else LEADS
        return next(((LEADS[key], cell(key)) for key in keys if cell(key)), ())
    return (datasette.reference_of(column, None), value) if table is None else ()


@hookimpl
def render_cell(row, value, column, table, database, datasette):
    """Show coded words by their labels, lists as words, numbers as in the language, and names as links to their rows."""
    if database != DATABASE or value in (None, ""):
        return None
    if isinstance(value, int):
        return datasette.jinja_env.filters["number"](value) if "year" not in column and column not in ("founded", "id") else None
    if isinstance(value, dict):  # a reference that Datasette has looked up
        return row_link(datasette, datasette.reference_of(column, table), value["value"], value["label"])
    if isinstance(value, float):
        return datasette.jinja_env.filters["number"](value)
    if isinstance(value, str):
        if column in ("table", "found_in") and (title := datasette.word("_tables", value)):
            return title
        if column == "source_urls":
            return markupsafe.Markup(", ").join(link(url, url.split("/")[2]) if re.match("https?://.", url) else url for url in value.split(" "))
        match target_of(row, column, value, table, datasette):  # of a visitor's own query, the cells may hold anything
            case str(name), str(id) if datasette.word("_tables", name):
                return row_link(datasette, name, id, (datasette.word(name, id) if id == value else None) or value)
        if value.startswith("[") and (items := datasette.items_of(column, table)):
            return ", ".join(datasette.word(items, id) or id for id in json.loads(value)) or "–"
    return None
