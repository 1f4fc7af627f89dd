"""What Datasette works out anew for each page, though the file and the settings that are served do not change, worked out once."""

import re
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

from datasette import hookimpl

from build_db import DATABASE

OWN_PATH = re.compile(r"/(?!/)(?!.*/\.)")  # of this host, and as it should be written


def once(look: Callable[..., Awaitable], tables: set[str]) -> Callable[..., Awaitable]:
    """Return an asynchronous function that looks a thing up a second time only if it is not about tables that exist."""
    found = {}

    async def remembered(*about):
        if about not in found:
            known = await look(*about)
            if not tables.issuperset(about):
                return known
            found[about] = known
        return found[about]

    return remembered


@hookimpl
def startup(datasette):
    """Remember the schema and the metadata, and write whole addresses without taking them apart."""
    database = datasette.databases[DATABASE]
    with closing(database.connect()) as db:
        tables = {name for name, in db.execute("select name from sqlite_master where type = 'table'")}
    # Each of them waits for another thread.
    for name in ("table_exists", "table_columns", "table_column_details", "primary_keys", "fts_table", "foreign_keys_for_table", "get_all_foreign_keys", "get_table_definition"):
        setattr(database, name, once(getattr(database, name), tables))
    datasette.refresh_schemas = once(datasette.refresh_schemas, tables)

    merge, merged = datasette.metadata, {}

    def metadata(key: str | None = None, database: str | None = None, table: str | None = None, fallback: bool = True) -> Any:
        about = (datasette.language(), key, database, table, fallback)
        if about in merged:
            return merged[about]
        found = merge(key, database, table, fallback)
        if database in (None, DATABASE) and (table is None or table in tables):  # else a visitor could name ever more
            merged[about] = found
        return found

    resolve = datasette.absolute_url

    def absolute_url(request, path: str) -> str:
        path = str(path)  # Datasette's own kind of text is slow
        if not OWN_PATH.match(path):
            return resolve(request, path)
        return f"{'https' if datasette.setting('force_https_urls') else request.scheme}://{request.host}{path}"

    datasette.metadata, datasette.absolute_url = metadata, absolute_url
