"""What one visitor may cost: limits on SQL, on addresses and on waiting, so that nobody fills the memory or keeps the others waiting.

Each number is declared once, below, and may be changed in metadata.yml under plugins: guard.
"""

import asyncio
import ctypes
import functools
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from urllib.parse import parse_qsl

from datasette import hookimpl
from datasette.database import QueryInterrupted, Results
from datasette.utils.asgi import NotFound

from build_db import DATABASE

DEFAULTS = {
    "url_length": 8_000,  # bytes of path and query; longer than any address that the site writes
    "parameters": 100,
    "body": 30_000,  # bytes that an assistant may send
    "facets": 6,
    "page_size": 500,  # rows that a page shows at the most; JSON and CSV may hold more
    "value_length": 250_000,  # bytes of one value: bounds every function that SQLite cannot interrupt
    "result_length": 3_000_000,  # bytes of one result
    "heap": 60_000_000,  # bytes that SQLite may allocate in the whole process
    "costly": 1,  # costly requests that run at a time; settings.json gives Datasette six threads for SQL
    "searches": 2,  # searches for words that run at a time
    "streams": 2,  # CSV files of all rows that are written at a time
    "wait": 10,  # seconds that such a request waits for its turn
    "queue": 16,  # such requests that may wait
    "work": 60,  # seconds of SQL for one request; only a stream takes more, in an order that no index has: it breaks off
    "stall": 20,  # seconds after which a visitor who does not read the answer is cut off
    "stop": 2,  # seconds that a stop signal leaves to requests under way
}
LIMITS = {  # https://www.sqlite.org/limits.html
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000, sqlite3.SQLITE_LIMIT_COLUMN: 200, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100, sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000, sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 50, sqlite3.SQLITE_LIMIT_ATTACHED: 0, sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10_000, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10, sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
# Functions that make big values out of nothing, show addresses of memory or how SQLite was compiled, or load code.
FUNCTIONS = re.compile(r"zeroblob|randomblob|fts3_tokenizer|load_extension|sqlite_(compileoption\w*|source_id|log|offset|rename\w*)")
# Tables that show paths, other people's statements or raw pages. Datasette itself asks the pragmas as statements.
TABLES = re.compile(r"pragma_(?!table_x?info$|table_list$|index_x?info$|index_list$|foreign_key_list$)\w+|sqlite_(stmt|dbpage|dbdata|dbptr|memstat)|dbstat|bytecode|tables_used")
WRITES = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_ANALYZE, sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_TEMP_TABLE, sqlite3.SQLITE_CREATE_TRIGGER}
# Parameters whose cost the visitor decides; every other address reads an index.
COSTLY = re.compile(r"sql|_where|_through|_sort|_sort_desc|_facet\w*|.+__(contains|notcontains|endswith|like|notlike|glob|arraycontains|arraynotcontains|date)")
PATIENCE = (0.02, 0.1, 0.5, 1, None)  # seconds before a request that is not costly tries again, for which no memory was left
LIBC, M_ARENA_MAX = ctypes.CDLL(None), -8  # malloc.h
ASSISTANTS = "/-/mcp"  # the one address that takes what is sent to it
PRIVATE = r"^/-/(databases|settings|config|plugins|metadata|threads|actor|auth-token|permissions|allow-debug|messages|patterns|logout)(\.json)?$"


