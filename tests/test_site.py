"""The site: metadata.yml resolved against the database, and every page fetched from a running server."""

import csv
import hashlib
import io
import json
import re
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

METADATA = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))["databases"]["twittosphere"]
PACKAGE = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
DECLARED = [table["name"] for key in ("resources", "joins", "views") for table in PACKAGE[key]]
RESOURCES = {table["name"] for table in PACKAGE["resources"]}
QUERIES = METADATA["queries"]
CHARTS = [f"/charts/{lang}/{name}.svg?organisation=orange" for lang in ("en", "fr") for name in yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))["plugins"]["charts"]] + ["/charts/fr/timeline.svg?type=left"]
ODD_SEARCHES = ["", " ", '"', '""', "'", "*", "-", "société générale", 'a "b', "AND", "NOT", "NEAR(", "a OR", "(", ")", "{x}:", "^", "%00", "é" * 500, "name:orange", "🐦", "select 1; drop table x"]


def columns(db: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns."""
    return {row[1] for row in db.execute(f"pragma table_info([{table}])")}


def get(address: str) -> tuple[int, str, bytes]:
    """Fetch an address and return (status, content type, body), for error pages too."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read()


def get_json(address: str) -> dict | list:
    """Fetch JSON; anything but 200 fails."""
    status, _, body = get(address)
    assert status == 200, (address, body[:300])
    return json.loads(body)


# --- metadata.yml against the database ---------------------------------------


def test_metadata_names_every_table_and_no_other(db: sqlite3.Connection):
    tables = {row[0] for row in db.execute("select name from sqlite_master where type = 'table' and name not like '%_fts%' and name not like 'sqlite_%'")}
    vocabularies = {table for table in tables if "label_en" in columns(db, table)}  # labelled by the plugin, in each language
    assert set(METADATA["tables"]) | vocabularies == tables
    assert set(DECLARED) == {name for name in tables if not name.startswith("_")}


@pytest.mark.parametrize("table", METADATA["tables"])
def test_metadata_of_a_table_resolves(db: sqlite3.Connection, table: str):
    about, known = METADATA["tables"][table], columns(db, table)
    assert set(about) <= {"label_column", "sort", "sort_desc", "facets", "hidden"}
    facets = [facet["array"] if isinstance(facet, dict) else facet for facet in about.get("facets", [])]
    named = [about[key] for key in ("label_column", "sort", "sort_desc") if key in about] + facets
    assert set(named) <= known, f"{set(named) - known} are not columns of {table}"
    assert not {"date", "opened", "since", "published"} & set(facets), "partial dates are not faceted"
    indexed = {db.execute(f"pragma index_info([{index[1]}])").fetchone()[2] for index in db.execute(f"pragma index_list([{table}])")}
    for facet in about.get("facets", []):
        if isinstance(facet, str) and not table.startswith("_"):
            assert facet in indexed, f"{table}.{facet} is faceted without an index"
        if isinstance(facet, str) and not table.startswith("_") and (table, facet) != ("figures", "cohort"):
            assert not db.execute(f"select count(*) from [{table}] where [{facet}] is null").fetchone()[0], f"{table}.{facet} hides NULL from its facet"


@pytest.mark.parametrize("table", DECLARED)
def test_descriptions_reach_the_page(db: sqlite3.Connection, server: str, table: str):
    described = {row[0] for row in db.execute("select [column] from _columns where [table] = ?", (table,))}
    assert described == columns(db, table)
    page = get(f"{server}/twittosphere/{table}")[2].decode()
    title, description = db.execute("select title, description from _tables where name = ?", (table,)).fetchone()
    assert title in page and description.split(",")[0].split("'")[0] in page


@pytest.mark.parametrize("name", QUERIES)
def test_query_answers(db: sqlite3.Connection, server: str, name: str):
    query = QUERIES[name]
    assert query["title"].endswith("?") and query["description"].endswith(".")
    assert query["title_fr"].endswith(" ?") and query["description_fr"].endswith(".")
    answer = get_json(f"{server}/twittosphere/{name}.json?_shape=objects")
    assert answer["rows"], "no rows with default parameters"
    assert len(list(csv.reader(io.StringIO(get(f"{server}/twittosphere/{name}.csv")[2].decode())))) == len(answer["rows"]) + 1
    for parameter in re.findall(r":(\w+)", re.sub(r"'[^']*'", "", query["sql"])):
        assert f'name="{parameter}"' in get(f"{server}/twittosphere/{name}")[2].decode()


def test_at_least_fifteen_questions():
    assert len(QUERIES) >= 15


# --- Pages --------------------------------------------------------------------


class Page(HTMLParser):
    """The links, loaded assets and ids of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        for name in ("src", "srcset", "poster", "data"):
            if values.get(name):
                self.assets.append(values[name])
        if tag == "link" and values.get("href") and values.get("rel") not in ("alternate", "canonical"):
            self.assets.append(values["href"])


def pages(db: sqlite3.Connection) -> list[str]:
    """Return the path of every page: home, database, tables with each facet value, queries, and rows.

    Every row of the declared tables; of the tables derived from them, whose pages have one template, each 25th.
    """
    found = ["/", "/fr/", "/how-facts-are-coded", "/robots.txt", "/feed.atom", "/llms.txt", *CHARTS, "/twittosphere", *(f"/twittosphere/{name}" for name in [*DECLARED, "_columns", "_tables", "_package", *QUERIES])]
    for table, about in METADATA["tables"].items():
        for facet in about.get("facets", []):
            if isinstance(facet, str):
                values = [row[0] for row in db.execute(f"select [{facet}] from [{table}] where [{facet}] is not null group by 1 order by count(*) desc limit 8")]
                found += [f"/twittosphere/{table}?{urllib.parse.urlencode({facet: value})}" for value in values]
    for table in [*DECLARED, "_columns", "_tables", "_package"]:
        keys = [row[1] for row in db.execute(f"pragma table_info([{table}])") if row[5]]
        rows = db.execute(f"select {', '.join(f'[{key}]' for key in keys)} from [{table}]").fetchall()
        found += [f"/twittosphere/{table}/" + ",".join(map(tilde, row)) for row in rows[:: 1 if table in RESOURCES else 25]]
    return found


def tilde(value: str) -> str:
    """Encode a key for a row's address as Datasette does."""
    return "".join(c if re.match(r"[A-Za-z0-9_-]", c) else "+" if c == " " else "".join(f"~{byte:02X}" for byte in c.encode()) for c in value)


@pytest.fixture(scope="module")
def fetched(db: sqlite3.Connection, server: str) -> dict[str, tuple[int, str]]:
    """Every page of the site as path → (status, text)."""
    def fetch(path: str) -> tuple[str, tuple[int, str]]:
        status, _, body = get(server + path)
        return path, (status, body.decode())
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(fetch, pages(db)))


