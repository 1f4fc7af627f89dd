"""The database as a file: with a length, a digest as its ETag, ranges (a broken download resumes) and, where the build made it, compressed."""

import os
from pathlib import Path

from datasette import hookimpl
from datasette.utils.asgi import NotFound
from starlette.responses import FileResponse, Response

from build_db import DATABASE

TYPES = {".db": "application/vnd.sqlite3", ".db.gz": "application/gzip"}


@hookimpl
def startup(datasette):
    """Open the files now: what is served is what this server was started with, even where another file has taken its name."""
    database = datasette.databases[DATABASE]
    plain = Path(database.path)
    opened = {ending: path.open("rb") for ending in TYPES if (path := plain.with_suffix(ending)).is_file()}
    datasette.downloads = {ending: {"file": file, "size": os.fstat(file.fileno()).st_size, "etag": f'"{database.hash}{ending}"'} for ending, file in opened.items()}
    datasette.jinja_env.globals["downloads"] = datasette.downloads


async def download(datasette, request, scope, receive, send):
    """Send the file, or the part of it that is asked for; 304 to who has it."""
    ending = request.url_vars["ending"]
    if not (known := datasette.downloads.get(ending)):
        raise NotFound("This file was not made; build_db.py --gzip makes it.")
    headers = {"etag": known["etag"], "cache-control": "no-cache"}
    if known["etag"] in request.headers.get("if-none-match", ""):
        answer = Response(status_code=304, headers=headers)
    else:
        opened = f"/proc/self/fd/{known['file'].fileno()}"  # elsewhere than on Linux, by name
        answer = FileResponse(opened if os.path.exists(opened) else known["file"].name, filename=f"{DATABASE}{ending}", media_type=TYPES[ending], headers=headers)
    await answer(scope, receive, send)


@hookimpl
def register_routes():
    return [(rf"^/{DATABASE}(?P<ending>\.db|\.db\.gz)$", download)]
