"""Error pages that say what happened and what to try."""

import difflib
import sqlite3
import sys
import traceback

from datasette import handle_exception as datasettes_own
from datasette import hookimpl
from datasette.database import QueryInterrupted
from datasette.plugins import pm
from datasette.utils import tilde_encode
from datasette.utils.asgi import Base400, NotFound, Response
from datasette.views.base import DatasetteError

from build_db import DATABASE

# What SQLite and Python say of a request that cannot be answered; a damaged file is another matter (sqlite3.DatabaseError).
NEIGHBOURS = 500  # ids on each side of one that is not there, among which to look for what may have been meant
ASKED_WRONGLY = (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.Warning, OverflowError, ValueError)


def asked_wrongly(exception: Exception, request, path: str) -> bool:
    """Tell whether the request is at fault. Datasette does not check _through, _facet={}, a _nocol that it sorts by, and the .csv of a page without a table."""
    stumbled = path.endswith(".csv") or any(name.startswith("_") for name in request.args)
    return isinstance(exception, ASKED_WRONGLY) or (stumbled and isinstance(exception, (KeyError, TypeError)))


async def nearby(datasette, path: str) -> list[tuple[str, str]]:
    """Return (address, name) of rows or pages whose name is like that of a path which is not there."""
    database, parts = datasette.databases[DATABASE], path.strip("/").split("/")
    if len(parts) == 3 and parts[1] in await database.table_names() and "id" in await database.table_columns(parts[1]):
        # In the order of ids, those before and after the one that was asked for.
        sides = (f"select * from (select id from [{parts[1]}] where id {side} :id order by id {way} limit {NEIGHBOURS})" for side, way in ((">=", ""), ("<", "desc")))
        try:
            ids = [row["id"] for row in (await database.execute(" union all ".join(sides), {"id": parts[2]})).rows]
        except (QueryInterrupted, sqlite3.OperationalError):
            return []  # somebody else has taken all time or memory; the page does without
        return [(datasette.urls.row(DATABASE, parts[1], tilde_encode(id)), id) for id in difflib.get_close_matches(parts[2], ids, n=3, cutoff=0.7)]
    names = [*await database.table_names(), *(datasette.metadata("queries", database=DATABASE, fallback=False) or {})]
    return [(datasette.urls.table(DATABASE, name), name) for name in difflib.get_close_matches(parts[-1], names, n=3, cutoff=0.7)]


@hookimpl
def startup():
    """Ask handle_exception below instead of Datasette's own, which would print every missing page to the log."""
    if pm.is_registered(datasettes_own):
        pm.unregister(datasettes_own)


@hookimpl
def handle_exception(datasette, request, exception):
    """Render error.html, or JSON, or a line of text for CSV, with what was asked for and what to try."""
    path = request.scope.get("route_path", request.path).partition("?")[0]
    if isinstance(exception, QueryInterrupted):  # in one of the small queries of a page, which Datasette does not expect to be stopped
        exception = DatasetteError("The query took too long.", title="SQL Interrupted", status=400)
    elif asked_wrongly(exception, request, path):
        exception = DatasetteError(f"This cannot be answered: {exception}.", status=400)
    if not isinstance(exception, (Base400, DatasetteError)):
        print("".join(traceback.format_exception(exception)), file=sys.stderr)
        exception = DatasetteError("Something went wrong here.", status=500)  # nobody outside learns more
    elif exception.status == 500:
        exception.status = 400  # what Datasette says of a column that is not there
    timed_out = getattr(exception, "title", None) == "SQL Interrupted"
    said = "The query took too long." if timed_out else exception.args[0] if exception.args else getattr(exception, "message", "")
    if path.endswith(".json"):
        return Response.json({"ok": False, "error": said, "status": exception.status, "title": getattr(exception, "title", None)}, status=exception.status)
    if path.endswith(".csv"):
        return Response.text(said + "\n", status=exception.status)

    async def page():
        context = {
            "status": exception.status, "error": said, "timed_out": timed_out, "sql": request.args.get("sql"),
            "nearby": await nearby(datasette, path) if isinstance(exception, NotFound) else [], "words": path.rsplit("/", 1)[-1].replace("-", " ").replace("_", " "), "request": request, "urls": datasette.urls,
        }
        return Response.html(await datasette.jinja_env.get_template("error.html").render_async(context), status=exception.status)

    return page


@hookimpl
def asgi_wrapper():
    """Give 400 to the refusals that Datasette sends as JSON with 200, such as that of a _shape which a query does not have."""

    def wrap(app):
        async def truthful(scope, receive, send):
            held: list[dict] = []

            async def judged(message):
                if message["type"] == "http.response.start" and message["status"] == 200 and any(value.startswith(b"application/json") for name, value in message["headers"] if name == b"content-type"):
                    return held.append(message)
                if held:
                    start = held.pop()
                    await send({**start, "status": 400} if message.get("body", b"").startswith(b'{"ok": false') else start)
                await send(message)

            await app(scope, receive, judged)

        return truthful

    return wrap