class Visit:
    """What a request has running in SQLite and on its way out, so that it can be stopped when nobody waits for its answer."""

    def __init__(self, weight: int, allowance: float, page: bool) -> None:
        self.weight, self.allowance, self.page = weight, allowance, page  # weight: 0 of ordinary pages, 1 of searches, 2 of all else; allowance: seconds of SQL that are left to it
        self.gone, self.running, self.lock = False, set(), threading.Lock()
        self.sending: float | None = None  # since when a part of the answer waits to be taken
        self.pressed = False  # that no memory was left for it: until it is answered, those of more weight are given none

    def stalled(self, patience: float) -> bool:
        """Tell whether the visitor has not taken a part of the answer for so many seconds."""
        return self.sending is not None and time.monotonic() - self.sending > patience

    def run(self, conn: sqlite3.Connection, work):
        """Return work(conn); QueryInterrupted if the visitor has gone before, or has used up the allowance."""
        with self.lock:
            if self.gone or self.allowance < 0:
                raise QueryInterrupted(sqlite3.OperationalError("interrupted"), "", None)
            self.running.add(conn)
        start = time.monotonic()
        try:
            return work(conn)
        finally:
            with self.lock:
                self.allowance -= time.monotonic() - start
                self.running.discard(conn)

    def stop(self) -> None:
        """Interrupt what runs and refuse what would come after."""
        with self.lock:
            self.gone = True
            for conn in self.running:
                conn.interrupt()


visit: ContextVar[Visit | None] = ContextVar("visit", default=None)
visits: set[Visit] = set()


def limits(datasette) -> dict[str, int]:
    """Return DEFAULTS as metadata.yml changes them."""
    return DEFAULTS | (datasette.plugin_config("guard") or {})


def authorizer(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Deny what FUNCTIONS, TABLES and WRITES name. FTS5 must be let through to sqlite_master, or it does not open."""
    denied = action in WRITES or (action == sqlite3.SQLITE_FUNCTION and FUNCTIONS.fullmatch(second)) or (action == sqlite3.SQLITE_READ and TABLES.fullmatch(first))
    return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK


def bounded_printf(plain: sqlite3.Connection, form: str | None, *values: object) -> str | None:
    """Return what SQLite's printf makes; ValueError where a width or precision is over three digits, or an argument."""
    if isinstance(form, str) and re.search(r"%[^a-zA-Z%]*(\*|\d{4})", form):
        raise ValueError("a width or precision has three digits at most")
    return plain.execute(f"select printf({', '.join('?' * (1 + len(values)))})", (form, *values)).fetchone()[0]


@hookimpl
def prepare_connection(conn, database, datasette):
    """Set the limits of a connection to our database; Datasette writes into the other one, of its own."""
    if database != DATABASE:
        return
    chosen = limits(datasette)
    for limit, value in {**LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: chosen["value_length"]}.items():
        conn.setlimit(limit, value)
    plain = sqlite3.connect(":memory:", check_same_thread=False)
    plain.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, chosen["value_length"])
    for name in ("printf", "format"):
        conn.create_function(name, -1, functools.partial(bounded_printf, plain), deterministic=True)
    for pragma in (f"hard_heap_limit = {chosen['heap']}", "query_only = on", "trusted_schema = off", "cell_size_check = on"):
        conn.execute(f"PRAGMA {pragma}")
    conn.set_authorizer(authorizer)


class BoundedCursor(sqlite3.Cursor):
    """A cursor that gives up a result longer than `length` bytes of text and blobs, before it is all in memory."""

    length = DEFAULTS["result_length"]

    def fetchmany(self, size: int) -> list:
        rows, left = [], self.length
        for row in self:
            left -= sum(len(value) for value in row if isinstance(value, (str, bytes)))
            if left < 0:
                raise sqlite3.OperationalError(f"the result is longer than {self.length:,} characters; ask for fewer rows or columns")
            rows.append(row)
            if len(rows) == size:
                break
        return rows

    def fetchall(self) -> list:
        return self.fetchmany(-1)


