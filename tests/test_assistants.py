"""Assistants ask the served database by the Model Context Protocol, with the client of its own SDK."""

import asyncio
import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from mcp import Client

from test_site import QUERIES


def call(server: str, *calls: tuple[str, dict[str, Any]]) -> list[tuple[bool, Any]]:
    """Call tools one after the other; give (whether it is an error, what it says) of each."""

    async def talk() -> list[tuple[bool, Any]]:
        async with Client(f"{server}/-/mcp") as client:
            answers = [await client.call_tool(name, arguments) for name, arguments in calls]
            return [(bool(answer.is_error), answer.content[0].text if answer.is_error else answer.structured_content) for answer in answers]

    return run(talk())


def run(talking: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns; in a thread, as the browser of other tests runs a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, talking).result()


def test_tools_are_those_that_read(server: str):
    async def names() -> set[str]:
        async with Client(f"{server}/-/mcp") as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    assert run(names()) == {"list_databases", "get_database_schema", "execute_sql", "list_canned_queries", "execute_canned_query"}


def test_an_assistant_finds_a_fact_and_its_source(server: str, db: sqlite3.Connection):
    sql = "select f.title, s.url from facts f join citations c on c.fact = f.fact join sources s on s.id = c.source where f.organisation = 'comcast' order by f.date limit 3"
    (wrong, databases), (_, schema), (_, found), (_, listed) = call(server, ("list_databases", {}), ("get_database_schema", {"database": "twittosphere"}), ("execute_sql", {"database": "twittosphere", "sql": sql}), ("list_canned_queries", {}))
    assert not wrong and databases == {"databases": ["twittosphere"]} and 'CREATE TABLE "facts"' in schema["schema"]
    assert [tuple(row.values()) for row in found["rows"]] == list(map(tuple, db.execute(sql))) and len(found["rows"]) == 3
    assert {query["name"] for query in listed["queries"]} == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_an_assistant_asks_every_question(server: str, db: sqlite3.Connection, name: str):
    ((wrong, answer),) = call(server, ("execute_canned_query", {"database": "twittosphere", "query": name, "parameters": {}}))
    blank = {parameter: "" for parameter in re.findall(r":(\w+)", re.sub(r"'[^']*'", "", QUERIES[name]["sql"]))}
    assert not wrong and [list(row.values()) for row in answer["rows"]] == [list(row) for row in db.execute(QUERIES[name]["sql"], blank)], answer


def test_the_guard_bounds_assistants_too(server: str):
    sql = lambda text: ("execute_sql", {"database": "twittosphere", "sql": text})  # noqa: E731
    endless, big, writing, looking = call(
        server, sql("with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"), sql("select zeroblob(100000000)"), sql("delete from events"), sql("select * from pragma_database_list"))
    assert endless[0] and "time limit" in endless[1] and big[0] and writing[0] and looking[0]
    assert not any("/" in said and ".db" in said for _, said in (endless, big, writing, looking)), "no path is told"


@pytest.mark.parametrize(("method", "body", "status"), [("GET", None, 405), ("DELETE", None, 405), ("PUT", b"{}", 405), ("POST", b"x" * 40_000, 413), ("POST", b"{", 400), ("POST", b'{"jsonrpc": "2.0", "id": 1, "method": "none"}', None)])
def test_what_is_no_question_is_refused(server: str, method: str, body: bytes | None, status: int | None):
    request = urllib.request.Request(f"{server}/-/mcp", body, {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            found, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        found, text = error.code, error.read()
    assert found == status or status is None and "error" in json.loads(text), (found, text)
    assert b"Traceback" not in text


def test_nothing_is_kept_of_a_visitor(server: str):
    """A session would take memory from everybody, and be known to one worker only."""
    start = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
    request = urllib.request.Request(f"{server}/-/mcp", json.dumps(start).encode(), {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["result"]["serverInfo"]["name"] == "datasette" and answer.headers["mcp-session-id"] is None
