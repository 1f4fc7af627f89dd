"""Error pages that say what happened and what to try."""

import difflib

from datasette import handle_exception as datasettes_own
from datasette import hookimpl
from datasette.plugins import pm
from datasette.utils import tilde_encode
from datasette.utils.asgi import Base400, NotFound, Response
from datasette.views.base import DatasetteError

from build_db import DATABASE


async def nearby(datasette, path: str) -> list[tuple[str, str]]:
    """Return (address, name) of rows or pages whose name is like that of a path which is not there."""
    database, parts = datasette.databases[DATABASE], path.strip("/").split("/")
    if len(parts) == 3 and parts[1] in await database.table_names() and "id" in await database.table_columns(parts[1]):
        ids = [row["id"] for row in (await database.execute(f"select id from [{parts[1]}]")).rows]
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
    """Render error.html with what was asked for; JSON and unforeseen errors are left to Datasette."""
    path = request.scope.get("route_path", request.path).partition("?")[0]
    if not isinstance(exception, (Base400, DatasetteError)) or path.endswith((".json", ".csv")):
        return datasettes_own.handle_exception(datasette, request, exception)

    async def page():
        timed_out = getattr(exception, "title", None) == "SQL Interrupted"
        status = 400 if isinstance(exception, DatasetteError) else exception.status  # Datasette says 500 of a column that is not there
        context = {
            "status": status, "error": exception.args[0] if exception.args else getattr(exception, "message", ""), "timed_out": timed_out, "sql": request.args.get("sql"),
            "nearby": await nearby(datasette, path) if isinstance(exception, NotFound) else [], "words": path.rsplit("/", 1)[-1].replace("-", " ").replace("_", " "), "request": request, "urls": datasette.urls,
        }
        return Response.html(await datasette.jinja_env.get_template("error.html").render_async(context), status=status)

    return page
