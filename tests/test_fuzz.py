"""The loader, given files that are broken at random: a clear error or good rows each time, and its two readers of one mind.

FUZZ=50000 pytest tests/test_fuzz.py tries that many.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import ROOT, SMALL
from validate import Doubt, Errors, check_table, plain_rows, read_package, read_table

TODAY = "2026-11-25"
PIECES = [b"", b",", b'"', b"\n", b"\r", b"\0", b" ", b"  ", b";", b"; ", b"!", b"(", b")", b"-", b"0", b"9", b"1e9", b"\xe9", "é".encode(), "\u2028".encode(), b"\x1f", b"\xef\xbb\xbf", b"2009", b"2009-02-29", b"2008-02-29", b"2999",
          b"unknown", b"orange", b"http://", b"=1+1", b"x" * 91, b"x" * 100_001, b"NULL", b"comcast", b"blog-2008", b"\n,,,,,,,,,,,,\n"]
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(PIECES) | st.binary(max_size=6)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict], dict[str, set[str]], Path]:
    """(table → its declaration, table → its ids, a file to write to)."""
    declared = {table["name"]: table for table in read_package(ROOT / "data")["resources"]}
    folder = tmp_path_factory.mktemp("fuzz")
    for name, text in SMALL.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    ids = lambda name: {row["id"] for row in read_table((folder if name in SMALL else ROOT / "data") / f"{name}.csv", declared[name]["schema"]["fields"], Errors())}  # noqa: E731
    return declared, {name: ids(name) for name in declared}, folder / "broken.csv"


@settings(max_examples=int(os.environ.get("FUZZ", 2000)), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(table=st.sampled_from(sorted(SMALL)), edits=EDITS)
def test_broken_files(package, table: str, edits: list[tuple[float, int, bytes]]):
    declared, keys, path = package
    content = SMALL[table].encode()
    for place, length, piece in edits:
        start = int(place * len(content))
        content = content[:start] + piece + content[start + length:]
    path.write_bytes(content)
    errors = Errors()
    counted = check_table(declared[table], path, TODAY, keys, errors)
    assert len(errors.report().splitlines()) >= errors.count, "each error has its line"
    assert all(line > 0 and text for _, line, text in errors.shown)
    try:
        rows = [values[0] for values, _ in plain_rows(declared[table], path, TODAY)]
    except Doubt:
        assert errors.count, "what the quick reader refuses, the other explains"
        return
    # What the quick reader lets through, the other finds nothing wrong with, but what is left to the database: keys and references.
    left = [text for _, _, text in errors.shown if not ("is not in " in text or "stands already in line" in text)]
    assert not left and len(rows) == counted
    if not errors.count:
        assert len(set(rows)) == len(rows)
