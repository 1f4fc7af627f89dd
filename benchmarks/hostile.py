"""Attack a running site in every way we know, alone and eight at a time, while a reader asks for ordinary pages.

    python benchmarks/hostile.py [--site DIR] [--seconds N]

Prints for each attack the statuses that it got, the reader's p95 and worst wait in milliseconds and the server's
memory in megabytes; then the same for eight at a time, for requests made at random, and for the reader alone. Exit status 1 if the server
answered with 500 or more (but 503, which asks to wait), crashed, showed a path or an address of memory, or went
beyond the bounds: 200 MB; p95 of 250 ms, or of 1,000 ms with eight at a time.
"""

import argparse
import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from results import recorded
from serve import a_row, get
from servers import ROOT, Server, build, lay_out

READS = ["/", "/twittosphere/events", "/twittosphere/timeline?country=FR", "/twittosphere/search?_search=orange", "/fr/twittosphere/uses?type=recruitment", "/twittosphere/who-left", "/twittosphere/events.json"]
LEAK = re.compile(rb"site-packages|Traceback|0x[0-9a-f]{8,}|" + b"|".join(re.escape(str(path).encode()) for path in (ROOT, sys.prefix)))
ENOUGH = 30_000_000  # bytes of an answer, after which its reader leaves
RANDOM = 30  # requests of each page at random, beside those that try each parameter in turn
BOUNDS = {"memory": 200, "alone": 250, "eight": 1000}

