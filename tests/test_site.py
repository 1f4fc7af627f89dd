"""The site: metadata.yml resolved against the database, and every page fetched from a running server."""

import asyncio
import csv
import hashlib
import html
import io
import json
import re
import runpy
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
import rdflib
import yaml
from datacite import schema45
from datasette.app import Datasette
from datasette.database import QueryInterrupted
from datasette.utils.asgi import Request

from conftest import ROOT

METADATA = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))["databases"]["twittosphere"]
PACKAGE = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
DECLARED = [table["name"] for key in ("resources", "joins", "views", "codebook") for table in PACKAGE[key]]
RESOURCES = {table["name"] for table in PACKAGE["resources"]}
QUERIES = METADATA["queries"]
PLUGINS = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))["plugins"]
CHARTS = [f"{lang}/charts/{name}.svg?organisation=orange&metric=followers&_as={drawn}" for lang in ("", "/fr") for name in PLUGINS["charts"] if name != "timeline" for drawn in ("wide-light", "narrow-dark")] + ["/charts/timeline.svg", "/fr/charts/timeline.svg?type=left"]
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
    assert set(DECLARED) == tables - {"_package", "_answers"}


@pytest.mark.parametrize("table", METADATA["tables"])
def test_metadata_of_a_table_resolves(db: sqlite3.Connection, table: str):
    about, known = METADATA["tables"][table], columns(db, table)
    assert set(about) <= {"label_column", "sort", "sort_desc", "facets", "hidden", "list"}
    facets = [facet["array"] if isinstance(facet, dict) else facet for facet in about.get("facets", [])]
    named = [about[key] for key in ("label_column", "sort", "sort_desc") if key in about] + facets + about.get("list", [])
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
    """The status, text, links and loaded assets of a page."""

    def __init__(self, text: str, status: int = 200):
        super().__init__()
        self.status, self.text = status, text
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

    Every row of the small tables and each third of the large ones, some in French too; of the tables derived from them, each 100th.
    """
    found = ["/", "/fr/", "/how-facts-are-coded", "/what-is-not-known", "/fr/what-is-not-known", "/robots.txt", "/feed.atom", "/llms.txt", *CHARTS, "/twittosphere", *(f"/twittosphere/{name}" for name in [*DECLARED, "_package", *QUERIES])]
    for table, about in METADATA["tables"].items():
        for facet in about.get("facets", []):
            if isinstance(facet, str):
                values = [row[0] for row in db.execute(f"select [{facet}] from [{table}] where [{facet}] is not null group by 1 order by count(*) desc limit 8")]
                found += [f"/twittosphere/{table}?{urllib.parse.urlencode({facet: value})}" for value in values]
    for table in [*DECLARED, "_package"]:
        keys = [row[1] for row in db.execute(f"pragma table_info([{table}])") if row[5]]
        rows = db.execute(f"select {', '.join(f'[{key}]' for key in keys)} from [{table}]").fetchall()
        addresses = [f"/twittosphere/{table}/" + ",".join(map(tilde, row)) for row in rows]
        found += addresses[:: 100 if table not in RESOURCES else 3 if len(rows) > 500 else 1] + [f"/fr{address}" for address in addresses[::50]]
    return found


def tilde(value: str) -> str:
    """Encode a key for a row's address as Datasette does."""
    return "".join(c if re.match(r"[A-Za-z0-9_-]", c) else "+" if c == " " else "".join(f"~{byte:02X}" for byte in c.encode()) for c in value)


@pytest.fixture(scope="module")
def fetched(db: sqlite3.Connection, server: str) -> dict[str, Page]:
    """Every page of the site as path → page."""
    def fetch(path: str) -> tuple[str, Page]:
        status, _, body = get(server + path)
        return path, Page(body.decode(), status)
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(fetch, pages(db)))


def test_every_page_answers(fetched: dict[str, Page]):
    assert len(fetched) > 4000
    assert not {path: page.text[:300] for path, page in fetched.items() if page.status != 200}


def test_no_page_loads_from_outside(fetched: dict[str, Page]):
    outside = {(path, asset) for path, page in fetched.items() if page.text.startswith("<!DOCTYPE") for asset in page.assets if not asset.startswith(("/", "data:")) or asset.startswith("//")}
    assert not outside


