"""What a hostile visitor gets, and what the others notice of it; the database as a file."""

import gzip
import http.client
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import SMALL
from servers import ROOT, Server, free_port, lay_out

ENDLESS = "with recursive a(n) as (select 1 union all select n + 1 from a) select count(*) from a"
GROWING = "with recursive a(s) as (select 'x' union all select s || s from a limit 40) select max(length(s)) from a"
REFUSED = [
    "select length(zeroblob(999999000))", "select hex(randomblob(1e8))", "select printf('%.*c', 1000000000, 'x')", "select format('%1000000000d', 1)", "select printf('%.1000000f', 1)",
    GROWING, "select replace(replace(replace(hex(hex(hex(hex(1)))), '3', hex('xxxxxxxxxxxxxxxxxxxxxxxx')), '7', hex(title || title || title)), '8', printf('%999d', 1)) from events join events b",
    "select group_concat(a.title) from events a, events b", "select json_group_array(a.summary) from events a, facts b",
    "select hex(fts3_tokenizer('simple'))", "select load_extension('x')", "select sqlite_source_id()", "select sqlite_compileoption_get(1)",
    "select file from pragma_database_list()", "select * from pragma_compile_options", "select * from pragma_function_list", "select * from sqlite_stmt", "select * from dbstat", "select data from sqlite_dbpage",
    "attach 'x.db' as x", "pragma database_list", "pragma hard_heap_limit = 0", "delete from events", "with a as (select 1) delete from events", "select 1; select 2", "vacuum into 'x.db'",
    "select " + "1+" * 200 + "1", "select " + ", ".join(["1"] * 300), " union all ".join(["select 1"] * 30), "select '" + "x" * 7000 + "' like '" + "%x" * 200 + "'",
]


def fetch(address: str, method: str = "GET", headers: dict[str, str] = {}) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Fetch an address and return (status, headers, body), for refusals too."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method, headers=headers), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def asking(server: str, sql: str) -> str:
    """Return the address of the JSON answer to a query."""
    return f"{server}/twittosphere.json?{urllib.parse.urlencode({'sql': sql, '_shape': 'array'})}"


