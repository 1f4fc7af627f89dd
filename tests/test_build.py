"""The build: what it makes of good data, and how it refuses bad data."""

import csv
import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import audit
import build_db
import validate
from conftest import ROOT

BUILD = [sys.executable, str(ROOT / "build_db.py")]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run build_db.py as a user would."""
    return subprocess.run([*BUILD, *map(str, arguments)], capture_output=True, text=True, **options)


def rows(path: Path, sql: str) -> list[tuple]:
    """Return the rows of a query on a database file."""
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


# --- Good data ---------------------------------------------------------------


@pytest.fixture
def built(small: Path, tmp_path: Path) -> Path:
    build_db.build(small, tmp_path / "small.db")
    return tmp_path / "small.db"


def test_facts_are_joined_to_their_sources(built: Path):
    found = rows(built, "select account, source, locator, stance from account_sources where account = 'orange_conseil' order by source")
    assert found == [("orange_conseil", "blog-2008", "2010", "contradicts"), ("orange_conseil", "press-2012", "line 3", "supports")]
    assert rows(built, "select source from event_sources where event = 'comcast-2008-service-launched' order by 1") == [("blog-2008",), ("press-2012",)]


def test_derived_columns(built: Path):
    assert rows(built, "select year, month, country, sector from events order by id") == [(2008, "2008-04", "US", "telecoms"), (2012, None, "FR", "telecoms")]
    assert rows(built, "select title from figures where id = 'comcast-2009-followers'") == [("Comcast (@ComcastCares): about 22,000 followers (2009-09)",)]
    assert rows(built, "select title, title_fr from figures where cohort is not null") == [
        ("CAC 40, March 2012: share with an account 62.5% (2012-03)", "CAC 40 de mars 2012\u00a0: part ayant un compte 62,5\u202f% (2012-03)")]
    assert rows(built, "select opened_year from accounts order by id") == [("2008",), ("2011",)]


def test_browsing_tables(built: Path):
    assert rows(built, "select organisation, accounts, events, uses_count, json_extract(uses, '$[0]') from panorama where organisation = 'orange'") == [("orange", 1, 1, 1, "customer_service")]
    assert rows(built, "select first_account, account_opened, account_dating, first_trace, first_trace_in from panorama where organisation = 'orange'") == [("orange_conseil", "2011", "by", "2011", "accounts/orange_conseil")]
    assert rows(built, "select organisation, cohorts from timeline order by date") == [("comcast", "[]"), ("comcast", "[]"), ("orange", '["cac-40-2012-03"]')]
    assert rows(built, "select id, type, sources from timeline order by date") == [
        ("account:comcastcares", "account_opened", 1), ("comcast-2008-service-launched", "service_launched", 2), ("orange-2012-award", "award", 1)]
    assert rows(built, "select count(*) from search")[0][0] == 3 + 2 + 2 + 1 + 2 + 1 + 2


@pytest.mark.parametrize("language, qualifier, value, metric, unit, line", [
    ("en", None, 40845, "Followers", "followers", "Orange (@orange): 40,845 followers (2012)"),
    ("fr", "Environ", 300000000, "Utilisateurs", "utilisateurs", "Orange (@orange) : environ 300\u202f000\u202f000 utilisateurs (2012)"),
    ("en", "At least", 8.98, "Dollar amount", "US dollars", "Orange (@orange): dollar amount at least 8.98 US dollars (2012)"),
    ("fr", None, -1234.5, "Écart", "points", "Orange (@orange) : écart -1\u202f234,5 points (2012)"),
    ("en", "About", 4, "Response rate", "%", "Orange (@orange): response rate about 4% (2012)"),
])
def test_figure_title(language: str, qualifier: str | None, value: float, metric: str, unit: str, line: str):
    assert build_db.figure_title(language, "Orange", "orange", metric, unit, qualifier, value, "2012") == line


@pytest.mark.parametrize(("supported", "judged", "low", "high"), [(97, 126, 68.9, 83.5), (0, 10, 0.0, 27.8), (10, 10, 72.2, 100.0)])
def test_wilson_interval(supported: int, judged: int, low: float, high: float):
    """Against scipy.stats.binomtest(...).proportion_ci(method="wilson")."""
    assert (build_db.wilson(supported, judged, -1), build_db.wilson(supported, judged, 1)) == (low, high)
    assert build_db.wilson(0, 0, 1) is None


def test_precision_counts_what_could_be_judged(built: Path):
    found = {row[0]: row[1:] for row in rows(built, "select * from precision")}
    assert found["1"] == ("1", "2026-11-25", None, 4, 1, 1, 33.3, 6.1, 79.2)
    assert found["1--uses"] == ("1", "2026-11-25", "uses", 1, 1, 0, None, None, None) and found["1--events"][3:6] == (2, 0, 1)


def test_audit_draws_facts_that_nobody_audited(built: Path, capsys: pytest.CaptureFixture):
    assert audit.main(["--db", str(built), "--draw", "9", "--seed", "3"]) == 0
    drawn = {line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]}
    audited = {row[0] for row in rows(built, "select fact from audits")}
    assert drawn == {row[0] for row in rows(built, "select fact from facts")} - audited and len(drawn) == 3
    assert audit.main(["--db", str(built)]) == 0
    assert "sample 1, all: 1 of 3 facts that could be judged are supported in every field, 33.3 %" in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        audit.main(["--db", "nowhere.db"])
    assert refused.value.code == 2 and "build it first" in capsys.readouterr().err


def test_facts_and_citations_join_all_tables(built: Path):
    assert rows(built, "select fact, organisation, account, date, year, type_fr, title, added, checked, sources, contradicted from facts where \"table\" = 'accounts' order by id") == [
        ("accounts/comcastcares", "comcast", "comcastcares", "2008-04", 2008, "Service client", "@ComcastCares", "2026-11-24", "2026-11-25", 1, 0),
        ("accounts/orange_conseil", "orange", "orange_conseil", "2011", 2011, "Service client", "@Orange_conseil", "2026-11-24", None, 1, 1)]
    assert rows(built, "select \"table\", count(*) from facts group by 1") == [("accounts", 2), ("events", 2), ("figures", 2), ("uses", 1)]
    assert rows(built, "select fact, until, posture from facts where until is not null") == [("uses/orange-2011-customer-service", "2014", "answering")]
    assert rows(built, "select cohort, value, unit, qualifier, summary from facts where cohort is not null") == [("cac-40-2012-03", 62.5, "percent", "exact", None)]
    assert rows(built, "select source, locator from citations where fact = 'accounts/orange_conseil' and stance = 'contradicts'") == [("blog-2008", "2010")]
    assert rows(built, "select \"table\", count(*) from citations group by 1") == [("accounts", 3), ("cohort_members", 1), ("events", 3), ("figures", 2), ("uses", 1)]


def test_french_columns_are_typeset(built: Path):
    assert rows(built, "select summary, summary_fr from events where id = 'orange-2012-award'") == [("Dated from the article of 2012.", "Daté d’après l’article de 2012.")]
    assert rows(built, "select title_fr from timeline where id = 'orange-2012-award'") == [("Orange gagne un prix",)]
    assert rows(built, "select description_fr from _columns where [table] = 'accounts' and [column] = 'role'") == rows(built, "select 'À quoi sert le compte.'")
    assert rows(built, "select description_fr from _columns where [table] = 'organisations' and [column] = 'parent'") == [("L’organisation qui la possède ou la dirige.",)]


def test_filled_counts_what_is_known(built: Path):
    filled = dict(rows(built, "select [table] || '.' || [column], filled from _columns"))
    assert filled["organisations.name"] == 3 and filled["organisations.parent"] == 1 and filled["organisations.founded"] == 1
    assert filled["accounts.closed"] == 1 and filled["sources.form"] == 1, "a word for not known is not knowledge"
    assert filled["facts.until"] == 1 and filled["cohorts.description_fr"] == 0


def test_search_is_accent_blind(built: Path):
    assert rows(built, "select other_names from organisations where rowid in (select rowid from organisations_fts where organisations_fts match 'telecom')") == [("France Télécom",)]


def test_schema_is_strict_and_indexed(built: Path):
    tables = {name: strict for _, name, kind, _, _, strict in rows(built, "pragma table_list") if kind == "table" and not name.startswith(("sqlite_", "_")) and "_fts" not in name}
    assert tables and all(tables.values()), "every table is STRICT"
    for table in tables:
        indexed = {rows(built, f'pragma index_info("{index[1]}")')[0][2] for index in rows(built, f'pragma index_list("{table}")')}
        for key in rows(built, f'pragma foreign_key_list("{table}")'):
            assert key[3] in indexed, f"{table}.{key[3]} refers to {key[2]} without an index"
    assert rows(built, "select count(*) from sqlite_stat1")[0][0] > 20
    assert rows(built, "pragma application_id") == [(build_db.APPLICATION_ID,)]


def test_two_builds_are_identical(small: Path, tmp_path: Path, built: Path):
    build_db.build(small, tmp_path / "again.db")
    assert built.read_bytes() == (tmp_path / "again.db").read_bytes()


def test_database_describes_itself(small: Path, built: Path):
    about = dict(rows(built, "select key, value from _package"))
    assert about["version"] == json.loads((small / "datapackage.json").read_text())["version"] and len(about["digest"]) == 64
    inspect = json.loads((built.parent / "inspect-data.json").read_text())["small"]
    assert inspect["hash"] == hashlib.sha256(built.read_bytes()).hexdigest()
    assert inspect["tables"]["events"]["count"] == 2
    assert inspect["tables"]["facts"]["count"] == 7


def test_digest_follows_the_data(small: Path, built: Path):
    before = dict(rows(built, "select key, value from _package"))["digest"]
    change("events", "wins a prize", "wins the prize")(small)
    build_db.build(small, built)
    assert dict(rows(built, "select key, value from _package"))["digest"] != before


@pytest.mark.parametrize("cell, expected", [
    ("a-2009", [("a-2009", None, "supports")]),
    ("a; b (page 3); !c (2010-05)", [("a", None, "supports"), ("b", "page 3", "supports"), ("c", "2010-05", "contradicts")]),
])
def test_citations(cell: str, expected: list):
    assert validate.citations(cell) == expected


@pytest.mark.parametrize("value, problem", [
    ("2009", None), ("2009-04", None), ("2008-02-29", None), ("2026", None),
    ("2009-13", "is not a date"), ("2009-02-30", "is not a date"), ("09-2009", "is not a date"), ("2009-4", "is not a date"), ("", "is not a date"),
    ("2026-12", "in the future"), ("2027", "in the future"), ("2026-11-26", "in the future"),
])
def test_partial_dates(value: str, problem: str | None):
    found = validate.bad_date(value, "2026-11-25")
    assert found is None if problem is None else problem in found


NARROW, WIDE = "\u202f", "\u00a0"  # unbreakable spaces: thin ones, and the one before a colon


@pytest.mark.parametrize("typed, printed", [
    ("L'an d'après, l'@AFP", "L’an d’après, l’@AFP"),
    ('Il dit "non" et « oui »', f"Il dit «{NARROW}non{NARROW}» et «{NARROW}oui{NARROW}»"),
    ("Pourquoi ? Parce que ; voilà !", f"Pourquoi{NARROW}? Parce que{NARROW}; voilà{NARROW}!"),
    ("Motif : 3 700 hôtels, 1 234 567 euros", f"Motif{WIDE}: 3{NARROW}700 hôtels, 1{NARROW}234{NARROW}567 euros"),
    ("20 % de 5 € ou 8,98 $", f"20{NARROW}% de 5{NARROW}€ ou 8,98{NARROW}$"),
    ("Et puis...", "Et puis…"),
    ("En 2012 300 comptes, le 19 mars 2012 à 12:30", "En 2012 300 comptes, le 19 mars 2012 à 12:30"),
    ("Yahoo! écrit à @d_o : https://x.example/l'eau...?q=1", f"Yahoo! écrit à @d_o{WIDE}: https://x.example/l'eau...?q=1"),
])
def test_french_typography(typed: str, printed: str):
    assert build_db.french(typed) == printed
    assert build_db.french(printed) == printed, "typography of what is already printed changes nothing"


# --- Bad data: one rule broken at a time -------------------------------------

Break = Callable[[Path], None]


def change(table: str, old: str, new: str) -> Break:
    """Replace text in a table; the text must be there."""
    def edit(directory: Path) -> None:
        path = directory / f"{table}.csv"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_bytes(text.replace(old, new, 1).encode("utf-8"))
    return edit


def add(table: str, line: str) -> Break:
    """Append a line to a table."""
    return lambda directory: (directory / f"{table}.csv").open("a", encoding="utf-8").write(line + "\n") and None


def raw(table: str, old: bytes, new: bytes) -> Break:
    """Replace bytes in a table."""
    def edit(directory: Path) -> None:
        path = directory / f"{table}.csv"
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))
    return edit


BROKEN: dict[str, tuple[Break, str]] = {
    "missing file": (lambda d: (d / "uses.csv").unlink(), "uses.csv:1: is missing; datapackage.json declares it"),
    "missing vocabulary": (lambda d: (d / "sectors.csv").unlink(), "sectors.csv:1: is missing"),
    "empty file": (lambda d: (d / "uses.csv").write_text(""), "uses.csv:1: is empty; write at least the line of column names"),
    "missing column": (change("events", "title_fr,", ""), "events.csv:1: title_fr: column is missing"),
    "unknown column": (change("events", "summary,", "sumary,"), 'events.csv:1: sumary: unknown or repeated column, did you mean "summary"; see datapackage.json'),
    "repeated column": (change("events", "title_fr,", "title,"), "events.csv:1: title: unknown or repeated column"),
    "not a whole number": (change("cohorts", ",2012,40,", ",2012,forty,"), 'cohorts.csv:2: size: "forty" is not a whole number; write digits'),
    "not a number": (change("figures", ",62.5,", ",62.5%,"), 'figures.csv:3: value: "62.5%" is not a number; write digits'),
    "thousands separator": (change("figures", ",22000,", ',"22,000",'), 'figures.csv:2: value: "22,000" is not a number'),
    "number out of range": (change("cohorts", ",2012,40,", ",1850,40,"), 'cohorts.csv:2: year: "1850" is out of range'),
    "month 13": (change("events", "2008-04", "2009-13"), 'events.csv:2: date: "2009-13" is not a date; write YYYY, YYYY-MM or YYYY-MM-DD'),
    "30 February": (change("events", "2008-04", "2009-02-30"), 'events.csv:2: date: "2009-02-30" is not a date'),
    "month first": (change("events", "2008-04", "09-2009"), 'events.csv:2: date: "09-2009" is not a date'),
    "future": (change("events", "2008-04", "2999"), 'events.csv:2: date: "2999" is in the future'),
    "closed before opened": (change("accounts", "2019,renamed", "2007,renamed"), 'accounts.csv:2: closed: "2007" is before opened "2008-04"'),
    "until before since": (change("uses", "2011-06-14,2014", "2011-06-14,2011-05"), 'uses.csv:2: until: "2011-05" is before since "2011-06-14"'),
    "closed, nobody knows how": (change("accounts", "2019,renamed", "2019,"), "accounts.csv:2: closed_how:"),
    "opened without dating": (change("accounts", "2008-04,stated", "2008-04,unknown"), "accounts.csv:2: opened_dating:"),
    "id is not the handle": (change("accounts", "comcastcares,ComcastCares", "comcast_cares,ComcastCares"), "accounts.csv:2: id:"),
    "inferred without reason": (change("events", "Dated from the article of 2012.", ""), "events.csv:3: summary:"),
    "organisation and cohort": (change("figures", "share,,,cac", "share,orange,,cac"), "figures.csv:3: organisation:"),
    "duplicate id": (add("organisations", "orange,Orange SA,,company,telecoms,FR,,,,"), 'organisations.csv:5: id: "orange" stands already in line 3'),
    "duplicate handle": (add("accounts", "comcastcares,Comcastcares,comcast,corporate,,en,,unknown,,,,blog-2008,2026-11-24,"), 'accounts.csv:4: id: "comcastcares" stands already in line 2'),
    "duplicate address": (change("sources", "https://journal.example/twitter", "https://blog.example/2008/desk"), "sources.csv:3: url:"),
    "id of another form": (change("organisations", "orange-business", "Orange_Business"), 'organisations.csv:4: id: "Orange_Business" does not have the form'),
    "blank name": (change("organisations", "comcast,Comcast,", "comcast,,"), "organisations.csv:2: name: is blank; this column needs a value"),
    "not dated": (change("events", ",2026-11-24,", ",,"), "events.csv:2: added: is blank; this column needs a value"),
    "checked before it was added": (change("accounts", ",2026-11-24,2026-11-25", ",2026-11-24,2026-11-23"), 'accounts.csv:2: checked: "2026-11-23" is before added "2026-11-24"'),
    "added in the future": (change("events", ",2026-11-24", ",2999-01-01"), 'events.csv:2: added: "2999-01-01" is in the future'),
    "no source": (change("uses", ",press-2012", ","), "uses.csv:2: sources: is blank; this column needs a value"),
    "unknown source": (change("uses", ",press-2012", ",pres-2012"), 'uses.csv:2: sources: "pres-2012" is not in sources.csv, did you mean "press-2012"; correct it'),
    "one unknown source of two": (change("events", "blog-2008; press-2012", "blog-2008; nobody"), 'events.csv:2: sources: "nobody" is not in sources.csv'),
    "source cited twice": (change("events", "blog-2008; press-2012", "blog-2008; blog-2008 (page 2)"), 'events.csv:2: sources: "blog-2008" is cited twice'),
    "malformed citation": (change("events", "blog-2008; press-2012", "see blog-2008"), 'events.csv:2: sources: "see blog-2008" is not a citation'),
    "only contradicted": (change("uses", ",press-2012", ",!press-2012 (2010)"), "uses.csv:2: sources: only contradict the row"),
    "unknown word": (change("uses", ",answering,", ",replying,"), 'uses.csv:2: posture: "replying" is not in postures.csv'),
    "address without http": (change("sources", "https://blog", "ftp://blog"), "is not a web address; write http:// or https://"),
    "address without host": (change("sources", "https://blog.example/2008/desk", "https:///desk"), "is not a web address"),
    "control character": (change("events", "help desk", "help\x07desk"), "events.csv:2: title: holds the control character U+0007"),
    "zero-width mark": (change("events", "help desk", "help\ufeffdesk"), "events.csv:2: title: holds the control character U+FEFF"),
    "spaces at the end": (change("events", "a help desk", "a help desk "), "has spaces too many"),
    "formula": (change("events", "Comcast opens", "=Comcast opens"), 'events.csv:2: title: "=Comcast opens a help desk" begins with =, which spreadsheets take for a formula'),
    "title too long": (change("events", "a help desk", "a help desk" * 10), "events.csv:2: title: has"),
    "byte order mark": (raw("events", b"id,", b"\xef\xbb\xbfid,"), "events.csv:1: starts with a byte order mark"),
    "CRLF": (raw("events", b"\n", b"\r\n"), "events.csv:1: has a carriage return; end lines with LF alone"),
    "Latin-1": (raw("organisations", "é".encode(), b"\xe9"), "organisations.csv:3: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    "NUL": (raw("events", b"help desk", b"help\0desk"), "events.csv:2: has a NUL byte; remove it"),
    "quoted newline": (change("events", "Comcast opens a help desk", '"Comcast opens\na help desk"'), "events.csv:2: title: holds the control character U+000A"),
    "open quote": (change("events", "Comcast opens", '"Comcast opens'), "events.csv:2: unexpected end of data; check quotes"),
    "too few cells": (change("events", ",,,,blog-2008", ",blog-2008"), "events.csv:2: 10 cells where the first line has 13"),
    "too many cells": (change("events", ",,,,blog-2008", ",,,,,,blog-2008"), "events.csv:2: 15 cells where the first line has 13"),
    "10 MB cell": (change("events", "a help desk", "x" * 10_000_000), "events.csv:2: field larger than field limit"),
    "descriptor is not JSON": (lambda d: (d / "datapackage.json").write_text("{"), "datapackage.json:1: cannot be read"),
    "descriptor is missing": (lambda d: (d / "datapackage.json").unlink(), "datapackage.json:1: cannot be read"),
}
# Every foreign key, by the declaration itself: a new one is broken here without a new line.
for table in json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))["resources"]:
    for key in table["schema"].get("foreignKeys", []):
        BROKEN[f"foreign key {table['name']}.{key['fields']}"] = (
            lambda directory, table=table["name"], column=key["fields"]: set_cell(directory / f"{table}.csv", column, "nowhere"),
            f"{table['name']}.csv:2: {key['fields']}: \"nowhere\" is not in {key['reference']['resource'] or table['name']}.csv",
        )


def set_cell(path: Path, column: str, value: str) -> None:
    """Write a value into a column of the first row."""
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    table[1][table[0].index(column)] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule_is_refused(name: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    target = tmp_path / "former.db"
    target.write_bytes(b"former")
    edit, message = BROKEN[name]
    edit(small)
    assert build_db.main(["--data", str(small), "--out", str(target)]) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "nothing was written" in shown
    assert target.read_bytes() == b"former" and not list(tmp_path.glob(".former*"))


def test_all_errors_are_shown_at_once(small: Path, capsys: pytest.CaptureFixture):
    for name in ("month 13", "not a number", "no source", "duplicate id"):
        BROKEN[name][0](small)
    assert build_db.main(["--data", str(small), "--check"]) == 1
    shown = capsys.readouterr().err
    assert all(BROKEN[name][1] in shown for name in ("month 13", "not a number", "no source", "duplicate id"))
    assert "4 errors" in shown


def test_check_writes_nothing(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert build_db.main(["--data", str(small), "--check", "--out", str(tmp_path / "new.db")]) == 0
    assert "2 events" in capsys.readouterr().out
    assert not (tmp_path / "new.db").exists()


def test_wrong_usage():
    finished = run("--colour", "blue")
    assert finished.returncode == 2 and "usage:" in finished.stderr


PEOPLE = {"name": "people", "fields": [{"name": "id"}, {"name": "name"}]}


@pytest.mark.parametrize("damage, found", [
    ("PRAGMA writable_schema = on; UPDATE sqlite_master SET sql = 'CREATE INDEX by_name ON people (id)' WHERE name = 'by_name'", "missing from index by_name"),
    ("INSERT INTO people VALUES ('c', 'Chloé', 'nobody')", "foreign_key_check"),
])
def test_tables_are_verified_while_others_are_made(damage: str, found: str, tmp_path: Path):
    path = tmp_path / "draft, 100 % #1?.db"
    db = sqlite3.connect(path)
    db.executescript("""
        CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, friend TEXT REFERENCES people (id));
        CREATE INDEX by_name ON people (name);
        INSERT INTO people VALUES ('a', 'Zoé', 'b'), ('b', 'Yves', NULL);""")
    with build_db.reading_back(path) as meanwhile:
        counted = meanwhile(build_db.verify, [PEOPLE])
        db.executescript("CREATE TABLE places AS SELECT hex(randomblob(2000)) AS name FROM people, people AS others")
    assert counted.result() == {"people": (2, 2, 2)}
    db.executescript(damage)
    with pytest.raises(sqlite3.IntegrityError, match=found), build_db.reading_back(path) as meanwhile:
        meanwhile(build_db.verify, [PEOPLE])


def test_verifying_ends_with_a_build_that_fails(tmp_path: Path):
    endless, started = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", time.monotonic()
    with pytest.raises(validate.Doubt), build_db.reading_back(tmp_path / "draft.db") as meanwhile:
        sqlite3.connect(tmp_path / "draft.db").execute("CREATE TABLE people (id)")
        meanwhile(lambda db, tables: db.execute(endless).fetchone(), [])
        time.sleep(0.2)
        raise validate.Doubt
    assert time.monotonic() - started < 5


# --- Trouble with the machine: the former database stays --------------------


def test_unwritable_target(small: Path):
    finished = run("--data", small, "--out", "/proc/twittosphere.db")
    assert finished.returncode == 1 and "cannot be built" in finished.stderr and "Traceback" not in finished.stderr


def test_target_in_no_directory(small: Path, tmp_path: Path):
    finished = run("--data", small, "--out", tmp_path / "none" / "new.db")
    assert finished.returncode == 1 and "cannot be built" in finished.stderr and "Traceback" not in finished.stderr


def whole(path: Path) -> bool:
    """Tell whether a database is sound, and the one that the inspect-data.json beside it speaks of."""
    facts = json.loads((path.parent / "inspect-data.json").read_text(encoding="utf-8"))[path.stem]
    return rows(path, "pragma integrity_check") == [("ok",)] and facts["hash"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_full_disk(small: Path, built: Path):
    """Files may grow to ten sizes only, up to just below that of the database: what SQLite meets on a full disk."""
    before = built.read_bytes()
    for size in (round(len(before) * share) for share in (0, 0.01, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 0.995)):
        def small_files(size: int = size) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        finished = run("--data", small, "--out", built, preexec_fn=small_files)
        assert finished.returncode == 1 and "cannot be built" in finished.stderr and "Traceback" not in finished.stderr, size
        assert built.read_bytes() == before and whole(built)
        assert not list(built.parent.glob("*.building"))


def test_directory_that_may_not_be_written(small: Path, built: Path, capsys: pytest.CaptureFixture):
    before, user = built.read_bytes(), os.geteuid()
    for directory in built.parents[:-2]:  # up to /tmp, so that nobody may at least read
        directory.chmod(0o755)
    built.parent.chmod(0o555)
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        assert build_db.main(["--data", str(small), "--out", str(built)]) == 1
    finally:
        os.seteuid(user)
        built.parent.chmod(0o755)
    assert "cannot be built" in capsys.readouterr().err
    assert built.read_bytes() == before and whole(built)


def test_killed_at_twenty_moments(small: Path, built: Path):
    """Killed while it works, the build leaves the former database whole; the next one clears its draft away."""
    before, started = built.read_bytes(), time.monotonic()
    assert run("--data", small, "--out", built).returncode == 0
    lasts, killed, drafts = time.monotonic() - started, 0, 0
    for moment in range(20):
        process = subprocess.Popen([*BUILD, "--data", small, "--out", built], stdout=subprocess.DEVNULL)
        time.sleep(lasts * (moment + 0.5) / 20)
        process.kill()
        killed += process.wait(10) == -signal.SIGKILL
        drafts += bool(list(built.parent.glob(f".{built.name}.*.building")))
        assert built.read_bytes() == before and whole(built), moment
    assert killed >= 10 and drafts >= 3
    assert run("--data", small, "--out", built).returncode == 0
    assert built.read_bytes() == before and not list(built.parent.glob(f".{built.name}*.building"))


def test_the_process_that_reads_ends_with_the_build(tmp_path: Path):
    """Killed or failing while its reader has much to send, the build leaves nobody behind; else its output would stay open."""
    shutil.copytree(ROOT / "data", tmp_path / "data")
    for kill in (True, False):
        process = subprocess.Popen([*BUILD, "--data", tmp_path / "data", "--out", tmp_path / "real.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if kill:
            time.sleep(0.4)
            process.kill()
            change("organisations", "\naxa,", "\naccor,")(tmp_path / "data")  # for the second round: an id that the database refuses early
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and '"accor" stands already in line' in errors


def test_two_builds_at_once(small: Path, built: Path, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(small, other)
    change("events", "2008-04", "2008-05")(other)
    for _ in range(3):
        builds = [subprocess.Popen([*BUILD, "--data", data, "--out", built, "--gzip"], stdout=subprocess.DEVNULL) for data in (small, other)]
        assert [process.wait(60) for process in builds] == [0, 0]
        assert whole(built) and rows(built, "select date from events order by id")[0][0] in ("2008-04", "2008-05")
        assert gzip.decompress((built.parent / f"{built.name}.gz").read_bytes()) == built.read_bytes()
        assert not list(built.parent.glob("*.building"))


def test_former_database_is_still_served(small: Path, built: Path):
    """A reader that has the former database open goes on reading while a bad build is refused and a good one lands."""
    reader = sqlite3.connect(f"file:{built}?mode=ro", uri=True)
    change("events", "2008-04", "2009-13")(small)
    assert build_db.main(["--data", str(small), "--out", str(built)]) == 1
    assert reader.execute("select date from events order by id").fetchall() == [("2008-04",), ("2012",)]
    change("events", "2009-13", "2008-05")(small)
    assert build_db.main(["--data", str(small), "--out", str(built)]) == 0
    assert reader.execute("select count(*) from events").fetchone() == (2,)
    assert rows(built, "select date from events order by id") == [("2008-05",), ("2012",)]
    reader.close()