def test_every_page_answers(fetched: dict[str, tuple[int, str]]):
    assert len(fetched) > 5000
    assert not {path: text[:300] for path, (status, text) in fetched.items() if status != 200}


def test_no_page_loads_from_outside(fetched: dict[str, tuple[int, str]]):
    outside = {(path, asset) for path, (_, text) in fetched.items() if text.startswith("<!DOCTYPE") for asset in Page(text).assets if not asset.startswith(("/", "data:")) or asset.startswith("//")}
    assert not outside


def test_every_inner_link_of_a_row_leads_somewhere(fetched: dict[str, tuple[int, str]]):
    known = {path.partition("?")[0] for path in fetched} | {"/twittosphere.db"}
    broken = set()
    for path, (_, text) in fetched.items():
        for link in Page(text).links:
            target = urllib.parse.urlsplit(link).path
            derived = target.startswith(("/charts/", "/fr/", "/en/", "/feed.atom")) or target in ("/fr", "/en") or target.startswith(tuple(f"/twittosphere/{table}/" for table in (set(METADATA["tables"]) | set(DECLARED)) - RESOURCES))
            if link.startswith("/") and not derived and not link.startswith("/-/") and not target.endswith((".json", ".csv", ".jsono")) and target not in known:
                broken.add((path, link))
    assert not broken, sorted(broken)[:5]


def test_every_fact_page_links_to_its_sources(db: sqlite3.Connection, fetched: dict[str, tuple[int, str]]):
    for table, join, column in (("events", "event_sources", "event"), ("uses", "use_sources", "use"), ("figures", "figure_sources", "figure"), ("accounts", "account_sources", "account")):
        for fact, url in db.execute(f'select j."{column}", s.url from {join} j join sources s on s.id = j.source'):
            links = Page(fetched[f"/twittosphere/{table}/{tilde(fact)}"][1]).links
            assert url in links, (table, fact, url)


def test_organisation_page_shows_all_its_rows(db: sqlite3.Connection, fetched: dict[str, tuple[int, str]]):
    for organisation in ("comcast", "orange", "societe-generale"):
        links = Page(fetched[f"/twittosphere/organisations/{organisation}"][1]).links
        for table in ("accounts", "events", "uses", "figures"):
            for row in db.execute(f"select id from {table} where organisation = ?", (organisation,)):
                assert f"/twittosphere/{table}/{tilde(row[0])}" in links