def memory(process: subprocess.Popen) -> int:
    """Return the megabytes of memory that a process holds at the most."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def processor(process: subprocess.Popen) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.fixture(scope="module")
def guarded(site: Path, tmp_path_factory: pytest.TempPathFactory):
    """A server of its own, to be tormented: (address, process, directory)."""
    directory = lay_out(tmp_path_factory.mktemp("guarded"))
    for name in ("twittosphere.db", "twittosphere.db.gz", "inspect-data.json"):
        shutil.copy(site / name, directory)
    with Server(directory) as server:
        yield server.address, server.process, directory


# --- SQL -----------------------------------------------------------------------


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_sql_that_asks_too_much_is_refused(guarded, sql: str):
    address, process, directory = guarded
    status, _, body = fetch(asking(address, sql))
    assert status == 400, body[:300]
    assert str(directory).encode() not in body and b"site-packages" not in body
    assert memory(process) < 200


def test_an_endless_query_ends(guarded):
    start = time.monotonic()
    status, _, body = fetch(asking(guarded[0], ENDLESS))
    assert status == 400 and b"Interrupted" in body and time.monotonic() - start < 5


def test_a_long_result_is_refused_before_it_is_in_memory(guarded):
    status, _, body = fetch(asking(guarded[0], "select (select group_concat(title) from events) from facts"))
    assert status == 400 and b"longer than" in body
    assert memory(guarded[1]) < 200


@pytest.mark.parametrize(("sql", "answer"), [
    ("select printf('%.2f %5s|%-4d|', 3.14159, 'ab', 7)", "3.14    ab|7   |"),
    ("select format('%,d', 1234567)", "1,234,567"),
    ("select json_group_array(n) from (with recursive a(n) as (select 1 union all select n + 1 from a where n < 4) select n from a)", "[1,2,3,4]"),
    ("select count(*) from search_fts where search_fts match 'comcast'", None),
])
def test_ordinary_sql_is_answered(guarded, sql: str, answer: str | None):
    status, _, body = fetch(asking(guarded[0], sql))
    value = next(iter(json.loads(body)[0].values()))
    assert status == 200 and (value == answer if answer else value > 10)


# --- addresses -------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [
    ("/twittosphere/events?" + "&".join(["_facet=type"] * 7), 400), ("/twittosphere/events?" + "&".join(f"x{n}=1" for n in range(101)), 400), ("/twittosphere/events?title__contains=" + "x" * 9000, 414),
    ("/-/databases.json", 404), ("/-/settings", 404), ("/-/threads.json", 404), ("/-/metadata.json", 404), ("/-/plugins.json", 404), ("/-/actor.json", 404), ("/-/permissions", 404),
    ("/static/../twittosphere.db", 404), ("/-/static/..%2f..%2fapp.py", 404), ("/twittosphere/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404), ("/%00", 404),
    ("/twittosphere/events?_next=x%0d%0aset-cookie:a=b", 200), ("/twittosphere/events?_size=501", 400), ("/twittosphere/events?_size=max", 400), ("/twittosphere/events.json?_size=max", 200), ("/twittosphere/events.json?_size=999999", 400), ("/twittosphere/events?_sort=nothing", 400), ("/twittosphere/events?_where=1;drop", 400),
])
def test_addresses_that_ask_too_much(guarded, path: str, status: int):
    found, headers, body = fetch(guarded[0] + path)
    assert found == status, body[:200]
    assert b"Traceback" not in body and b"site-packages" not in body and "set-cookie" not in headers


def test_nothing_can_be_written(guarded):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert fetch(f"{guarded[0]}/twittosphere", method)[0] == 405


# --- others, while somebody is hostile ---------------------------------------------


def test_readers_do_not_wait_for_eight_endless_queries(guarded):
    address, process, _ = guarded
    hostile = [threading.Thread(target=fetch, args=(asking(address, ENDLESS + f" where n > {n}"),)) for n in range(8)]
    for thread in hostile:
        thread.start()
    times = []
    while any(thread.is_alive() for thread in hostile):
        start = time.monotonic()
        assert fetch(f"{address}/twittosphere/organisations/orange")[0] == 200
        times.append(time.monotonic() - start)
    times.sort()
    assert len(times) > 20 and times[int(len(times) * 0.95)] < 1
    assert memory(process) < 200


def test_work_stops_when_the_visitor_leaves(guarded):
    address, process, _ = guarded
    with socket.create_connection(address.removeprefix("http://").split(":")) as left:
        left.sendall(f"GET {asking('', ENDLESS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(0.5)
    time.sleep(0.2)
    before = processor(process)
    time.sleep(1)
    assert processor(process) - before < 0.2


@pytest.mark.parametrize("busy", ["an endless query", "a reader that does not read"])
def test_a_stop_signal_ends_the_server(site: Path, busy: str):
    path = asking("", ENDLESS) if busy == "an endless query" else "/twittosphere/facts.csv?_stream=on"
    with Server(site) as server:
        address, process = server.address, server.process
        with socket.create_connection(address.removeprefix("http://").split(":")) as visitor:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(0.5)
            start = time.monotonic()
            process.terminate()
            process.wait(10)
            assert time.monotonic() - start < 3


# --- headers --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/fr/", "/twittosphere", "/twittosphere/events", "/twittosphere/events.json", "/twittosphere/events.csv?_size=5", "/twittosphere/organisations/orange", "/twittosphere?sql=select+1", "/charts/adoption.svg",
                                  "/static/twittosphere.css", "/-/static/app.css", "/twittosphere.db", "/nothing-here", "/twittosphere/events?_sort=nothing", "/twittosphere/events?title__contains=" + "x" * 9000])
def test_headers(server: str, path: str):
    _, headers, _ = fetch(server + path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] and headers["permissions-policy"]
    kind = headers["content-type"].split(";")[0]
    assert kind != "text/html" or "connect-src 'self'" in policy  # by which Lighthouse reads robots.txt
    assert (headers["access-control-allow-origin"] == "*") == (kind in ("application/json", "text/csv"))


# --- the file ----------------------------------------------------------------------


def test_download_has_a_length_and_a_digest_and_resumes(guarded):
    address, _, directory = guarded
    whole = (directory / "twittosphere.db").read_bytes()
    status, headers, body = fetch(f"{address}/twittosphere.db", "HEAD")
    assert status == 200 and body == b"" and int(headers["content-length"]) == len(whole) and headers["accept-ranges"] == "bytes"
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    connection.request("GET", "/twittosphere.db")
    first = connection.getresponse().read(len(whole) // 3)
    connection.close()  # cut in the middle
    status, part, rest = fetch(f"{address}/twittosphere.db", headers={"Range": f"bytes={len(first)}-", "If-Range": headers["etag"]})
    assert status == 206 and part["content-range"] == f"bytes {len(first)}-{len(whole) - 1}/{len(whole)}"
    assert first + rest == whole
    assert fetch(f"{address}/twittosphere.db", headers={"Range": "bytes=5-", "If-Range": '"another"'})[0] == 200, "another version is sent whole"
    assert fetch(f"{address}/twittosphere.db", headers={"Range": f"bytes={len(whole)}-"})[0] == 416
    assert fetch(f"{address}/twittosphere.db", headers={"If-None-Match": headers["etag"]})[0] == 304


def test_compressed_download(guarded):
    address, _, directory = guarded
    status, headers, body = fetch(f"{address}/twittosphere.db.gz")
    assert status == 200 and "content-encoding" not in headers and len(body) == int(headers["content-length"]) < (directory / "twittosphere.db").stat().st_size / 2
    assert gzip.decompress(body) == (directory / "twittosphere.db").read_bytes()
    assert b"twittosphere.db.gz" in fetch(address + "/")[2]


def test_a_database_replaced_under_a_running_server_is_not_mixed_with_it(site: Path, small: Path, tmp_path: Path):
    directory = lay_out(tmp_path / "site")
    for name in ("twittosphere.db", "inspect-data.json"):
        shutil.copy(site / name, directory)
    with Server(directory) as server:
        address = server.address
        counts = lambda: {json.loads(fetch(asking(address, "select count(*) as n from organisations"))[2])[0]["n"] for _ in range(20)}  # noqa: E731
        before, whole = counts(), (directory / "twittosphere.db").read_bytes()
        subprocess.run([sys.executable, ROOT / "build_db.py", "--data", small, "--out", directory / "twittosphere.db"], check=True, stdout=subprocess.DEVNULL)
        assert counts() == before and fetch(f"{address}/twittosphere.db")[2] == whole, "the former version is served until the server is started again"
        assert fetch(f"{address}/twittosphere/organisations/orange-business")[0] == fetch(f"{address}/fr/twittosphere/organisations/orange-business")[0]
    with Server(directory) as server:
        address = server.address
        assert counts() == {SMALL["organisations"].count("\n") - 1}
        copy = tmp_path / "copy.db"
        copy.write_bytes(fetch(f"{address}/twittosphere.db")[2])
        assert sqlite3.connect(copy).execute("select count(*) from organisations").fetchone()[0] in counts()


def test_addresses_of_a_version_may_be_kept_for_good(guarded, site: Path):
    address, _, _ = guarded
    digest = sqlite3.connect(site / "twittosphere.db").execute("select value from _package where key = 'digest'").fetchone()[0]
    assert f"twittosphere-{digest[:7]}/" in fetch(f"{address}/")[2].decode()
    for path in ("/events/comcast-2008-service-launched?x=%C3%A9", "/uses.json?_size=2&type=recruitment", "/events.csv?_size=3", "", ".db"):
        plain = fetch(f"{address}/twittosphere{path}")
        for prefix in (digest[:7], digest[:20], digest):
            status, headers, body = fetch(f"{address}/twittosphere-{prefix}{path}")
            assert status == plain[0] == 200 and headers["cache-control"] == "public, max-age=31536000, immutable" != plain[1]["cache-control"]
            assert body == plain[2] or path.startswith("/uses.json"), "its query_ms differs"
    french = fetch(f"{address}/fr/twittosphere-{digest[:7]}/events/comcast-2008-service-launched")
    assert french[2] == fetch(f"{address}/fr/twittosphere/events/comcast-2008-service-launched")[2] and french[1]["content-language"] == "fr"
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    for path, lead in (("/twittosphere-0123456/events?type=crisis", "/twittosphere/events?type=crisis"), ("/fr/twittosphere-0123456", "/fr/twittosphere"), ("/twittosphere-0123456//evil.example", "/twittosphere//evil.example")):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["location"]) == (302, lead)
    for path in (f"/twittosphere-{digest[:6]}/events", f"/twittosphere-{digest[:7]}/events/none", f"/twittosphere-{digest[:7]}x/events"):
        status, headers, _ = fetch(address + path)
        assert status == 404 and "immutable" not in headers.get("cache-control", "")


@pytest.mark.parametrize("fault", ["cut short", "another program's", "another version's", "not a database", "missing"])
def test_what_is_not_our_database_is_refused_at_the_start(site: Path, tmp_path: Path, fault: str):
    lay_out(tmp_path)
    database = tmp_path / "twittosphere.db"
    if fault == "cut short":
        database.write_bytes((site / "twittosphere.db").read_bytes()[:1_000_000])
    elif fault == "another program's":
        sqlite3.connect(database).execute("create table events (id)")
    elif fault == "another version's":
        shutil.copy(site / "twittosphere.db", database)
        with sqlite3.connect(database) as db:
            db.execute("delete from _package where key = 'keywords'")
    elif fault == "not a database":
        database.write_text("id,title\n")
    finished = subprocess.run([sys.executable, "-m", "datasette", ".", "--port", str(free_port())], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 1 and "twittosphere.db cannot be served" in finished.stderr and "build_db.py" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_visitor_who_does_not_read_is_cut_off(site: Path, tmp_path: Path):
    metadata = (ROOT / "metadata.yml").read_text(encoding="utf-8")
    (tmp_path / "metadata.yml").write_text(metadata.replace("\nplugins:\n", "\nplugins:\n  guard: {stall: 1}\n"), encoding="utf-8")
    with Server(lay_out(tmp_path, site)) as server, socket.create_connection(server.address.removeprefix("http://").split(":")) as visitor:
        visitor.sendall(b"GET /twittosphere.db HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3)
        received = 0
        visitor.settimeout(5)
        try:
            while part := visitor.recv(1 << 20):
                received += len(part)
        except ConnectionResetError:
            pass
        assert 0 < received < (site / "twittosphere.db").stat().st_size, "the rest was not sent"
        start = time.monotonic()
        rows = fetch(f"{server.address}/twittosphere/facts.csv?_stream=on")[2].count(b"\n")
        assert rows > 5000 and time.monotonic() - start < 30, "who reads is served to the end"


def test_a_stream_that_takes_too_much_work_breaks_off(site: Path, tmp_path: Path):
    metadata = (ROOT / "metadata.yml").read_text(encoding="utf-8")
    (tmp_path / "metadata.yml").write_text(metadata.replace("\nplugins:\n", "\nplugins:\n  guard: {work: 0.05, stall: 2}\n"), encoding="utf-8")
    with Server(lay_out(tmp_path, site)) as server:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):  # not a short file that looks whole
            fetch(f"{server.address}/twittosphere/citations.csv?_stream=on&_sort=locator")
        assert fetch(f"{server.address}/twittosphere/event_types.csv?_stream=on")[0] == 200, "the others go on"


def test_who_asks_for_little_is_served_while_another_uses_up_the_memory(site: Path, tmp_path: Path):
    metadata = (ROOT / "metadata.yml").read_text(encoding="utf-8")
    (tmp_path / "metadata.yml").write_text(metadata.replace("\nplugins:\n", "\nplugins:\n  guard: {heap: 24000000}\n"), encoding="utf-8")
    greedy = "select snippet(search_fts, -1, '<b>', '</b>', '…', 64), highlight(search_fts, 0, '<b>', '</b>') from search_fts where search_fts match 'a* OR e* OR o*' order by random()"
    with Server(lay_out(tmp_path, site)) as server, ThreadPoolExecutor(2) as pool:
        over = threading.Event()

        def ask_much() -> Counter:
            found = Counter()
            while not over.is_set():
                found[fetch(asking(server.address, greedy))[0]] += 1
            return found

        others = [pool.submit(ask_much) for _ in range(2)]
        pages = ("/", "/twittosphere/events", "/twittosphere/timeline?country=FR", "/twittosphere/organisations/orange", "/twittosphere/panorama", "/twittosphere/search?_search=orange")
        statuses = Counter(fetch(f"{server.address}{page}{'&' if '?' in page else '?'}_anew={number}")[0] for number in range(15) for page in pages)
        over.set()
        assert statuses == {200: 90}, "an ordinary page does not pay for another visitor's question"
        assert sum((other.result() for other in others), Counter()).keys() <= {200, 400, 503}


def test_hostile_words_in_the_data_stay_words(small: Path, tmp_path: Path, browser):
    words = "<script>document.title=1</script>{{7*7}}<img src=x onerror=document.title=1>"
    for table, old in (("events", "Comcast opens a help desk"), ("organisations", "Orange Business"), ("sources", "A help desk"), ("uses", "Orange answers customers")):
        path = small / f"{table}.csv"
        path.write_text(path.read_text(encoding="utf-8").replace(old, words, 1), encoding="utf-8")
    directory = lay_out(tmp_path / "site")
    subprocess.run([sys.executable, ROOT / "build_db.py", "--data", small, "--out", directory / "twittosphere.db"], check=True, stdout=subprocess.DEVNULL)
    with Server(directory) as server:
        address = server.address
        page = browser.new_page()
        for path in ("twittosphere/events", "twittosphere/events/comcast-2008-service-launched", "twittosphere/organisations/orange-business", "twittosphere/organisations/comcast", "twittosphere/sources/blog-2008", "twittosphere/timeline",
                     "twittosphere/search?_search=help", "twittosphere/all-about?organisation=comcast", "twittosphere?sql=select+title,+'javascript:document.title=1'+as+url+from+events", "fr/twittosphere/uses", "feed.atom"):
            body = fetch(f"{address}/{path}")[2].decode()
            assert "<script>document" not in body and "<img src=x" not in body and 'href="javascript' not in body, path
            if path != "feed.atom":
                page.goto(f"{address}/{path}")
                assert page.title() != "1" and "49" not in page.title(), path
        page.close()


def test_addresses_in_the_data_are_of_the_web(small: Path):
    path = small / "sources.csv"
    for bad in ("javascript:alert(1)", "data:text/html,x", "//evil.example"):
        path.write_text(SMALL["sources"].replace("https://journal.example/twitter", f'"{bad}"'), encoding="utf-8")
        finished = subprocess.run([sys.executable, ROOT / "build_db.py", "--data", small, "--check"], capture_output=True, text=True)
        assert finished.returncode == 1 and "is not a web address" in finished.stderr


def test_pages_are_kept_for_everybody_but_not_across_hosts(guarded):
    address = guarded[0]
    path = f"{address}/twittosphere/organisations?_size=7"
    first, again = fetch(path), fetch(path)
    assert first[0] == again[0] == 200 and first[2] == again[2] and again[1]["content-security-policy"] == first[1]["content-security-policy"]
    other = fetch(path, headers={"Host": "other.example"})[2]
    assert b"other.example" in other and b"other.example" not in fetch(path)[2]
    assert fetch(path, "HEAD")[2] == b"" and fetch(path.replace("/twittosphere/", "/fr/twittosphere/"))[2] != first[2]


def test_a_page_shows_five_hundred_rows_and_says_so(guarded):
    address = guarded[0]
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"
    ask = lambda count, form="": urllib.request.urlopen(f"{address}/twittosphere{form}?" + urllib.parse.urlencode({"sql": numbers.format(count)})).read().decode()  # noqa: E731
    assert ask(600).count("<tr>") == 501 and "The first 500 rows" in ask(600)
    assert ask(500).count("<tr>") == 501 and "500 rows" in ask(500) and "The first" not in ask(500)
    assert len(json.loads(ask(600, ".json"))["rows"]) == 600 and ask(600, ".csv").count("\n") == 601


def test_pages_that_were_cut_short_are_not_kept(site: Path, tmp_path: Path):
    (tmp_path / "settings.json").write_text(json.dumps(json.loads((ROOT / "settings.json").read_text(encoding="utf-8")) | {"facet_time_limit_ms": 1}))
    with Server(lay_out(tmp_path, site)) as server:
        path = f"{server.address}/twittosphere/facts.json?_size=1&_facet=title&_facet=summary"
        assert "title" not in json.loads(fetch(path)[2])["facet_results"]
        took = [json.loads(fetch(path)[2])["query_ms"] for _ in range(5)]
        assert len(set(took)) == 5, "made anew each time"


@pytest.mark.parametrize("others", [[f"/twittosphere/facts?_size=100&year__gt={year}" for year in range(2007, 2017)], [f"/twittosphere/event_types.json?_size=0&x={number}{'y' * 7800}" for number in range(50)]], ids=["long pages", "small answers at long addresses"])
def test_kept_pages_do_not_fill_the_memory(site: Path, tmp_path: Path, others: list[str]):
    (tmp_path / "metadata.yml").write_text((ROOT / "metadata.yml").read_text(encoding="utf-8").replace("\nplugins:\n", "\nplugins:\n  kept: {bytes: 300000}\n"), encoding="utf-8")
    with Server(lay_out(tmp_path, site)) as server:
        took = lambda: json.loads(fetch(f"{server.address}/twittosphere/facts.json?_size=1")[2])["query_ms"]  # noqa: E731
        first = took()
        assert took() == first, "kept"
        for path in others:
            assert fetch(server.address + path)[0] == 200
        assert took() != first, "gone, as the later ones took its place"