SQL = {
    "zeroblob": "select zeroblob(999999000)", "hex of zeroblob": "select hex(zeroblob(490000000))", "twenty zeroblobs": "select " + ", ".join(["zeroblob(100000000)"] * 20),
    "randomblob": "select length(hex(randomblob(1000000000)))", "printf with width": "select printf('%.*c', 1000000000, 'x')", "format with width": "select format('%999999999d', 1)", "printf with precision": "select printf('%.999999999f', 1)",
    "doubled text": "with recursive a(s) as (select 'x' union all select s || s from a limit 40) select length(s) from a", "replace growth": "select length(replace(replace(replace(hex(hex(hex(hex(title)))), '3', 'xxxxxxxxxxxxxxxxxxxx'), 'x', 'yyyyyyyyyyyyyyyyyyyy'), 'y', 'zzzzzzzzzzzzzzzzzz')) from events",
    "long rows": "select (select group_concat(title) from events) from facts", "many long cells": "select " + ", ".join(["(select group_concat(title) from events)"] * 40) + " from facts", "group_concat of a join": "select group_concat(a.title || b.title) from events a, events b",
    "JSON array of a join": "select json_group_array(a.summary) from events a, facts b", "JSON object of a join": "select json_group_object(a.id, b.fact) from events a, facts b", "deep JSON": "select json('" + "[" * 900 + "]" * 900 + "')", "json_each of itself": "select count(*) from json_each((select json_group_array(fact) from facts)) a, json_each((select json_group_array(fact) from facts)) b",
    "endless CTE": "with recursive a(n) as (select 1 union all select n + 1 from a) select count(*) from a", "endless distinct CTE": "with recursive a(n) as (select 1 union select n + 1 from a) select count(*) from a", "endless CTE of rows": "with recursive a(n) as (select 1 union all select n + 1 from a) select n from a order by n desc",
    "cross join": "select count(*) from facts a, facts b, facts c", "sorted cross join": "select a.fact, b.fact from facts a, facts b order by random()", "grouped cross join": "select a.fact || b.fact, count(*) from facts a, facts b group by 1", "distinct cross join": "select count(distinct a.title || b.title) from facts a, facts b",
    "window frames": "select sum(length(a.title)) over (order by a.fact, b.fact rows between 100000 preceding and 100000 following) from facts a, facts b", "window of all": "select max(title) over (order by fact groups between unbounded preceding and unbounded following) from facts, events",
    "LIKE with wildcards": "select count(*) from facts where title || summary like '" + "%a" * 90 + "%'", "GLOB with wildcards": "select count(*) from facts a, facts b where a.title || b.title glob '" + "*a" * 60 + "*'", "instr": "select instr(substr(hex((select group_concat(title) from events)), 1, 200000), substr(hex((select group_concat(title) from events)), 100, 100000) || 'x') from facts",
    "deep expression": "select " + "(" * 300 + "1" + ")" * 300, "long sum": "select " + "1+" * 3000 + "1", "many columns": "select " + ",".join(["1"] * 1500), "many selects": " union all ".join(["select 1"] * 300), "many parameters": "select " + ",".join(f":p{n}" for n in range(300)),
    "attach": "attach ':memory:' as a", "pragma": "pragma database_list", "pragma function": "select file from pragma_database_list()", "compile options": "select * from pragma_compile_options", "heap limit off": "select * from pragma_hard_heap_limit(0)",
    "delete": "with a as (select 1) delete from events", "tokenizer pointer": "select hex(fts3_tokenizer('simple'))", "other statements": "select sql from sqlite_stmt", "raw pages": "select hex(data) from sqlite_dbpage", "dbstat": "select * from dbstat", "load extension": "select load_extension('/tmp/x.so')",
    "two statements": "select 1; drop table events", "comment and semicolon": "select 1 /* ; */ -- ;", "FTS of everything": "select count(*) from search_fts a, search_fts b where a.search_fts match 'a* OR e* OR t*' and b.search_fts match 'a* OR e* OR t*'", "FTS snippets": "select snippet(search_fts, -1, '<b>', '</b>', '…', 64), highlight(search_fts, 0, '<b>', '</b>') from search_fts where search_fts match 'a* OR e* OR o*'",
    "sum over char": "select length(group_concat(char(65, 66, 67, 68))) from facts a, facts b", "quote of blobs": "select quote(cast(group_concat(title) as blob)) from events, events b",
}
ADDRESSES = {
    "500 facets": "/twittosphere/events?" + "&".join(["_facet=type"] * 500), "facets of every column": "/twittosphere/facts?" + "&".join(f"_facet={name}" for name in ("fact", "id", "title", "summary", "date", "organisation")), "array facets": "/twittosphere/timeline?_facet_array=cohorts&_facet_array=title&_facet_array=id&_size=max", "date facets": "/twittosphere/events?_facet_date=date&_facet_date=added&_facet_date=checked",
    "2000 filters": "/twittosphere/events?" + "&".join(f"type__not={n}" for n in range(2000)), "long filter": "/twittosphere/events?title__contains=" + "x" * 60_000, "contains": "/twittosphere/search?summary__contains=a&text__contains=e&_size=max", "like": "/twittosphere/facts?title__like=" + "%25a" * 60, "where cross join": "/twittosphere/events?_where=id in (select a.fact from facts a, facts b, facts c)".replace(" ", "+"),
    "biggest page": "/twittosphere/facts?_size=max", "biggest JSON": "/twittosphere/facts.json?_size=max&_labels=on&_shape=objects", "CSV of everything": "/twittosphere/facts.csv?_stream=on", "sorted CSV of everything": "/twittosphere/facts.csv?_stream=on&_sort=summary", "labelled CSV": "/twittosphere/citations.csv?_stream=on&_labels=on", "deep page": "/twittosphere/facts?_next=2008-01-01%2Cz&_sort=date",
    "common words": "/twittosphere/search?_search=a+e+o+i+the+twitter", "search operators": "/twittosphere/search?_search=a*+OR+b*&_searchmode=raw", "raw search": "/twittosphere/search?_search=" + "a*+OR+" * 500 + "b&_searchmode=raw",
    "path up": "/static/../../../../etc/passwd", "encoded path up": "/static/..%2f..%2f..%2fetc%2fpasswd", "path of tildes": "/twittosphere/~2E~2E~2F~2E~2E~2Fetc~2Fpasswd", "zero byte": "/twittosphere/events/%00", "header injection": "/twittosphere/events?_next=a%0d%0aSet-Cookie:%20a=b&_dl=a%0d%0ab", "redirect elsewhere": "//evil.example/%2f..", "filename injection": "/twittosphere/events.csv?_dl=%22%0d%0aX:%20y",
    "metadata": "/-/metadata.json", "databases": "/-/databases.json", "settings": "/-/settings.json", "threads": "/-/threads.json", "script in a parameter": "/twittosphere/who-opened-first?country=%3Cscript%3Ealert(1)%3C/script%3E", "template in a parameter": "/twittosphere/events?title__contains={{7*7}}{%25for+x+in+range(999999999)%25}", "bad numbers": "/twittosphere/events?year__gt=" + "9" * 400 + "&_size=-1", "unknown everything": "/twittosphere/none/none?_sort=x&_facet=y&_where=z",
    "many charts": "/charts/timeline.svg?" + "&".join(f"title__contains={n}" for n in range(90)), "sitemap": "/sitemap.xml", "sitemap of rows": "/sitemap-sources-0.xml", "rows that are not there": "/twittosphere/sources/a-2012-b", "download in parts": "/twittosphere.db",
}


