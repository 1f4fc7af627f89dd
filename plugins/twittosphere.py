"""What the site needs beyond stock Datasette: documentation, language, links and readable numbers from the database itself."""

import contextvars
import functools
import json
import re
import sqlite3
from http.cookies import SimpleCookie

import markupsafe
from datasette import default_permissions, hookimpl
from datasette.plugins import pm
from datasette.utils.asgi import Response

DATABASE = "twittosphere"
LANGUAGES = {"en": "English", "fr": "Français"}
# Columns of query results that hold the id of a row, and the table of that row.
ROW_COLUMNS = {
    "organisation": "organisations", "account": "accounts", "event": "events", "use": "uses",
    "figure": "figures", "cohort": "cohorts", "source": "sources", "member": "cohort_members",
}
language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="en")


# --- Language -----------------------------------------------------------------


@hookimpl
def asgi_wrapper(datasette):
    """Serve /fr/… and /en/… as … in that language, and keep the choice in a cookie."""

    def wrap(app):
        async def in_language(scope, receive, send):
            if scope["type"] != "http":
                return await app(scope, receive, send)
            prefix, headers = scope["path"][1:3], dict(scope["headers"])
            chosen = prefix if prefix in LANGUAGES and scope["path"][3:4] in ("", "/") else None
            if chosen:
                raw = scope.get("raw_path") or scope["path"].encode()
                scope = {**scope, "path": scope["path"][3:] or "/", "raw_path": raw[3:] or b"/"}
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get("language")
            kept = cookie.value if cookie and cookie.value in LANGUAGES else "en"
            language.set(chosen or kept)

            async def send_with_language(message):
                if message["type"] == "http.response.start":
                    added = [(b"content-language", language.get().encode()), (b"vary", b"Cookie")]
                    if chosen:
                        added.append((b"set-cookie", f"language={chosen}; Path=/; Max-Age=31536000; SameSite=Lax".encode()))
                    message = {**message, "headers": [*message.get("headers", []), *added]}
                await send(message)

            await app(scope, receive, send_with_language)

        return in_language

    return wrap


def tr(english: str, french: str) -> str:
    """Return the text in the language of the request."""
    return spaced(french) if language.get() == "fr" else english


def spaced(french: str | None) -> str | None:
    """Put the no-break spaces of French typography before ; : ! ? » and after «, where plain spaces stand."""
    return re.sub("« ", "«\u202f", re.sub(r" ([;!?»])", "\u202f\\1", french.replace(" :", "\u00a0:"))) if french else french


# --- Documentation --------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def documentation(path: str, lang: str) -> dict:
    """Return Datasette metadata for every table in a language, read from _tables and _columns of the database at path."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    title, about = ("title_fr", "description_fr") if lang == "fr" else ("title", "description")
    tables = {
        name: {"title": title, "description": spaced(description) if lang == "fr" else description, "columns": {}, "titles": {}}
        for name, title, description in db.execute(f"select name, {title}, {about} from _tables")
    }
    sql = f"select [table], [column], {title}, description, unit, example, blank from _columns order by rowid"
    for table, column, title, description, unit, example, blank in db.execute(sql):
        notes = [f"Unit: {unit}." if unit else "", f"Example: {example.rstrip('.')}." if example else "", f"Blank: {blank}" if blank else ""]
        tables[table]["columns"][column] = " ".join([description, *filter(None, notes)])
        tables[table]["titles"][column] = title
        if column == "label_en":
            tables[table] |= {"label_column": f"label_{lang}", "sort": f"label_{lang}"}
    db.close()
    return {"databases": {DATABASE: {"tables": tables}}}


@hookimpl
def get_metadata(datasette, key):
    """Add the titles, descriptions and labels that the build wrote into the database to metadata.yml."""
    database = getattr(datasette, "databases", {}).get(DATABASE)
    # Datasette asks for "tables" in each permission check and copies the answer: nothing here bears on that.
    return documentation(database.path, language.get()) if database and key != "tables" else {}


# --- Permissions and search -----------------------------------------------------


@hookimpl
def startup():
    """Ask permission_allowed below instead of Datasette's own checks."""
    if pm.is_registered(default_permissions):
        pm.unregister(default_permissions)