def test_every_inner_link_of_a_row_leads_somewhere(db: sqlite3.Connection, fetched: dict[str, Page]):
    rows = {f"/twittosphere/{table}/{tilde(row[0])}" for table in RESOURCES for row in db.execute(f"select id from [{table}]")}
    known = {path.partition("?")[0] for path in fetched} | rows | {"/twittosphere.db", "/twittosphere.db.gz"}
    broken = set()
    for path, page in fetched.items():
        for link in page.links:
            target = urllib.parse.urlsplit(link).path.removeprefix("/fr") or "/"
            derived = target.startswith(("/charts/", "/feed.atom", "/static/")) or target.startswith(tuple(f"/twittosphere/{table}/" for table in (set(METADATA["tables"]) | set(DECLARED)) - RESOURCES))
            if link.startswith("/") and not derived and not link.startswith("/-/") and not target.endswith((".json", ".csv", ".jsono")) and target not in known:
                broken.add((path, link))
    assert not broken, sorted(broken)[:5]


def test_every_fact_page_links_to_its_sources(db: sqlite3.Connection, fetched: dict[str, Page]):
    for table, join, column in (("events", "event_sources", "event"), ("uses", "use_sources", "use"), ("figures", "figure_sources", "figure"), ("accounts", "account_sources", "account")):
        cited = [(fetched[path], url) for fact, url in db.execute(f'select j."{column}", s.url from {join} j join sources s on s.id = j.source') if (path := f"/twittosphere/{table}/{tilde(fact)}") in fetched]
        assert len(cited) > 100 and not [(page.text[:200], url) for page, url in cited if url not in page.links]


def test_organisation_page_shows_all_its_rows(db: sqlite3.Connection, server: str):
    for organisation in ("comcast", "orange", "societe-generale"):
        links = Page(get(f"{server}/twittosphere/organisations/{organisation}")[2].decode()).links
        for table in ("accounts", "events", "uses", "figures"):
            for row in db.execute(f"select id from {table} where organisation = ?", (organisation,)):
                assert f"/twittosphere/{table}/{tilde(row[0])}" in links


def test_source_page_lists_every_fact_it_supports(db: sqlite3.Connection, server: str):
    links = Page(get(f"{server}/twittosphere/sources/communication-entreprise-2012-six-ans")[2].decode()).links
    for table, join, column in (("events", "event_sources", "event"), ("uses", "use_sources", "use"), ("figures", "figure_sources", "figure")):
        for row in db.execute(f'select "{column}" from {join} where source = ?', ("communication-entreprise-2012-six-ans",)):
            assert f"/twittosphere/{table}/{tilde(row[0])}" in links


def test_foreign_keys_show_labels_on_row_pages(server: str):
    text = get(f"{server}/twittosphere/accounts/comcastcares")[2].decode()
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
    assert {"customer_service", "recruitment"} <= {result["value"] for result in found}
    assert ">Customer service</a>" in get(f"{server}/twittosphere/panorama")[2].decode()
    assert ">Service client</a>" in get(f"{server}/fr/twittosphere/panorama")[2].decode()


def test_facets_do_not_time_out(server: str):
    for table in METADATA["tables"]:
        facets = [next(iter(facet.values())) if isinstance(facet, dict) else facet for facet in METADATA["tables"][table].get("facets", [])]
        assert set(get_json(f"{server}/twittosphere/{table}.json?_size=0")["facet_results"]) == set(facets), table


def test_database_downloads_with_the_hash_shown_beside_it(server: str, site: Path):
    status, _, body = get(f"{server}/twittosphere.db")
    digest = hashlib.sha256(body).hexdigest()
    assert status == 200 and body == (site / "twittosphere.db").read_bytes()
    assert digest in get(f"{server}/twittosphere")[2].decode() and digest in get(server + "/")[2].decode()


