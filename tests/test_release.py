"""A release: the same bytes twice, and the same rows in every tool that people read it with."""

import csv
import hashlib
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import build_db
import engines
import release
from servers import ROOT

NAME = "twittosphere"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, with its archives unpacked beside them in csv/ and parquet/."""
    folder = tmp_path_factory.mktemp("release")
    out = folder / "dist"
    finished = subprocess.run([sys.executable, ROOT / "release.py", "--out", out], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    for form in ("csv", "parquet", "queries"):
        shutil.unpack_archive(out / f"{NAME}-{form}.zip", folder / form)
    return out


@pytest.fixture(scope="module")
def counts(dist: Path) -> dict[str, int]:
    """Table, as its files are called → its rows, as the database itself counts them."""
    db = sqlite3.connect(dist / f"{NAME}.db")
    return {name.lstrip("_"): db.execute(f'select count(*) from "{name}"').fetchone()[0] for name, in db.execute("select name from _tables").fetchall()}


def test_two_releases_are_the_same_bytes(dist: Path, tmp_path: Path):
    assert release.main(["--out", str(tmp_path / "dist")]) == 0
    sums = (dist / "SHA256SUMS").read_text(encoding="utf-8")
    assert sums == (tmp_path / "dist" / "SHA256SUMS").read_text(encoding="utf-8")
    listed = dict(reversed(line.split("  ")) for line in sums.splitlines())
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir() if path.name != "SHA256SUMS"}
    assert len(listed) == 14


def test_a_bad_release_leaves_the_former_one(dist: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture):
    data = tmp_path / "data"
    shutil.copytree(ROOT / "data", data)
    (data / "uses.csv").write_text((data / "uses.csv").read_text(encoding="utf-8").replace(",stated,", ",state,", 1), encoding="utf-8")
    before = (dist / "SHA256SUMS").read_bytes()
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.main(["--out", str(dist)]) == 1
    assert 'did you mean "stated"' in capsys.readouterr().err and (dist / "SHA256SUMS").read_bytes() == before


# --- The same counts in every tool -----------------------------------------------


@pytest.fixture(scope="module")
def found(counts: dict[str, int]) -> Iterator[dict[tuple[str, str], dict[str, int]]]:
    """(tool, form) → table → its rows, as the tests find them; written at the end into build/tools.md, as a table."""
    found = {("SQLite", "db"): counts}
    yield found
    shown = ["organisations", "accounts", "events", "uses", "figures", "sources", "citations"]
    lines = [["tool", "form", *shown, "all tables"], ["---"] * 2 + ["---:"] * (len(shown) + 1)]
    lines += [[tool, form, *(f"{rows[name]:,}" for name in shown), f"{sum(rows.values()):,} in {len(rows)}"] for (tool, form), rows in found.items()]
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "tools.md").write_text("".join(f"| {' | '.join(cells)} |\n" for cells in lines), encoding="utf-8")


def by_csv(dist: Path) -> dict[str, int]:
    return {path.stem: sum(1 for _ in csv.reader(io.StringIO(path.read_text(encoding="utf-8")))) - 1 for path in (dist.parent / "csv").glob("*.csv")}


def by_frictionless(dist: Path) -> dict[str, int]:
    from frictionless import Package

    report = Package(str(dist.parent / "csv" / "datapackage.json")).validate()
    assert report.valid, report.flatten(["fieldName", "rowNumber", "message"])[:5]
    return {task.name.lstrip("_"): task.stats["rows"] for task in report.tasks}


def by_frictionless_extract(dist: Path) -> dict[str, int]:
    from frictionless import Package

    return {name.lstrip("_"): len(rows) for name, rows in Package(str(dist.parent / "csv" / "datapackage.json")).extract().items()}


def by_datasette(dist: Path) -> dict[str, int]:
    """Datasette without our plugins and templates, on the file alone."""
    ask = lambda sql: json.loads(subprocess.run([sys.executable, "-m", "datasette", dist / f"{NAME}.db", "--get", f"/{NAME}.json?" + urllib.parse.urlencode({"sql": sql, "_shape": "array"})], capture_output=True, check=True, cwd=dist).stdout)  # noqa: E731
    names = [row["name"] for row in ask("select name from _tables")]
    return {row["name"].lstrip("_"): row["rows"] for row in ask(" union all ".join(f"select '{name}' as name, count(*) as rows from [{name}]" for name in names))}


def by_pandas(dist: Path, form: str) -> dict[str, int]:
    import pandas

    read = pandas.read_csv if form == "csv" else pandas.read_parquet
    return {path.stem: len(read(path)) for path in (dist.parent / form).glob(f"*.{form}")}


def by_polars(dist: Path, form: str) -> dict[str, int]:
    import polars

    read = (lambda path: polars.read_csv(path, infer_schema_length=None)) if form == "csv" else polars.read_parquet
    return {path.stem: read(path).height for path in (dist.parent / form).glob(f"*.{form}")}


def by_duckdb(dist: Path, form: str) -> dict[str, int]:
    import duckdb
    import duckdb_extension_sqlite_scanner

    db = duckdb.connect(config={"allow_unsigned_extensions": True, "autoinstall_known_extensions": False})
    count = lambda source: db.execute(f"select count(*) from {source}").fetchone()[0]  # noqa: E731
    if form != "db":
        return {path.stem: count(f"'{path}'" if form == "parquet" else f"read_csv('{path}', header = true, quote = '\"', escape = '\"', all_varchar = true)") for path in (dist.parent / form).glob(f"*.{form}")}
    (extension,) = Path(duckdb_extension_sqlite_scanner.__file__).parent.rglob("*.duckdb_extension")
    db.execute(f"load '{extension}'")
    db.execute(f"attach '{dist / NAME}.db' as t (type sqlite, read_only)")
    return {name.lstrip("_"): count(f't."{name}"') for name, in db.execute("select name from t._tables").fetchall()}


def by_openpyxl(dist: Path) -> dict[str, int]:
    import openpyxl

    book = openpyxl.load_workbook(dist / f"{NAME}.xlsx", read_only=True)
    return {sheet: sum(1 for _ in book[sheet].iter_rows()) - 1 for sheet in book.sheetnames if sheet not in ("about", "columns")}


def by_libreoffice(dist: Path) -> dict[str, int]:
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if not office:
        pytest.skip("Debian's libreoffice-calc is not installed")
    folder = dist.parent / "office"
    subprocess.run([office, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1", "--outdir", folder, dist / f"{NAME}.xlsx"], check=True, capture_output=True)
    files = {path.stem.removeprefix(f"{NAME}-"): path for path in folder.glob("*.csv")}
    return {sheet: sum(1 for _ in csv.reader(io.StringIO(path.read_text(encoding="utf-8")))) - 1 for sheet, path in files.items() if sheet not in ("about", "columns")}


def by_r(dist: Path, form: str) -> dict[str, int]:
    if not shutil.which("Rscript") or subprocess.run(["Rscript", "-e", "library(RSQLite); library(readr)"], capture_output=True).returncode:
        pytest.skip("Debian's r-cran-rsqlite and r-cran-readr are not installed")
    code = f'db <- DBI::dbConnect(RSQLite::SQLite(), "{dist / NAME}.db"); for (t in DBI::dbGetQuery(db, "select name from _tables")$name) cat(t, nrow(DBI::dbReadTable(db, t)), "\\n")'
    if form == "csv":
        code = f'for (f in list.files("{dist.parent / "csv"}", "[.]csv$", full.names = TRUE)) cat(sub("[.]csv$", "", basename(f)), nrow(readr::read_csv(f, col_types = readr::cols(.default = "c"), progress = FALSE)), "\\n")'
    said = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout
    return {name.lstrip("_"): int(count) for name, count in (line.split() for line in said.splitlines())}


TOOLS: dict[tuple[str, str], Callable[[Path], dict[str, int]]] = {
    ("Datasette alone", "db"): by_datasette, ("Python's csv", "csv"): by_csv, ("frictionless validate", "csv"): by_frictionless, ("frictionless extract", "csv"): by_frictionless_extract,
    **{(tool.__name__.removeprefix("by_"), form): (lambda dist, tool=tool, form=form: tool(dist, form)) for tool in (by_pandas, by_polars) for form in ("csv", "parquet")},
    **{("duckdb", form): (lambda dist, form=form: by_duckdb(dist, form)) for form in ("csv", "parquet", "db")},
    ("openpyxl", "xlsx"): by_openpyxl, ("LibreOffice", "xlsx"): by_libreoffice,
    **{("R", form): (lambda dist, form=form: by_r(dist, form)) for form in ("csv", "db")},
}


@pytest.mark.parametrize("tool, form", TOOLS, ids=lambda part: part)
def test_every_tool_finds_the_same_rows(dist: Path, counts: dict[str, int], found: dict, tool: str, form: str):
    found[tool, form] = TOOLS[tool, form](dist)
    assert found[tool, form] == {name: count for name, count in counts.items() if form != "xlsx" or name in release.SHEETS}


@pytest.mark.parametrize("engine, form", [("duckdb", "parquet"), ("postgresql", "csv"), ("spark", "parquet")], ids=lambda part: part)
def test_every_engine_answers_as_the_site_does(dist: Path, counts: dict[str, int], found: dict, engine: str, form: str):
    if reason := engines.missing(engine):
        pytest.skip(reason)
    tables, answers, wanted = dist.parent, {}, {}
    with engines.sqlite(dist / f"{NAME}.db", tables) as ask:
        for name, query in engines.QUERIES.items():
            wanted[name] = [[engines.plain(row) for row in ask(query["sql"], params)] for params in engines.asked(query["sql"])]
    with engines.ENGINES[engine](dist / f"{NAME}.db", tables) as ask:
        mark = "`" if engine == "spark" else '"'
        names = [row[0] for row in ask("select name from _tables", {})]
        found[f"{engine}, by its script", form] = {name.lstrip("_"): int(ask(f"select count(*) from {mark}{name}{mark}", {})[0][0]) for name in names}
        for name, query in engines.QUERIES.items():
            sql = (tables / "queries" / engine / f"{name}.sql").read_text(encoding="utf-8")
            answers[name] = [[engines.plain(row) for row in ask(sql, params)] for params in engines.asked(query["sql"])]
    assert found[f"{engine}, by its script", form] == counts
    assert all(rows[0] for rows in wanted.values()) and [name for name in wanted if answers[name] != wanted[name]] == []


def test_postgresql_refuses_what_breaks_the_keys(dist: Path):
    """Its tables are not only filled but bound: those who go on writing there cannot cite what is not there."""
    if reason := engines.missing("postgresql"):
        pytest.skip(reason)
    with engines.postgresql(dist / f"{NAME}.db", dist.parent) as ask:
        with pytest.raises(subprocess.CalledProcessError):
            ask("insert into event_sources select event, 'no-such-source', null, stance from event_sources limit 1", {})
        assert ask("select obj_description('events'::regclass)", {})[0][0]


def test_values_survive(dist: Path):
    """The numbers of Parquet and CSV are those of the database, and blanks are blanks."""
    import polars

    db = sqlite3.connect(dist / f"{NAME}.db")
    sql = "select count(value), sum(value), count(qualifier), count(summary_fr), sum(length(title)) from figures"
    (wanted,) = db.execute(sql).fetchall()
    for frame in (polars.read_parquet(dist.parent / "parquet" / "figures.parquet"), polars.read_csv(dist.parent / "csv" / "figures.csv", infer_schema_length=None)):
        found = frame.select(polars.col("value").count(), polars.col("value").sum().alias("sum"), polars.col("qualifier").count(), polars.col("summary_fr").count(), polars.col("title").str.len_chars().sum()).row(0)
        assert found == pytest.approx(wanted)


def test_columns_of_parquet_say_what_they_mean(dist: Path):
    from pyarrow import parquet

    schema = parquet.read_schema(dist.parent / "parquet" / "figures.parquet")
    assert str(schema.field("value").type) == "double" and b"number" in schema.field("value").metadata[b"description"].lower()
    assert all(field.metadata[b"description"] for field in schema)


def test_flat_file_of_facts(dist: Path, counts: dict[str, int]):
    with (dist / f"{NAME}-facts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == counts["facts"] and {"fact", "organisation", "date", "title"} <= rows[0].keys()


def test_sources_for_reference_managers(dist: Path, counts: dict[str, int]):
    import bibtexparser

    library = bibtexparser.parse_file(str(dist / f"{NAME}-sources.bib"))
    assert not library.failed_blocks and len(library.entries) == counts["sources"]
    items = json.loads((dist / f"{NAME}-sources.json").read_text(encoding="utf-8"))
    assert [item["id"] for item in items] == sorted(entry.key for entry in library.entries)
    db = sqlite3.connect(dist / f"{NAME}.db")
    dates = dict(db.execute("select id, published from sources where published is not null"))
    assert {item["id"]: "-".join(f"{part:02}" for part in item["issued"]["date-parts"][0]) for item in items if "issued" in item} == dates
    assert {entry.key: "-".join(entry[name] for name in ("year", "month", "day") if name in entry.fields_dict) for entry in library.entries if "year" in entry.fields_dict} == dates
    assert all(item["type"] in {"article-newspaper", "post-weblog", "article-journal", "report", "dataset", "speech", "webpage"} for item in items)


def test_catalogues_can_describe_it(dist: Path):
    import rdflib
    from datacite import schema45

    assert schema45.validate(json.loads((dist / f"{NAME}-datacite.json").read_text(encoding="utf-8")))
    graph = rdflib.Graph().parse(dist / f"{NAME}-dcat.jsonld", publicID="https://example.org/")
    found = graph.query("prefix dcat: <http://www.w3.org/ns/dcat#> select ?url ?size { [] a dcat:Dataset; dcat:distribution [dcat:downloadURL ?url; dcat:byteSize ?size] }")
    described = {"SHA256SUMS", f"{NAME}-dcat.jsonld", f"{NAME}-datacite.json"}
    assert {(str(url), int(size)) for url, size in found} == {(f"https://example.org/{path.name}", path.stat().st_size) for path in dist.iterdir() if path.name not in described}


def test_every_form_says_which_version_it_is(dist: Path):
    from pyarrow import parquet

    version, digest = (dict(sqlite3.connect(dist / f"{NAME}.db").execute("select key, value from _package"))[key] for key in ("version", "digest"))
    schemas = [parquet.read_schema(path).metadata for path in (dist.parent / "parquet").glob("*.parquet")]
    assert schemas and all(metadata[b"version"].decode() == version and metadata[b"digest"].decode() == digest for metadata in schemas)
    scripts = [*dist.parent.glob("queries/*/*.sql"), *dist.parent.glob("*/*.sql"), dist / f"{NAME}-sources.bib", dist / f"{NAME}-codebook.md", dist / f"{NAME}-codebook.html", dist / "RELEASE.md"]
    assert len(scripts) == 4 * len(engines.QUERIES) + 7 and not [path for path in scripts if f"ersion {version}" not in path.read_text(encoding="utf-8")]
    described = [json.loads((dist.parent / "csv" / "datapackage.json").read_text(encoding="utf-8"))["version"], json.loads((dist / f"{NAME}-datacite.json").read_text(encoding="utf-8"))["version"], json.loads((dist / f"{NAME}-dcat.jsonld").read_text(encoding="utf-8"))["dcat:version"]]
    assert described == [version] * 3


def test_codebook_names_every_column_and_word(dist: Path):
    text = (dist / f"{NAME}-codebook.md").read_text(encoding="utf-8")
    db = sqlite3.connect(dist / f"{NAME}.db")
    columns = db.execute('select "table", "column" from _columns').fetchall()
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    assert all(f"\n| `{column}` |" in sections[table] for table, column in columns)
    assert all(f"\n| `{word}` |" in sections["use_types"] for word, in db.execute("select id from use_types"))
    page = (dist / f"{NAME}-codebook.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == len(sections) and page.count("<table>") == text.count("\n| --- |")


# --- What is new -----------------------------------------------------------------


def test_what_is_new_and_the_version_that_follows(small: Path, tmp_path: Path):
    build_db.build(small, tmp_path / "before.db")
    open_ = lambda name: sqlite3.connect(tmp_path / f"{name}.db")  # noqa: E731

    def compared(table: str, old: str, new: str) -> tuple[list[str], str | None]:
        path = small / f"{table}.csv"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        build_db.build(small, tmp_path / "after.db")
        path.write_text(text, encoding="utf-8")
        return release.changes(open_("after"), open_("before"))

    assert compared("events", "", "") == ([], None)
    said, part = compared("events", "Comcast opens a help desk", "Comcast starts a help desk")
    assert part == "patch" and "- `events`: 1 worded otherwise" in said
    said, part = compared("events", "2008-04,stated", "2008-05,stated")
    assert part == "minor" and "- `events`: 1 changed" in said
    said, part = compared("sources", "press-2012,,,Le Journal", "press-2011,,,Autre,https://journal.example/autre,,2011,fr,press,unknown,\npress-2012,,,Le Journal")
    assert part == "minor" and "- `sources`: 1 added" in said
    later = open_("after")
    later.executescript("delete from _columns where \"table\" = 'gaps' and \"column\" = 'title_fr'; delete from _tables where name = 'bases'")
    said, part = release.changes(later, open_("before"))
    assert part == "major" and {"- column `gaps.title_fr` is gone", "- table `bases` is gone"} <= set(said)
    assert [release.bumped("1.2.3", part) for part in ("major", "minor", "patch", None)] == ["2.0.0", "1.3.0", "1.2.4", "1.2.3"]


def test_release_note(dist: Path, small: Path, tmp_path: Path):
    build_db.build(small, tmp_path / "before.db")
    assert release.main(["--out", str(tmp_path / "dist"), "--since", str(tmp_path / "before.db")]) == 0
    note = (tmp_path / "dist" / "RELEASE.md").read_text(encoding="utf-8")
    assert re.search(r"- `events`: [\d,]+ added", note) and "The version that follows from this is" in note
    assert "Since version" not in (dist / "RELEASE.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        release.main(["--since", str(tmp_path / "none.db")])
