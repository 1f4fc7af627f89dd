"""Pages that were asked for lately, kept in memory: the file that is served does not change, nor do its pages."""

from collections import OrderedDict
from contextvars import ContextVar

from datasette import hookimpl
from datasette.database import QueryInterrupted

from build_db import DATABASE

BYTES = 24_000_000  # of all pages kept, with their addresses; metadata.yml may say otherwise under plugins: kept: bytes
OVERHEAD = 3_000  # bytes of what belongs to one beside its body and address
LONGEST = 300_000  # of one
KINDS = ("text/html", "application/json", "image/svg+xml")

cut_short: ContextVar[list | None] = ContextVar("cut_short", default=None)  # of a request, the queries that took too long


@hookimpl
def startup(datasette):
    """Note what took too long: a page without one of its facets is not the page."""
    database = datasette.databases[DATABASE]
    execute = database.execute

    async def noted(sql, params=None, **options):
        try:
            return await execute(sql, params, **options)
        except QueryInterrupted:
            if (queries := cut_short.get()) is not None:
                queries.append(sql)
            raise

    database.execute = noted


@hookimpl(trylast=True)  # outside the guard: a kept page costs nobody anything
def asgi_wrapper(datasette):
    """Answer GET from what is kept; keep whole, public answers."""
    most = (datasette.plugin_config("kept") or {}).get("bytes", BYTES)

    def wrap(app):
        kept: OrderedDict[tuple, list[dict]] = OrderedDict()
        size = 0

        async def remembering(scope, receive, send):
            nonlocal size
            if scope["type"] != "http" or scope["method"] != "GET":
                return await app(scope, receive, send)
            # The host, as pages name their own address.
            key = (scope["scheme"], next((value for name, value in scope["headers"] if name == b"host"), b""), scope.get("raw_path") or scope["path"].encode(), scope["query_string"])
            if key in kept:
                kept.move_to_end(key)
                for message in kept[key]:
                    await send(message)
                return
            messages: list[dict] | None = []
            cut_short.set(queries := [])

            async def noting(message):
                nonlocal messages
                if messages is not None:
                    messages.append(message)
                    if message["type"] == "http.response.start" and not may_be_kept(message) or sum(len(part.get("body", b"")) for part in messages) > LONGEST:
                        messages = None
                await send(message)

            await app(scope, receive, noting)
            if messages and not queries and not messages[-1].get("more_body") and messages[-1]["type"] == "http.response.body" and key not in kept:
                body = b"".join(part.get("body", b"") for part in messages)
                kept[key] = [messages[0], {"type": "http.response.body", "body": body}]
                size += weight(key, kept[key])
                while size > most:
                    size -= weight(*kept.popitem(last=False))

        return remembering

    return wrap


def weight(key: tuple, messages: list[dict]) -> int:
    """Return about how many bytes a kept page takes."""
    return OVERHEAD + sum(map(len, key)) + len(messages[1]["body"])


def may_be_kept(start: dict) -> bool:
    """Tell whether an answer is whole and the same for everybody."""
    headers = {name.lower(): value for name, value in start["headers"]}
    return start["status"] == 200 and b"set-cookie" not in headers and b"private" not in headers.get(b"cache-control", b"") and headers.get(b"content-type", b"").decode("latin-1").startswith(KINDS)