@hookimpl
def permission_allowed(datasette, actor, action, resource):
    """Show the whole database to everybody; leave every other question to Datasette.

    Datasette merges and copies all metadata to answer for each table, five to ten
    times the cost of the page itself on a database with eighty tables.
    """
    database = resource[0] if isinstance(resource, tuple) else resource
    if action == "view-instance" or (action in ("view-database", "view-table", "view-query") and database == DATABASE):
        return True
    return default_permissions.permission_allowed(datasette, actor, action, resource)


@hookimpl(trylast=True)
def prepare_connection(conn):
    """Replace Datasette's escape_fts: words match by their beginning, and a lone quote is not an error."""
    conn.create_function("escape_fts", 1, lambda text: " ".join(f'"{word}"*' for word in re.findall(r"\w+", text)) or '""')


# --- Pages ----------------------------------------------------------------------


@hookimpl
def register_routes():
    """Serve the home page from its template alone; Datasette's own view first inspects every table."""

    async def home(datasette, request):
        context = {"metadata": datasette.metadata()}
        return Response.html(await datasette.render_template("index.html", context, request=request, view_name="index"))

    return [(r"^/$", home)]


@functools.lru_cache(maxsize=1)
def package_version(path: str) -> str:
    """Return the version of the data in the database at path."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    version = db.execute("select value from _package where key = 'version'").fetchone()[0]
    db.close()
    return version


@hookimpl
def prepare_jinja2_environment(env, datasette):
    """Give every template, error pages too, the language and the version of the data."""
    env.globals |= {"tr": tr, "languages": LANGUAGES, "package_version": lambda: package_version(datasette.databases[DATABASE].path)}


@hookimpl
def extra_template_vars(datasette, request):
    """Give templates the language, the documentation, the package facts and the cells of a row with their labels."""
    database = datasette.databases[DATABASE]
    tables = documentation(database.path, language.get())["databases"][DATABASE]["tables"]

    async def fields_of(table: str, columns: list[str], row) -> list[dict]:
        """Return the cells of a row, each with its column, value, and the table and label it refers to."""
        references = {key["column"]: key["other_table"] for key in await database.foreign_keys_for_table(table)}
        fields = []
        for column, value in zip(columns, tuple(row)):
            target = references.get(column) if value is not None else None
            label = (await datasette.expand_foreign_keys(DATABASE, table, column, [value])).get((column, value)) if target else None
            fields.append({"column": column, "value": value, "reference": target, "label": label or value})
        return fields

    def column_meanings(columns: list[str]) -> dict[str, str]:
        """Return column → meaning for the columns of a query, in the words of the first table that has one of that name."""
        known = {name: meaning for table in reversed(tables.values()) for name, meaning in table.get("columns", {}).items()}
        return {name: known[name] for name in columns if name in known}

    return {
        "lang": language.get(),
        "path": request.path if request else "/",
        "documented": tables,
        "column_meanings": column_meanings,
        "database_sha256": database.hash,
        "fields_of": fields_of,
    }


@hookimpl
def render_cell(row, value, column, table, database, datasette):
    """Show whole numbers plainly, lists as words, and ids of rows as links."""
    if database != DATABASE:
        return None
    if isinstance(value, float) and value.is_integer():
        return f"{int(value):,}".replace(",", "\u202f" if language.get() == "fr" else ",")
    if table == "panorama" and column == "uses":
        return ", ".join(json.loads(value))
    target = None
    if isinstance(value, str):
        if table == "search" and column == "title":
            target = row["id"]
        elif column in ("fact", "first_trace_in") or (table == "search" and column == "id"):
            target = value
        elif table is None and column in ROW_COLUMNS:
            target = f"{ROW_COLUMNS[column]}/{value}"
    if target is None:
        return None
    name, _, key = target.partition("/")
    return markupsafe.Markup('<a href="{}">{}</a>').format(datasette.urls.row(DATABASE, name, key), value)