def test_source_page_lists_every_fact_it_supports(db: sqlite3.Connection, fetched: dict[str, tuple[int, str]]):
    links = Page(fetched["/twittosphere/sources/communication-entreprise-2012-six-ans"][1]).links
    for table, join, column in (("events", "event_sources", "event"), ("uses", "use_sources", "use"), ("figures", "figure_sources", "figure")):
        for row in db.execute(f'select "{column}" from {join} where source = ?', ("communication-entreprise-2012-six-ans",)):
            assert f"/twittosphere/{table}/{tilde(row[0])}" in links


def test_foreign_keys_show_labels_on_row_pages(fetched: dict[str, tuple[int, str]]):
    text = fetched["/twittosphere/accounts/comcastcares"][1]
    assert re.search(r'href="/twittosphere/organisations/comcast"[^>]*>\s*Comcast\s*<', text)
    assert re.search(r'href="/twittosphere/account_roles/customer_service"[^>]*>\s*Customer service\s*<', text)


@pytest.mark.parametrize("table", [name for name in DECLARED if any(table["name"] == name and "search" in table for table in PACKAGE["resources"] + PACKAGE["views"])])
@pytest.mark.parametrize("words", ODD_SEARCHES)
def test_odd_search_gives_no_error(server: str, table: str, words: str):
    address = f"{server}/twittosphere/{table}?{urllib.parse.urlencode({'_search': words, '_facet_size': 3})}"
    assert get(address)[0] == 200


def test_search_finds_without_accents(server: str):
    found = get_json(f"{server}/twittosphere/organisations.json?_shape=array&_search=societe+generale")
    assert "societe-generale" in {row["id"] for row in found}


def test_array_facet_over_uses(server: str):
    found = get_json(f"{server}/twittosphere/panorama.json?_size=1")["facet_results"]["uses"]["results"]
    assert {"Customer service", "Recruitment"} <= {result["value"] for result in found}


def test_facets_do_not_time_out(server: str):
    for table in METADATA["tables"]:
        assert not get_json(f"{server}/twittosphere/{table}.json?_size=0").get("facets_timed_out"), table


def test_database_downloads_with_the_hash_shown_beside_it(server: str, site: Path):
    status, _, body = get(f"{server}/twittosphere.db")
    digest = hashlib.sha256(body).hexdigest()
    assert status == 200 and body == (site / "twittosphere.db").read_bytes()
    assert digest in get(f"{server}/twittosphere")[2].decode() and digest in get(server + "/")[2].decode()


def test_questions_come_first_on_the_database_page(server: str):
    text = get(f"{server}/twittosphere")[2].decode()
    assert text.index(QUERIES["who-opened-first"]["title"]) < text.index('id="download"') < text.index('id="tables"')


def test_own_sql_runs_and_writing_does_not(server: str):
    assert get_json(f"{server}/twittosphere.json?_shape=array&sql=select+count(*)+as+n+from+events")[0]["n"] > 0
    assert get(f"{server}/twittosphere.json?sql=delete+from+events")[0] == 400
    assert get(f"{server}/twittosphere.json?" + urllib.parse.urlencode({"sql": "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"}))[0] == 400


def test_suggested_facets_are_off(server: str):
    assert "Suggested facets" not in get(f"{server}/twittosphere/events")[2].decode()


def test_unknown_row_is_not_found(server: str):
    assert get(f"{server}/twittosphere/organisations/nobody")[0] == 404


def test_charts_draw_their_rows(db: sqlite3.Connection, server: str):
    svg = get(f"{server}/charts/en/fortune-500.svg")[2].decode()
    assert svg.startswith("<svg") and "<script" not in svg
    assert all(f">{year}<" in svg for year in (2009, 2012, 2015))
    assert get(f"{server}/charts/en/nothing.svg")[0] == 404


def test_home_page_is_light(server: str):
    assert len(get(server + "/")[2]) + len(get(server + "/static/twittosphere.css")[2]) < 150_000


def test_french_pages_are_french(server: str):
    text = get(server + "/fr/")[2].decode()
    assert 'lang="fr"' in text and "Qui a ouvert un compte le premier\u202f?" in text and "Who opened" not in text
    assert "Une ligne est un usage" in get(server + "/fr/twittosphere/uses")[2].decode()
    assert ">Service client<" in get(server + "/fr/twittosphere/uses")[2].decode()
    assert "Who opened an account first?" in get(server + "/en/")[2].decode()


def test_structured_data_is_a_dataset(server: str):
    text = get(server + "/")[2].decode()
    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', text, re.S)[1])
    assert data["@type"] == "Dataset" and data["distribution"][0]["contentUrl"].endswith("/twittosphere.db")


def test_sitemap_lists_every_organisation(db: sqlite3.Connection, server: str):
    text = get(server + "/sitemap.xml")[2].decode()
    for row in db.execute("select id from organisations"):
        assert f"/twittosphere/organisations/{row[0]}<" in text