class BoundedConnection:
    """A connection whose cursors are bounded."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def cursor(self) -> BoundedCursor:
        return self.conn.cursor(BoundedCursor)

    def __getattr__(self, name: str):
        return getattr(self.conn, name)


def give_back_memory() -> None:
    """Return to the system what costly requests have used; glibc would keep it, in an arena for each thread."""
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)


@hookimpl
def startup(datasette):
    """Bound what every query returns, and let it be stopped."""
    if hasattr(LIBC, "mallopt"):
        LIBC.mallopt(M_ARENA_MAX, 2)
    chosen = limits(datasette)
    BoundedCursor.length = chosen["result_length"]
    database = datasette.databases[DATABASE]
    execute, execute_fn = database.execute, database.execute_fn

    async def shown(sql, params=None, **options):
        found, asking = await execute(sql, params, **options), visit.get()
        # One more than a page has tells Datasette that there is a next one.
        if options.get("truncate") and asking and asking.page and len(found.rows) > chosen["page_size"] + 1:
            return Results(found.rows[: chosen["page_size"]], True, found.description)
        return found

    async def stoppable(work):
        asking = visit.get()

        def bounded(conn):
            return work(BoundedConnection(conn))

        for patience in PATIENCE:
            try:
                if asking and any(other.pressed and other.weight < asking.weight for other in visits):
                    raise MemoryError
                return await execute_fn((lambda conn: asking.run(conn, bounded)) if asking else bounded)
            except MemoryError as error:
                if asking is None or asking.weight == 2 or patience is None:
                    raise sqlite3.OperationalError("the query needs more memory than one visitor may use") from error
                # Who asks for little does not pay for who asks for much.
                asking.pressed = True
                for other in visits:
                    if other.weight > asking.weight:
                        other.stop()
                await asyncio.sleep(patience)

    database.execute, database.execute_fn = shown, stoppable

    async def open_all():
        """Open every thread's connection now: one that opened later could find another file under the same name."""
        together = threading.Barrier(datasette.setting("num_sql_threads"))
        await asyncio.gather(*(execute_fn(lambda conn: together.wait(30)) for _ in range(together.parties)))

    return open_all


@hookimpl
def register_routes():
    """Show nobody how this server is set up."""

    async def private(request):
        raise NotFound("This page is not public.")

    return [(PRIVATE, private)]


def refusal(scope: dict, chosen: dict[str, int]) -> tuple[int, str] | None:
    """Return (status, what is wrong) of a request that asks too much, or None."""
    if scope["path"] == ASSISTANTS and scope["method"] != "POST":
        return 405, "Only POST: this address is for assistants that speak the Model Context Protocol."
    if scope["path"] != ASSISTANTS and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        return 405, "Only GET and HEAD: there is nothing to write here."
    raw, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    if len(raw) + len(query) > chosen["url_length"]:
        return 414, f"The address is longer than {chosen['url_length']:,} bytes."
    if query.count(b"&") >= chosen["parameters"]:
        return 400, f"The address has more than {chosen['parameters']} parameters."
    if sum(name.startswith("_facet") and name != "_facet_size" for name in names_of(scope)) > chosen["facets"]:
        return 400, f"The address asks for more than {chosen['facets']} facets."
    sizes = [value for name, value in parameters_of(scope) if name == "_size"]
    if is_page(scope) and any(size == "max" or size.isdecimal() and int(size[:9]) > chosen["page_size"] for size in sizes):
        return 400, f"A page shows at most {chosen['page_size']} rows; ask for more as .json or .csv."
    return None


def is_page(scope: dict) -> bool:
    """Tell whether a request asks for a page to look at, whose rows cost a hundred times what they cost as JSON or CSV."""
    return not scope["path"].endswith((".json", ".csv"))