def talk(port: int, data: bytes, seconds: float, read: int = 0, pause: float = 0.2) -> None:
    """Hold a connection: send data, then read so many bytes at a time with pauses, or nothing."""
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(1)
        end = time.monotonic() + seconds
        try:
            line.sendall(data)
            while time.monotonic() < end:
                if read and not line.recv(read):
                    return
                time.sleep(pause)
        except OSError:
            return


def several(count: int, work: Callable[[], None]) -> None:
    """Do work in so many threads and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


SOCKETS: dict[str, Callable[[int, float], None]] = {
    "reader that does not read": lambda port, seconds: several(8, lambda: talk(port, b"GET /twittosphere/facts.csv?_stream=on HTTP/1.1\r\nHost: x\r\n\r\n", seconds)),
    "reader that reads slowly": lambda port, seconds: several(8, lambda: talk(port, b"GET /twittosphere.db HTTP/1.1\r\nHost: x\r\n\r\n", seconds, 100)),
    "half-open connections": lambda port, seconds: several(200, lambda: talk(port, b"", seconds)),
    "half a request": lambda port, seconds: several(100, lambda: talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", seconds)),
    "huge headers": lambda port, seconds: several(8, lambda: talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"y" * 900) for n in range(2000)) + b"\r\n", seconds, 1000)),
    "huge body": lambda port, seconds: several(4, lambda: talk(port, b"POST /twittosphere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"z" * 20_000_000, seconds, 1000)),
    "not HTTP": lambda port, seconds: several(8, lambda: talk(port, os.urandom(5000), seconds, 1000)),
    "gone at once": lambda port, seconds: several(40, lambda: talk(port, f"GET /twittosphere?{urllib.parse.urlencode({'sql': SQL['cross join']})} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 0)),
}


class Watch:
    """A reader of ordinary pages and an eye on the server's memory, for a `with` block."""

    def __init__(self, server: Server) -> None:
        self.reads = [*READS, a_row(server.address, "organisations")]
        self.server, self.waits, self.refused, self.memory, self.over = server, [], [], 0, False

    def __enter__(self) -> "Watch":
        self.threads = [threading.Thread(target=self.read), threading.Thread(target=self.look)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        for thread in self.threads:
            thread.join()

    def read(self) -> None:
        for place in range(10**9):
            if self.over:
                return
            path = self.reads[place % len(self.reads)]
            try:
                self.waits.append(get(f"{self.server.address}{path}{'&' if '?' in path else '?'}_anew={place}")[0])  # never a page that was kept
            except OSError as error:
                self.refused.append(f"the reader of {path}: {error}")

    def look(self) -> None:
        while not self.over:
            status = Path(f"/proc/{self.server.process.pid}/status").read_text()
            self.memory = max(self.memory, int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024)
            time.sleep(0.02)

    def p95(self) -> float:
        return sorted(self.waits)[int(len(self.waits) * 0.95)] if self.waits else float("inf")


def ask(address: str, found: Counter) -> None:
    """Fetch an address and count its status, and whether the answer shows what it should not."""
    try:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                status, body = answer.status, answer.read(ENOUGH)
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        found[str(status)] += 1
        if not address.endswith(".db") and (leak := LEAK.search(body)):
            found[f"leak {leak[0].decode()}"] += 1
    except (OSError, http.client.HTTPException) as error:
        found[type(error).__name__] += 1


def attacks(server: Server) -> dict[str, Callable[[float, Counter], None]]:
    """Return every attack by name, as a function of the seconds that it may last and of what it found."""
    address, port = server.address, int(server.address.rsplit(":", 1)[1])
    made = {f"SQL: {name}": f"/twittosphere.json?{urllib.parse.urlencode({'sql': sql})}" for name, sql in SQL.items()} | {f"SQL as HTML: {name}": f"/twittosphere?{urllib.parse.urlencode({'sql': SQL[name]})}" for name in ("long rows", "endless CTE of rows", "FTS snippets")}
    made |= {f"address: {name}": path for name, path in ADDRESSES.items()}
    asked = {name: (lambda seconds, found, path=path: again(lambda: ask(address + urllib.parse.quote(path, safe="/?&=%+:,~"), found), seconds)) for name, path in made.items()}
    return asked | {f"connection: {name}": (lambda seconds, found, attack=attack: attack(port, seconds)) for name, attack in SOCKETS.items()}


def again(work: Callable[[], None], seconds: float) -> None:
    """Do work again and again for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        work()


def at_random(address: str, examples: int) -> tuple[int, int, str]:
    """Ask every page of openapi.json at random, so many times and in every way that it names; return how many were tried and passed, and everything that schemathesis said."""
    command = [shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "schemathesis", "--no-color", "run", f"{address}/openapi.json", "--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "1", "--workers", "2", "--generation-database", "none",
               "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"]
    with tempfile.TemporaryDirectory() as folder:  # where it leaves its notes
        said = subprocess.run(command, capture_output=True, text=True, cwd=folder).stdout
    counted = re.search(r"(\d+) generated, (\d+) passed", said)
    return (int(counted[1]), int(counted[2]), said) if counted else (0, 0, said)


def main(site: Path | None, seconds: float) -> int:
    """Run everything and return the exit status."""
    bad = []
    with tempfile.TemporaryDirectory() as name:
        folder = lay_out(Path(name), site)
        if not site:
            build(folder)
        with Server(folder) as server:
            every = attacks(server)

            def run(label: str, chosen: list[str], bound: float) -> None:
                found = Counter()
                with Watch(server) as watch:
                    threads = [threading.Thread(target=every[attack], args=(seconds, found)) for attack in chosen]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                    if not chosen:
                        time.sleep(seconds)
                faults = [key for key in found if key.startswith(("5", "leak")) and key != "503"]
                faults += watch.refused[:1]
                faults += ["crash"] if server.process.poll() is not None else []
                faults += [f"p95 {watch.p95():.0f} ms"] if watch.p95() > bound else []
                faults += [f"{watch.memory} MB"] if watch.memory > BOUNDS["memory"] else []
                bad.extend(faults)
                print(f"{label:44} {' '.join(f'{key}×{count}' for key, count in sorted(found.items())):34} p95 {watch.p95():5.0f} worst {max(watch.waits):6.0f} ms {watch.memory:4} MB {'  << ' + ', '.join(faults) if faults else ''}", flush=True)

            for path in Watch(server).reads:  # once from the disk, as a server that has run for a while has done
                get(server.address + path)
            run("nobody", [], BOUNDS["alone"])
            for attack in every:
                run(attack, [attack], BOUNDS["alone"])
            shuffled = random.Random(1).sample(list(every), len(every))
            for start in range(0, len(shuffled), 8):
                run(f"eight at a time, {start // 8 + 1}", shuffled[start:start + 8], BOUNDS["eight"])
            with Watch(server) as watch:
                tried, passed, said = at_random(server.address, RANDOM)
            wrong = [] if tried == passed > 0 else re.findall(r"^ *❌ (?!Coverage|Fuzzing|Examples)(.+)", said, re.MULTILINE) or ["nothing was tried"]
            bad.extend(wrong)
            print(f"at random from openapi.json: {tried} requests, {passed} passed; reader p95 {watch.p95():.0f} ms, {watch.memory} MB{'  << ' + ', '.join(wrong) if wrong else ''}", flush=True)
            run("nobody, afterwards", [], BOUNDS["alone"])
            print(f"{len(every)} attacks; {len(bad)} faults")
    return bool(bad)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, metavar="DIR", help="directory with a twittosphere.db to attack (default: the real data, built anew)")
    parser.add_argument("--seconds", type=float, default=3, metavar="N", help="how long each attack is repeated (default: 3)")
    options = parser.parse_args()
    with recorded():
        faulty = main(options.site and options.site.resolve(), options.seconds)
    sys.exit(faulty)