def test_whole_addresses_lead_back_here(server: str):
    """In both languages, with odd values: an address of a facet's value, of a next page, of Datasette's own kind of text."""
    for lang in ("", "/fr"):
        page = get_json(f"{server}{lang}/twittosphere/organisations.json?_facet=sector&_size=1&name__not=%2F..%2F%26%C3%A9%3F")
        value = page["facet_results"]["sector"]["results"][0]
        assert value["toggle_url"].startswith(f"{server}{lang}/twittosphere/organisations.json?") and page["next_url"].startswith(f"{server}{lang}/twittosphere/organisations.json?")
        assert get_json(value["toggle_url"])["filtered_table_rows_count"] == value["count"]


@pytest.mark.parametrize(("table", "order"), [("facts", "_sort_desc=added"), ("events", "_sort_desc=year"), ("figures", "_sort_desc=metric"), ("events", "_sort=country"), ("_columns", "_sort_desc=type"), ("_columns", "_sort=type"), ("sources", "_sort_desc=kind"), ("search", "_sort=year"), ("search", "_sort=place"), ("timeline", "_sort_desc=year&country=FR")])
def test_no_row_is_lost_between_pages(db: sqlite3.Connection, server: str, table: str, order: str):
    rows = list(csv.DictReader(io.StringIO(get(f"{server}/twittosphere/{table}.csv?_stream=on&_size=100&{order}")[2].decode())))
    where = "where country = 'FR'" if "FR" in order else ""
    key = {"facts": "fact", "_columns": "[table] || '.' || [column]"}.get(table, "id")
    found = [f"{row['table']}.{row['column']}" if table == "_columns" else row[key] for row in rows]
    assert sorted(found) == [row[0] for row in db.execute(f"select {key} from {table} {where} order by 1")]


