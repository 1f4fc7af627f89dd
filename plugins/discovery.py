"""What search engines, catalogues, feed readers and assistants ask for: robots.txt, sitemap.xml, feed.atom, llms.txt, dcat.jsonld, datacite.json."""

from pathlib import Path

from xml.sax.saxutils import escape

from datasette import hookimpl
from datasette.utils.asgi import NotFound, Response

from build_db import DATABASE
from twittosphere.description import File, datacite, dcat, schema_org

SITEMAPS, ROWS = "http://www.sitemaps.org/schemas/sitemap/0.9", 10_000  # rows in one, in two languages; the protocol allows 50,000 addresses
PAGES = ["organisations", "accounts", "events", "uses", "figures", "cohorts", "sources"]


def origin(request) -> str:
    """Return the scheme and host that the visitor used."""
    return f"{request.scheme}://{request.host}"


async def robots(datasette, request) -> Response:
    """Keep crawlers out of combinations of facets, of SQL and of files."""
    rules = ["User-agent: *", "Allow: /*.csv$", "Allow: /*.csv?_stream=on$", "Disallow: /*?*", "Disallow: /*.json$", "Disallow: /-/", f"Sitemap: {origin(request)}{datasette.base_url}sitemap.xml"]
    return Response.text("\n".join(rules) + "\n")


async def sitemap(datasette, request) -> Response:
    """List the sitemaps: of the pages that are no rows, and of each table of facts, so many rows at a time."""
    names, execute = ["pages"], datasette.get_database(DATABASE).execute
    for table in PAGES:
        rows = (await execute(f"select max(rowid) from [{table}]")).single_value()
        names += [f"{table}-{part}" for part in range(-(-rows // ROWS))]
    parts = "".join(f"<sitemap><loc>{escape(origin(request) + datasette.base_url)}sitemap-{name}.xml</loc></sitemap>\n" for name in names)
    return xml(f'<sitemapindex xmlns="{SITEMAPS}">\n{parts}</sitemapindex>\n')


async def sitemap_of_pages(datasette, request) -> Response:
    """List the home page, the tables and the questions, in both languages."""
    return addresses(datasette, request, ["", "how-facts-are-coded", "what-is-not-known", DATABASE, *(f"{DATABASE}/{name}" for name in [*PAGES, "timeline", "panorama", "adoption", *queries(datasette)])])


async def sitemap_of_rows(datasette, request) -> Response:
    """List some rows of a table, in both languages."""
    table, part = request.url_vars["table"], int(request.url_vars["part"])
    rows = await datasette.get_database(DATABASE).execute(f"select id from [{table}] where rowid > :after and rowid <= :last order by rowid", {"after": part * ROWS, "last": (part + 1) * ROWS})
    if not rows.rows:
        raise NotFound(f"The rows of {table} end before this.")
    return addresses(datasette, request, [f"{DATABASE}/{table}/{row['id']}" for row in rows.rows])


def addresses(datasette, request, paths: list[str]) -> Response:
    """Return the sitemap of paths, in both languages."""
    urls = "".join(f"<url><loc>{escape(origin(request) + datasette.base_url + prefix + path)}</loc></url>\n" for path in paths for prefix in ("", "fr/"))
    return xml(f'<urlset xmlns="{SITEMAPS}">\n{urls}</urlset>\n')


def xml(text: str) -> Response:
    """Return XML as an answer."""
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}', content_type="application/xml; charset=utf-8")


def queries(datasette) -> dict[str, dict]:
    """Return the canned queries, by name."""
    return datasette.metadata("queries", database=DATABASE, fallback=False) or {}


async def feed(datasette, request) -> Response:
    """Return the hundred facts added last, as Atom, in the language of the address."""
    french = datasette.language() == "fr"
    rows = await datasette.get_database(DATABASE).execute(
        "select fact, [table], id, added, title, title_fr, summary, summary_fr, organisation from facts where [table] != 'accounts' order by added desc, date desc, fact limit 100")
    entries = []
    for row in rows.rows:
        address = escape(origin(request) + str(datasette.urls.row(DATABASE, row["table"], row["id"])))
        title, summary = ((french and row[f"{name}_fr"]) or row[name] or "" for name in ("title", "summary"))
        entries.append(f'<entry><id>{address}</id><title>{escape(title)}</title><link href="{address}"/><updated>{row["added"]}T00:00:00Z</updated><summary>{escape(summary)}</summary></entry>\n')
    title = "Twittosphère : faits ajoutés récemment" if french else "Twittosphère: facts added lately"
    here = escape(origin(request) + str(datasette.urls.path("/feed.atom")))
    head = f'<id>{here}</id><title>{title}</title><link rel="self" href="{here}"/><updated>{max(row["added"] for row in rows.rows)}T00:00:00Z</updated><author><name>The Twittosphère developers</name></author>\n'
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{datasette.language()}">\n{head}{"".join(entries)}</feed>\n', content_type="application/atom+xml; charset=utf-8")


async def llms(datasette, request) -> Response:
    """Say in plain text what is where."""
    about, home = datasette.metadata(), f"{origin(request)}{datasette.base_url}{DATABASE}"
    lines = ["# Twittosphère", "", f"> {about['description']}", "", f"- [Database]({home}.db): one SQLite file", f"- [Columns]({home}/_columns.csv?_stream=on): what each column means",
             f"- [Facts]({home}/facts.csv?_stream=on): every account, event, use and figure as one row; [citations]({home}/citations.csv?_stream=on): which source says which; [sources]({home}/sources.csv?_stream=on)", f"- Read-only SQL as JSON: {home}.json?_shape=array&sql=…; [all that can be asked as JSON]({origin(request)}{datasette.base_url}openapi.json), as OpenAPI", "", "## Questions"]
    lines += [f"- [{query['title']}]({home}/{name}.csv): {query['description']}" for name, query in queries(datasette).items()]
    return Response.text("\n".join(lines) + "\n")


def files_of(datasette) -> list[File]:
    """Return what can be had from the site: the database, and its tables of facts as CSV."""
    database = File("The database, in SQLite", f"{DATABASE}.db", "application/vnd.sqlite3", Path(datasette.databases[DATABASE].path).stat().st_size)
    return [database, *(File(f"{name}, as CSV", f"{DATABASE}/{name}.csv?_stream=on", "text/csv") for name in ["facts", "citations", *PAGES])]


async def in_dcat(datasette, request) -> Response:
    """Describe the data set as DCAT."""
    described = dcat(datasette.jinja_env.globals["package"](), origin(request) + datasette.base_url, files_of(datasette))
    return Response.json(described, headers={"content-type": "application/ld+json; charset=utf-8"})


async def in_datacite(datasette, request) -> Response:
    """Describe the data set as DataCite."""
    return Response.json(datacite(datasette.jinja_env.globals["package"](), files_of(datasette)))


@hookimpl
def startup(datasette):
    """Let the home page describe the data set as schema.org."""
    datasette.jinja_env.globals["schema_org"] = lambda home: schema_org(datasette.jinja_env.globals["package"](), home, files_of(datasette))


@hookimpl
def register_routes():
    return [(r"^/dcat\.jsonld$", in_dcat), (r"^/datacite\.json$", in_datacite), (r"^/robots\.txt$", robots), (r"^/sitemap\.xml$", sitemap), (r"^/sitemap-pages\.xml$", sitemap_of_pages), (rf"^/sitemap-(?P<table>{'|'.join(PAGES)})-(?P<part>\d{{1,6}})\.xml$", sitemap_of_rows),
            (r"^/feed\.atom$", feed), (r"^/llms\.txt$", llms)]