def parameters_of(scope: dict) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of the query of a request."""
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def names_of(scope: dict) -> list[str]:
    """Return the names of the parameters of a request."""
    return [name for name, _ in parameters_of(scope)]


class Busy(Exception):
    """No turn came in time."""


class Lane:
    """Turns for requests of one kind, `width` at a time, of which no more than `queue` wait, for `wait` seconds at most."""

    def __init__(self, width: int, wait: float, queue: int) -> None:
        self.turn, self.wait, self.places = asyncio.Semaphore(width), wait, queue

    async def __aenter__(self) -> None:
        if not self.places:
            raise Busy
        self.places -= 1
        try:
            await asyncio.wait_for(self.turn.acquire(), self.wait)
        except TimeoutError as error:
            raise Busy from error
        finally:
            self.places += 1

    async def __aexit__(self, *_: object) -> None:
        self.turn.release()
        give_back_memory()


@hookimpl
def asgi_wrapper(datasette):
    """Refuse what asks too much, let costly requests wait for one another, and stop work when the visitor leaves or the server stops."""
    chosen = limits(datasette)
    costly, searches, streams = (Lane(chosen[width], chosen["wait"], chosen["queue"]) for width in ("costly", "searches", "streams"))

    def lane_of(scope):
        names = names_of(scope)
        return streams if "_stream" in names else costly if scope["path"] == ASSISTANTS or any(map(COSTLY.fullmatch, names)) else searches if any(name.startswith("_search") for name in names) else nullcontext()

    def wrap(app):
        async def guarded(scope, receive, send):
            if scope["type"] == "lifespan":
                return await app(scope, stoppable(receive, chosen["stop"]), send)
            if problem := refusal(scope, chosen):
                return await plain(send, *problem)
            given = receive
            if scope["path"] == ASSISTANTS:
                try:
                    given = await sent(receive, chosen["body"], chosen["stall"])
                except ValueError as error:
                    return await plain(send, 413, str(error))
                except TimeoutError:
                    return await plain(send, 408, "The request did not arrive in time.")
            lane = lane_of(scope)
            mine = Visit(0 if not isinstance(lane, Lane) else 1 if lane is searches else 2, chosen["work"], is_page(scope))
            visit.set(mine)
            visits.add(mine)

            async def answer(message):
                if mine.allowance < 0:
                    await asyncio.Future()  # until it is cut off: what ends early must not look whole
                mine.sending = time.monotonic()
                await send(message)
                mine.sending = None

            async def work():
                async with lane:
                    await app(scope, given, answer)

            task, leaving = asyncio.create_task(work()), asyncio.create_task(left(receive))
            try:
                while not (task.done() or leaving.done() or mine.allowance < 0 or mine.stalled(chosen["stall"])):
                    await asyncio.wait({task, leaving}, timeout=chosen["stall"] / 4, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    task.result()
            except Busy:
                await plain(send, 503, "Other long questions are being answered; try again in a moment.", [(b"retry-after", b"10")])
            finally:
                mine.stop()
                task.cancel()
                leaving.cancel()
                visits.discard(mine)

        return guarded

    return wrap


def stoppable(receive, patience: float):
    """Return receive for the life of the server, in which a stop signal also ends what is under way."""

    async def received():
        message = await receive()
        if message["type"] == "lifespan.startup" and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                catch(number, patience)
        return message

    return received


def catch(number: int, patience: float) -> None:
    """Let a stop signal interrupt all SQL, and end the process after `patience` seconds whatever clients do; uvicorn would wait for ever."""
    former = signal.getsignal(number)

    def handler(number, frame):
        for one in list(visits):
            one.stop()
        timer = threading.Timer(patience, os._exit, [0])
        timer.daemon = True
        timer.start()
        former(number, frame)

    if callable(former):
        signal.signal(number, handler)


async def sent(receive, length: int, patience: float):
    """Read what a client sends, of so many bytes at most and within so many seconds, and return a receive that gives it out again; ValueError if it is longer."""
    body = b""

    async def whole() -> None:
        nonlocal body
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > length:
                raise ValueError(f"The request is longer than {length:,} bytes.")
            if not message.get("more_body"):
                return

    await asyncio.wait_for(whole(), patience)
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return parts.pop() if parts else await asyncio.Future()  # that the client has gone is seen to by `left`

    return again


async def left(receive) -> None:
    """Return when the client has gone. What it sends has been read before, so that nothing else listens."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def plain(send, status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer with one line of text."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *headers]})
    await send({"type": "http.response.body", "body": text.encode() + b"\n"})