def test_catalogues_find_a_description_whose_files_are_there(server: str):
    text = get(server + "/")[2].decode()
    in_page = json.loads(html.unescape(re.search(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', text, re.S)[1]))
    addresses = re.findall(r'rel="describedby" href="([^"]+)"', text)
    in_dcat, in_datacite = (get_json(server + address) for address in addresses)
    schema45.validate(in_datacite)
    graph = rdflib.Graph().parse(data=json.dumps(in_dcat), format="json-ld")
    found = {str(url) for _, url in graph.subject_objects(rdflib.URIRef("http://www.w3.org/ns/dcat#downloadURL"))}
    assert found == {file["contentUrl"] for file in in_page["distribution"]} and len(found) == 10
    assert in_page["version"] == in_dcat["dcat:version"] == in_datacite["version"] == PACKAGE["version"] and in_page["keywords"] == PACKAGE["keywords"]
    for url in found:
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200 and answer.read(6)


def test_questions_come_first_on_the_database_page(server: str):
    text = get(f"{server}/twittosphere")[2].decode()
    assert text.index(QUERIES["who-opened-first"]["title"]) < text.index('id="download"') < text.index('id="tables"')


def test_own_sql_runs_and_writing_does_not(server: str):
    assert get_json(f"{server}/twittosphere.json?_shape=array&sql=select+count(*)+as+n+from+events")[0]["n"] > 0
    assert get(f"{server}/twittosphere.json?sql=delete+from+events")[0] == 400
    assert get(f"{server}/twittosphere.json?" + urllib.parse.urlencode({"sql": "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"}))[0] == 400


HOSTILE = ["select 'x\"><img src=x onerror=alert(1)>/y' as fact", "select 'javascript:alert(1)' as source_urls", "select 'http://[' as source_urls", "select 'x' as fact", "select 1 as fact, 'y' as title",
           "select 1 as organisation, 'y' as name", "select 'x' as first_trace_in", "select '<b>' as title, 'events/<i>' as fact", "select x'00' as title", "select '[' as uses", "select '<b>' as country"]


@pytest.mark.parametrize("sql", HOSTILE)
def test_cells_of_own_sql_stay_text(server: str, sql: str):
    status, _, body = get(f"{server}/twittosphere?" + urllib.parse.urlencode({"sql": sql}))
    table = re.search(r"<tbody>.*</tbody>", body.decode(), re.S)[0]
    assert status == 200 and not re.search(r"<img|<b>|<i>|href=.javascript", table), table


def test_own_sql_keeps_columns_of_one_name_and_its_order(server: str):
    cells = lambda sql: re.findall(r"<td[^>]*>(.*?)</td>", get(f"{server}/twittosphere?" + urllib.parse.urlencode({"sql": sql}))[2].decode())  # noqa: E731
    assert cells("select 1 as a, 2 as a") == ["1", "2"]
    assert len(cells("select id from events where type = 'left' union select id from uses order by id desc limit 3")) == 3


@pytest.mark.parametrize("query", ["search?_nocol=found_in", "search?_col=title", "events?_col=title", "events?_nocol=title&_next=", "timeline?_where=length(title)>60", "timeline?_where=selec", "events?_sort=nope", "events?_col=nope", "events?_size=x", "facts?_columns=all", "uses?since__isnull=1", "event_sources?_facet=stance"])
def test_no_argument_of_a_table_breaks_the_site(server: str, query: str):
    for prefix in ("", "/fr"):
        status, _, body = get(f"{server}{prefix}/twittosphere/{query}")
        assert status in (200, 400) and "<h1" in body.decode(), (prefix, status)


def test_removing_a_filter_leads_to_the_first_page(server: str):
    address = f"{server}/twittosphere/events?type=crisis&country=FR&_size=20"
    following = re.search(r'class="next button" href="([^"]*)"', get(address)[2].decode())[1].replace("&amp;", "&")
    chosen = re.search(r'<ul class="chosen">.*?</ul>', get(following)[2].decode(), re.S)[0]
    assert "_next=" in following and "Type: Crisis" in chosen and "Country: France" in chosen and "_next" not in chosen
    assert ">Since is null <" in get(f"{server}/twittosphere/uses?since__isnull=1")[2].decode()


def test_languages_do_not_mix(server: str):
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda prefix: get(f"{server}{prefix}/twittosphere/uses/societe-generale-2009-recruitment")[2].decode(), ["", "/fr"] * 30))
    assert all(('lang="en"' in page and "uses Twitter for" in page) or ('<html lang="fr"' in page and "se sert de Twitter" in page) for page in pages)
    assert sum('<html lang="fr"' in page for page in pages) == 30


def test_site_under_another_base_address(site: Path):
    async def links_of(paths: list[str]) -> dict[str, list[str]]:
        datasette = Datasette(config_dir=site, settings=json.loads((site / "settings.json").read_text()) | {"base_url": "/data/"})
        await datasette.invoke_startup()
        answers = {path: await datasette.client.get(path, follow_redirects=True) for path in paths}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {path: [link for link in Page(answer.text).links + Page(answer.text).assets if link.startswith(("/", "http://localhost"))] for path, answer in answers.items()}

    addresses = [f"/{prefix}{path}" for prefix in ("", "fr/") for path in ("", "twittosphere/events?type=crisis", "twittosphere/organisations/orange", "twittosphere/who-left")]
    with ThreadPoolExecutor(1) as pool:  # the browser runs a loop in this thread
        found = pool.submit(asyncio.run, links_of(addresses)).result()
    for path, links in found.items():
        links = [link.removeprefix("http://localhost") for link in links]
        assert len(links) > 20 and not [link for link in links if not link.startswith("/data/") or link.startswith(("/data/data/", "/data/fr/data/", "/data/fr/fr/"))], path


def test_suggested_facets_are_off(server: str):
    assert "Suggested facets" not in get(f"{server}/twittosphere/events")[2].decode()


def test_unknown_row_is_not_found(server: str):
    assert get(f"{server}/twittosphere/organisations/nobody")[0] == 404


def test_charts_draw_their_rows(db: sqlite3.Connection, server: str):
    svg = get(f"{server}/charts/fortune-500.svg")[2].decode()
    assert svg.startswith("<svg") and "<script" not in svg
    assert all(f">{year}<" in svg for year in (2009, 2012, 2015)) and ">Share of the Fortune 500 on Twitter<" in svg
    assert svg.count("<circle") == db.execute("select count(*) from (" + PLUGINS["charts"]["fortune-500"]["sql"].replace(":lang", "'en'") + ")").fetchone()[0], "a dot for each row"
    assert ">Année de l’étude –" in get(f"{server}/fr/charts/fortune-500.svg")[2].decode()
    assert "on Twitter<" not in get(f"{server}/charts/fortune-500.svg?_as=narrow-dark")[2].decode(), "where it is drawn for a page, the page has its title"
    assert get(f"{server}/charts/nothing.svg")[0] == 404
    for refused in ("fortune-500.svg?_as=huge", "timeline.svg?_search=a&_where=selec"):
        assert get(f"{server}/charts/{refused}")[0] == 400, refused


def test_chart_of_the_timeline_follows_the_selection(db: sqlite3.Connection, server: str):
    text = get(f"{server}/twittosphere/timeline?type=left&country=FR&_search=compte")[2].decode()
    table = re.search(r'<figure class="chart">.*?<tbody>(.*?)</tbody>', text, re.S)[1]
    shown = {int(year): int(count) for year, count in re.findall(r"<td>(\d+)</td><td class=\"n\">(\d+)</td>", table)}
    assert shown == dict(db.execute("select year, count(*) from timeline where type = 'left' and country = 'FR' and rowid in (select rowid from timeline_fts where timeline_fts match '\"compte\"*') group by 1"))
    drawn = get(f"{server}/charts/timeline.svg?type=left&country=FR&_search=compte&_as=wide-light")[2].decode()
    assert len(re.findall('<rect[^>]* height="([^"]+)"[^>]* class="rect', drawn)) == len(shown), "a bar for each year"
    assert re.search(r'src="(/charts/timeline.svg[^"]*)"', text)[1].replace("&amp;", "&").endswith("type=left&country=FR&_search=compte&_as=wide-light")


def test_home_page_is_light(server: str):
    text = get(server + "/")[2].decode()
    charts = re.findall(r'<img src="([^"]*)"', text)
    loaded = [server + path.replace("&amp;", "&") for path in ["/", "/static/twittosphere.css", "/static/icon.svg", *charts]]
    assert len(charts) == 6 and sum(len(get(address)[2]) for address in loaded) < 150_000, "charts included"
    assert len(get(server + "/static/twittosphere.css")[2]) < 20_000


def test_french_pages_are_french(server: str):
    text = get(server + "/fr/")[2].decode()
    assert 'lang="fr"' in text and "Qui a ouvert un compte le premier\u202f?" in text and "Who opened" not in text
    assert "Une ligne est un usage" in get(server + "/fr/twittosphere/uses")[2].decode()
    assert ">Service client<" in get(server + "/fr/twittosphere/uses")[2].decode()


FRENCH_PAGES = ["/", "/how-facts-are-coded", "/what-is-not-known", "/twittosphere", "/twittosphere/timeline?country=FR", "/twittosphere/organisations/societe-generale", "/twittosphere/cohorts/cac-40-2012-03",
                "/twittosphere/events/sncf-2018-crisis", "/twittosphere/accounts/societegenerale", "/twittosphere/sources/communication-entreprise-2012-six-ans", "/twittosphere/who-left", "/twittosphere/coverage",
                "/twittosphere/search?_search=zzzz", "/twittosphere/organisations/nobody", "/twittosphere?sql=select+1", "/twittosphere?sql=selec", "/twittosphere/uses?_search=zzzz"]
ENGLISH = {match[1] for path in (ROOT / "templates").rglob("*.html") for match in re.finditer(r'tr\("([^"]{16,})", "([^"]*)"\)', path.read_text(encoding="utf-8")) if match[1] != match[2]}


@pytest.mark.parametrize("path", FRENCH_PAGES)
def test_french_pages_have_no_english_words_of_the_site(server: str, path: str):
    text = get(f"{server}/fr{path}")[2].decode()
    assert '<html lang="fr">' in text and len(ENGLISH) > 60
    shown = re.sub(r"<(script|pre|textarea|cite).*?</\1>", "", text, flags=re.S)
    assert not [words for words in ENGLISH if words in shown]
    titles = {word for about in [*QUERIES.values(), *METADATA["tables"].values()] for word in [about.get("title")] if word}
    assert not [title for title in titles if title in shown]


@pytest.mark.parametrize("path", FRENCH_PAGES)
def test_links_of_french_pages_stay_french(server: str, path: str):
    links = [link for link in Page(get(f"{server}/fr{path}")[2].decode()).links if link.startswith("/") or link.startswith(server)]
    lost = [link for link in links if not link.removeprefix(server).startswith(("/fr/", "/twittosphere.db"))]
    assert not [link for link in links if "/fr/fr" in link]
    assert len(links) > 10 and lost == [path], "but for the switch of language"


def test_french_is_typeset(server: str):
    for path in FRENCH_PAGES[:8]:
        text = re.sub(r"<(script|style|pre|textarea|code|ol|cite).*?</\1>|<[^>]*>|https?://\S+", " ", get(f"{server}/fr{path}")[2].decode(), flags=re.S)
        for line in text.splitlines():  # but for the titles of sources, which stand as printed there
            if "Six ans" not in line:
                assert not re.search(r"\w [;:!?»]|\w: |« |\d [%€]", line), (path, line.strip()[:200])


def test_redirections_stay_french(server: str):
    answer = urllib.request.urlopen(f"{server}/fr/twittosphere/?sql=select+1")
    assert answer.url == f"{server}/fr/twittosphere?sql=select+1"
    assert urllib.request.urlopen(f"{server}/fr/twittosphere/uses?_filter_column=type&_filter_op=exact&_filter_value=sales").url == f"{server}/fr/twittosphere/uses?type__exact=sales"


def test_number_and_dates_are_those_of_the_language(server: str):
    english, french = (get(f"{server}{prefix}/twittosphere/figures/societe-generale-2014-followers")[2].decode() for prefix in ("", "/fr"))
    assert "23,000" in english and "23\u202f000" in french
    english, french = (get(f"{server}{prefix}/twittosphere/accounts/comcastcares")[2].decode() for prefix in ("", "/fr"))
    assert "by April 2008 at the latest" in english and "au plus tard en avril 2008" in french


@pytest.mark.parametrize("name", QUERIES)
def test_columns_of_a_query_have_titles_in_both_languages(db: sqlite3.Connection, server: str, name: str):
    documented = {row[0] for row in db.execute("select [column] from _columns")}
    for column in get_json(f"{server}/twittosphere/{name}.json?_shape=objects")["columns"]:
        assert column in documented or set(PLUGINS["titles"].get(column, ())) == {"en", "fr"}, column


def test_missing_page_names_what_is_near(server: str):
    status, _, body = get(f"{server}/fr/twittosphere/organisations/societe-general")
    assert status == 404 and 'href="/fr/twittosphere/organisations/societe-generale"' in body.decode()
    status, _, body = get(f"{server}/twittosphere/organisation")
    assert status == 404 and 'href="/twittosphere/organisations"' in body.decode()
    assert get(f"{server}/twittosphere/organisations/nobody.json")[1].startswith("application/json")


def test_slow_query_is_given_back(server: str):
    sql = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"
    status, _, body = get(f"{server}/twittosphere?" + urllib.parse.urlencode({"sql": sql}))
    assert status == 400 and "The query took too long" in body.decode() and f">{sql}</textarea>" in body.decode()


def test_wrong_query_is_given_back(server: str):
    status, _, body = get(f"{server}/twittosphere?sql=select+nobody+from+events")
    assert status == 400 and "no such column: nobody" in body.decode() and ">select nobody from events</textarea>" in body.decode()


def test_organisation_page_is_structured_and_shows_disagreement(db: sqlite3.Connection, server: str):
    text = get(f"{server}/twittosphere/organisations/societe-generale")[2].decode()
    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', text, re.S)[1])
    assert data["@type"] == "Organization" and data["name"] == "Société Générale" and "https://twitter.com/Societegenerale" in data["sameAs"]
    assert re.search(r'class="contradicts">Source \d+ disagrees: <span lang="en">2019-12-28<', text)
    assert text.index("shows some of its job offers") < text.index("tweets about the VivaTech fair")
    text = get(f"{server}/twittosphere/organisations/societe-generale?_order=newest")[2].decode()
    assert text.index("shows some of its job offers") > text.index("tweets about the VivaTech fair")


def test_one_organisation_as_csv(db: sqlite3.Connection, server: str):
    rows = list(csv.DictReader(io.StringIO(get(f"{server}/twittosphere/all-about.csv?organisation=societe-generale")[2].decode())))
    assert {row["fact"] for row in rows} == {row[0] for row in db.execute("select fact from facts where organisation = 'societe-generale'")}
    assert all(row["source_urls"].startswith("http") for row in rows)


def test_cohort_page_sorts_and_says_what_is_not_there(server: str):
    address = f"{server}/twittosphere/cohorts/cac-40-2012-03"
    names = lambda text: re.findall(r'<th scope="row"[^>]*><a href="/twittosphere/organisations/([a-z0-9-]+)"', text)  # noqa: E731
    plain, sorted_by_opening = (get(address + query)[2].decode() for query in ("", "?_sort=opened"))
    assert len(names(plain)) == 40 and sorted(names(plain)) == sorted(names(sorted_by_opening)) and names(plain) != names(sorted_by_opening)
    assert names(sorted_by_opening)[0] == "capgemini" and "Not looked for" in plain
    assert get(address + "?_sort=nothing")[0] == 200


def test_what_is_not_known_counts_the_rows(db: sqlite3.Connection, server: str):
    text = get(f"{server}/what-is-not-known")[2].decode()
    shown = {title: re.findall(r'<th scope="row">(.*?)</th>((?:<td class="n">[^<]*</td>)+)', part) for title, part in re.findall(r'<h2 id="([a-z-]+)">(.*?)(?=<h2|</main>)', text, re.S)}
    numbers = lambda cells: [int(number.replace(",", "")) for number in re.findall(r">([\d,]+)<", cells)]  # noqa: E731
    years = {re.sub("<.*?>", "", head): numbers(cells) for head, cells in shown["coverage-by-year"]}
    assert years["2009"][:4] == [db.execute(f"select count(*) from facts where year = 2009 and [table] = '{table}'").fetchone()[0] for table in ("accounts", "events", "uses", "figures")]
    assert sum(sum(row[:4]) for row in years.values()) == db.execute("select count(*) from facts").fetchone()[0]
    assert sum(numbers(cells)[0] for _, cells in shown["coverage-by-country"]) == db.execute("select count(*) from organisations").fetchone()[0]
    types = {re.sub("<.*?>", "", head): numbers(cells) for head, cells in shown["coverage-by-type"]}
    assert types["Events: Crisis"][:2] == list(db.execute("select count(*), count(distinct organisation) from events where type = 'crisis'").fetchone())
    assert len(shown["coverage-by-cohort"]) == db.execute("select count(distinct cohort) from cohort_members").fetchone()[0] and len(shown["coverage-by-column"]) > 30
    for gap in db.execute("select title from gaps"):
        assert gap[0] in html.unescape(text)


def test_fact_says_when_it_was_read_again(db: sqlite3.Connection, server: str):
    for condition, said in (("checked is not null", True), ("checked is null", False)):
        fact = db.execute(f"select fact from facts where [table] = 'events' and {condition} order by fact").fetchone()[0]
        assert ("Relu face à une de ses sources le" in get(f"{server}/fr/twittosphere/{fact}")[2].decode()) == said


def test_feed_holds_what_was_added_last(db: sqlite3.Connection, server: str):
    text = get(f"{server}/fr/feed.atom")[2].decode()
    newest = db.execute("select max(added) from facts").fetchone()[0]
    assert text.count("<entry>") == 100 and f"<updated>{newest}T00:00:00Z</updated>" in text and 'xml:lang="fr"' in text and "/fr/twittosphere/" in text


def test_structured_data_is_a_dataset(server: str):
    text = get(server + "/")[2].decode()
    data = json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', text, re.S)[1])
    assert data["@type"] == "Dataset" and data["distribution"][0]["contentUrl"].endswith("/twittosphere.db")
    assert 50 <= len(data["description"]) <= 5000 and re.fullmatch(r"\d{4}-\d\d-\d\d", data["dateModified"]) and {"name", "license", "creator", "keywords", "temporalCoverage", "version"} <= set(data)


def test_sitemaps_list_every_row_in_both_languages(db: sqlite3.Connection, server: str):
    index = re.findall(r"<sitemap><loc>(.*?)</loc>", get(server + "/sitemap.xml")[2].decode())
    found = [address for part in index for address in re.findall(r"<url><loc>(.*?)</loc>", get(part)[2].decode())]
    rows = {f"/twittosphere/{table}/{id}" for table in ("organisations", "accounts", "events", "uses", "figures", "cohorts", "sources") for id, in db.execute(f"select id from {table}")}
    assert {f"{server}{prefix}{row}" for row in rows for prefix in ("", "/fr")} <= set(found) and len(found) == len(set(found)) < 2 * len(rows) + 100
    assert f"{server}/fr/twittosphere/who-left" in found and get(f"{server}/sitemap-events-999999.xml")[0] == 404


def test_a_small_query_that_is_stopped_is_no_fault_of_the_server():
    answer = runpy.run_path(str(ROOT / "plugins" / "errors.py"))["handle_exception"](None, Request.fake("/twittosphere/events.json"), QueryInterrupted(sqlite3.OperationalError("interrupted"), "", None))
    assert answer.status == 400 and json.loads(answer.body)["title"] == "SQL Interrupted"


def test_names_like_one_that_is_not_there_are_offered(server: str):
    text = get(f"{server}/twittosphere/events/comcast-2008-service-lunched")[2].decode()
    assert 'href="/twittosphere/events/comcast-2008-service-launched"' in text


REWRITTEN = runpy.run_path(str(ROOT / "plugins" / "queries.py"))["rewritten"]
MATCH = "rowid in (select rowid from {0}_fts where {0}_fts match escape_fts(:search))"


@pytest.mark.parametrize("sql", [
    f"select title, id from search where {MATCH.format('search')} order by place limit 51",
    f"select title, id from search where \"found_in\" = :p0 and {MATCH.format('search')} order by place limit 51",
    f"select count(*) from events where {MATCH.format('events')} ",
    """
    with inner as (select id, cohorts from timeline where country = 'FR'),
    deduped_array_items as (
        select
            distinct j.value,
            inner.*
        from
            json_each([inner].cohorts) j
            join inner
    )
    select
        value as value,
        count(*) as count
    from
        deduped_array_items
    group by
        value
    order by
        count(*) desc, value limit 9
    """,
], ids=["search", "filtered search", "count", "lists"])
def test_rewritten_queries_give_the_same_rows(db: sqlite3.Connection, sql: str):
    db.create_function("escape_fts", 1, lambda text: f'"{text}"')
    assert REWRITTEN(sql) != sql
    found = [tuple(row) for row in db.execute(REWRITTEN(sql), {"search": "orange", "p0": "events"})]
    assert found and found == [tuple(row) for row in db.execute(sql, {"search": "orange", "p0": "events"})]


@pytest.mark.parametrize(("table", "order"), [("facts", "_sort_desc=added"), ("events", "_sort_desc=date"), ("events", "_sort=year&country=FR"), ("accounts", "_sort=opened"), ("accounts", "_sort_desc=opened&role=brand"), ("sources", "_sort_desc=published"), ("timeline", "_sort_desc=date&type=left"), ("figures", "_sort=value")])
def test_later_pages_hold_the_same_rows(db: sqlite3.Connection, server: str, table: str, order: str):
    page, pages = get_json(f"{server}/twittosphere/{table}.json?_shape=arrays&_size=100&_nofacet=1&{order}"), 0
    while page["next_url"]:
        page = get_json(page["next_url"])
        sql, params = page["query"]["sql"], page["query"]["params"]
        assert REWRITTEN(sql) != sql
        assert list(map(tuple, db.execute(REWRITTEN(sql), params)))[:100] == list(map(tuple, db.execute(sql, params)))[:100] == list(map(tuple, page["rows"])), sql
        pages += 1
    assert pages


def test_own_conditions_are_not_taken_apart():
    for condition in ("id = 1 or id = 2", "id in (select id from uses union select id from events)"):
        sql = f"select id from events where {condition} and (date > :p1 or (date = :p1 and ((id > :p0)))) order by date, id limit 101"
        assert REWRITTEN(sql) == sql


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if not re.search(r":\w", query["sql"])])
def test_answers_of_the_build_are_those_of_the_questions(db: sqlite3.Connection, server: str, name: str):
    rows = [list(row) for row in db.execute(QUERIES[name]["sql"])]
    shown = get_json(f"{server}/twittosphere/{name}.json?_shape=arrays")
    assert shown["rows"] == rows[:2000] and shown["columns"] == [column[0] for column in db.execute(QUERIES[name]["sql"]).description]
