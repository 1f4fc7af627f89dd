"""openapi.json: a valid description, whose examples are true, and from which no request at random finds a fault."""

import json
import os
import urllib.parse
import urllib.request

import schemathesis

from hostile import at_random


def read(address: str) -> dict | list:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def test_description_is_valid(server: str):
    schemathesis.openapi.from_url(f"{server}/openapi.json").validate()


def test_examples_and_what_the_description_says_of_them(server: str, db):
    description = read(f"{server}/openapi.json")
    tables = {name for name, in db.execute("select name from _tables")}
    assert {f"/twittosphere/{name}.json" for name in tables} <= set(description["paths"])
    assert description["servers"] == [{"url": server}]
    for path, item in description["paths"].items():
        examples = {parameter["name"]: parameter["example"] for parameter in item["get"]["parameters"] if "example" in parameter}
        if "id" in examples:
            (row,) = read(f"{server}{path.replace('{id}', examples['id'])}?_shape=array")
            schema = description["components"]["schemas"][f"row_of_{path.split('/')[2]}"]
            assert list(row) == list(schema["properties"])
        elif "sql" in examples:
            counted = read(f"{server}{path}?_shape=array&{urllib.parse.urlencode({'sql': examples['sql']})}")
            assert {row["type"]: row["events"] for row in counted} == dict(map(tuple, db.execute(examples["sql"])))


def test_requests_at_random(server: str):
    """FUZZ=50000 pytest tests/test_openapi.py makes about as many."""
    tried, passed, said = at_random(server, max(1, int(os.environ.get("FUZZ", 0)) // 100))
    assert tried == passed > 1000, said
