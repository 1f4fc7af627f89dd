"""What search engines and feed readers ask for: robots.txt, sitemap.xml, feed.atom, llms.txt."""

from xml.sax.saxutils import escape

from datasette import hookimpl
from datasette.utils.asgi import Response

DATABASE = "twittosphere"
PAGES = ["organisations", "accounts", "events", "uses", "figures", "cohorts", "sources"]


def origin(request) -> str:
    """Return the scheme and host that the visitor used."""
    return f"{request.scheme}://{request.host}"


async def robots(request) -> Response:
    """Keep crawlers out of combinations of facets, of SQL and of files."""
    rules = ["User-agent: *", f"Disallow: /{DATABASE}?", "Disallow: /*?*", "Disallow: /*.json$", "Disallow: /*.csv$", "Disallow: /-/", f"Sitemap: {origin(request)}/sitemap.xml"]
    return Response.text("\n".join(rules) + "\n")


async def sitemap(datasette, request) -> Response:
    """List the home page, the tables, the questions and every row of the facts, in both languages by prefix."""
    queries = datasette.metadata("queries", database=DATABASE, fallback=False) or {}
    paths = ["/", "/how-facts-are-coded", f"/{DATABASE}", *(f"/{DATABASE}/{name}" for name in [*PAGES, "timeline", "panorama", "adoption", *queries])]
    for table in PAGES:
        rows = await datasette.get_database(DATABASE).execute(f"select id from [{table}] order by id")
        paths += [datasette.urls.row(DATABASE, table, row["id"]) for row in rows.rows]
    urls = "".join(f"<url><loc>{escape(origin(request) + prefix + str(path))}</loc></url>\n" for path in paths for prefix in ("", "/fr"))
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n', content_type="application/xml; charset=utf-8")


async def feed(datasette, request) -> Response:
    """Return the fifty latest events as Atom, dated by the event itself."""
    rows = await datasette.get_database(DATABASE).execute("select id, date, title, summary from events where length(date) = 10 order by date desc, id limit 50")
    home, entries = origin(request), []
    for row in rows.rows:
        address = f"{home}{datasette.urls.row(DATABASE, 'events', row['id'])}"
        entries.append(f"<entry><id>{escape(address)}</id><title>{escape(row['title'])}</title><link href=\"{escape(address)}\"/><updated>{row['date']}T00:00:00Z</updated><summary>{escape(row['summary'] or '')}</summary></entry>\n")
    newest = rows.rows[0]["date"] if rows.rows else "2006-03-21"
    head = f'<id>{home}/</id><title>Twittosphère: latest events</title><link rel="self" href="{home}/feed.atom"/><updated>{newest}T00:00:00Z</updated><author><name>The Twittosphère developers</name></author>\n'
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n{head}{"".join(entries)}</feed>\n', content_type="application/atom+xml; charset=utf-8")


async def llms(datasette, request) -> Response:
    """Say in plain text what is where."""
    about = datasette.metadata()
    lines = ["# Twittosphère", "", f"> {about['description']}", "", f"- [Database]({origin(request)}/{DATABASE}.db): one SQLite file", f"- [Columns]({origin(request)}/{DATABASE}/_columns.json?_shape=array): what each column means", "- Read-only SQL as JSON: `/twittosphere.json?_shape=array&sql=…`", "", "## Questions"]
    lines += [f"- [{query['title']}]({origin(request)}/{DATABASE}/{name}.json?_shape=array)" for name, query in about["databases"][DATABASE]["queries"].items()]
    return Response.text("\n".join(lines) + "\n")


@hookimpl
def register_routes():
    return [(r"^/robots\.txt$", robots), (r"^/sitemap\.xml$", sitemap), (r"^/feed\.atom$", feed), (r"^/llms\.txt$", llms)]
