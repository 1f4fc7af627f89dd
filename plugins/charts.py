"""Charts as SVG drawn on the server: /charts/NAME.svg, declared in metadata.yml under plugins: charts."""

import base64
import hashlib
import html
import re
import sqlite3
from urllib.parse import urlencode

import pygal
from babel.numbers import format_compact_decimal, format_decimal
from datasette import hookimpl
from datasette.database import QueryInterrupted
from datasette.filters import Filters
from datasette.plugins import pm
from datasette.utils import await_me_maybe
from datasette.utils.asgi import BadRequest, NotFound, Response
from pygal.etree import etree
from pygal.style import Style

from build_db import DATABASE

etree.to_etree()  # the same drawing where lxml is installed
TEXT = dict(font_family="system-ui, sans-serif", label_font_size=13, major_label_font_size=13, title_font_size=17, legend_font_size=14, guide_stroke_dasharray="none", major_guide_stroke_dasharray="none", opacity=1, stroke_opacity=1, stroke_width=2.5)
# Okabe and Ito's colours, told apart with any kind of colour vision; dashes tell lines apart in grey print.
STYLES = {
    "light": Style(background="#ffffff", plot_background="#ffffff", foreground="#3d4650", foreground_strong="#14202b", foreground_subtle="#c3cad1", guide_stroke_color="#e3e7eb", major_guide_stroke_color="#e3e7eb",
                   colors=("#0072B2", "#D55E00", "#007a5a", "#b0568f", "#a56f00"), **TEXT),
    "dark": Style(background="#161d25", plot_background="#161d25", foreground="#c0c9d2", foreground_strong="#e8ecf1", foreground_subtle="#4a5663", guide_stroke_color="#2c3742", major_guide_stroke_color="#2c3742",
                  colors=("#56B4E9", "#E69F00", "#2fbf95", "#d99ac0", "#F0E442"), **TEXT),
}
SIZES = {"wide": (720, 340), "narrow": (360, 300)}
DASHES = [None, "9,5", "2,4", "12,4,2,4"]


def without_scripts(root):
    """Take pygal's own script and what it would show out of the drawing: the page has a table instead of tooltips."""
    for parent in root.iter():
        for extra in [child for child in parent if str(child.tag).endswith(("script", "desc")) or "tooltip" in child.get("class", "").split()]:
            parent.remove(extra)
    return root


def policy(svg: str) -> str:
    """Return the content security policy of a drawing: its own style sheet and nothing else. The text in it is escaped."""
    sheet = html.unescape(re.search("<style[^>]*>(.*?)</style>", svg, re.DOTALL)[1])
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


def position(x: int | str) -> float:
    """Place a year at its number, and a partial date at the middle of its day, month or year."""
    if isinstance(x, int):
        return x
    year, month, day = ([int(part) for part in x.split("-")] + [None, None])[:3]
    return year + (0.5 if month is None else (month - 1 + (0.5 if day is None else (day - 0.5) / 31)) / 12)


def draw(kind: str, title: str | None, x_title: str, y_title: str, rows: list[tuple], locale: str, size: str = "wide", scheme: str = "light") -> str:
    """Return an SVG of rows of (series, x, y), x a year or a partial date, as a line with dots, as dots, or as stacked bars.

    Dots alone stand for counts by different people, which no line should join.
    """
    places = sorted({position(x) for _, x, _ in rows})
    years = list(range(int(places[0]), int(places[-1]) + 1)) if places else []
    every = -(-len(years) // (12 if size == "wide" else 6)) or 1
    names = list(dict.fromkeys(series for series, _, _ in rows))
    width, height = SIZES[size]
    options = dict(
        style=STYLES[scheme], js=[], title=title, x_title=x_title, y_title=y_title, width=width, height=height + 22 * len(names) * (len(names) > 1) + (30 if title else 0),
        legend_at_bottom=True, legend_at_bottom_columns=1, truncate_legend=-1, show_legend=len(names) > 1, legend_box_size=12, show_y_guides=True, show_x_guides=False,
        truncate_label=-1, dots_size=3.5 if kind == "line" else 5, margin=8, margin_right=24, spacing=6, max_scale=7, pretty_print=False, disable_xml_declaration=True, no_data_text="–",
        value_formatter=lambda value: format_compact_decimal(value, locale=locale, fraction_digits=1) if abs(value) >= 10_000 else format_decimal(value, locale=locale),
    )
    if kind == "bar":
        chart = pygal.StackedBar(x_labels=[str(year) for year in years], x_labels_major=[str(year) for year in years[::every]], show_minor_x_labels=False, **options)
    else:
        chart = pygal.XY(x_labels=years[::every], x_value_formatter=lambda x: f"{x:.0f}", include_x_axis=True, stroke=kind == "line", **options)
    chart.add_xml_filter(without_scripts)
    for name, dash in zip(names, DASHES * len(names)):
        values = {position(x): y for series, x, y in rows if series == name}
        points = [values.get(year) for year in years] if kind == "bar" else sorted(values.items())
        chart.add(name, points, stroke_style={"dasharray": dash} if dash and kind == "line" else {})
    return chart.render(is_unicode=True)


async def chart_rows(datasette, name: str, arguments: dict[str, str], request) -> tuple[dict, list[tuple]]:
    """Return a chart's declaration and its rows; NotFound if metadata.yml declares no such chart."""
    declared = (datasette.plugin_config("charts") or {}).get(name)
    if not declared:
        raise NotFound(f"There is no chart called {name}.")
    if name == "timeline":
        return declared, await years_selected(datasette, request)
    result = await datasette.get_database(DATABASE).execute(declared["sql"], {"organisation": "", "metric": "", "lang": datasette.language(), **arguments})
    return declared, [tuple(row) for row in result.rows]


async def years_selected(datasette, request) -> list[tuple]:
    """Return (series, year, events) of the timeline as narrowed by the filters and the search of a page, as Datasette reads them."""
    arguments = sorted((key, value) for key in request.args for value in request.args.getlist(key) if not key.startswith("_") or "__" in key)
    clauses, parameters = Filters(arguments).build_where_clauses("timeline")
    for hook in pm.hook.filters_from_request(request=request, table="timeline", database=DATABASE, datasette=datasette):
        if found := await await_me_maybe(hook):
            clauses += found.where_clauses
            parameters |= found.params
    sql = f"select '', year, count(*) from timeline {'where ' if clauses else ''}{' and '.join(clauses)} group by year order by year"
    try:
        return [tuple(row) for row in (await datasette.get_database(DATABASE).execute(sql, parameters)).rows]
    except (sqlite3.Error, QueryInterrupted) as error:
        raise BadRequest(str(error)) from error


def arguments_of(request, name: str) -> dict[str, str]:
    """Return the arguments on which a chart depends: those of the timeline's page, or those that the chart's query may name."""
    kept = [key for key in request.args if key != "_as"] if name == "timeline" else ("organisation", "metric")
    return {key: value for key in kept if (value := request.args.getlist(key))}


@hookimpl
def register_routes():
    """Serve each chart, with its title and source; ?_as=narrow-dark and the like draws it for a page that has both."""

    async def chart(datasette, request):
        name, lang = request.url_vars["name"], datasette.language()
        chosen = {key: values[0] for key, values in arguments_of(request, name).items()}
        declared, rows = await chart_rows(datasette, name, chosen, request)
        size, _, scheme = request.args.get("_as", "wide-light").partition("-")
        if size not in SIZES or scheme not in STYLES:
            raise BadRequest("A chart is drawn as wide-light, wide-dark, narrow-light or narrow-dark.")
        title, x_title, y_title = (declared[f"{key}_{lang}"] for key in ("title", "x", "y"))
        if "metric" in chosen:
            y_title = datasette.word("metrics", chosen["metric"]) or y_title
        if "_as" in request.args:
            title = None
        else:
            x_title += f" – Twittosphère {datasette.jinja_env.globals['package']()['version']}"
        svg = draw(declared["kind"], title, x_title, y_title, rows, lang, size, scheme)
        return Response(svg, content_type="image/svg+xml; charset=utf-8", headers={"cache-control": f"max-age={datasette.setting('default_cache_ttl')}", "content-security-policy": policy(svg)})

    return [(r"^/charts/(?P<name>[a-z0-9-]+)\.svg$", chart)]


@hookimpl
def extra_template_vars(datasette, request):
    """Give templates the declaration and the rows of a chart, for the table beside it, and its address."""

    async def chart_data(name: str, **arguments: str) -> dict:
        chosen = arguments or arguments_of(request, name)
        try:
            declared, rows = await chart_rows(datasette, name, arguments, request)
        except BadRequest:  # the page itself says what is wrong with its selection, or shows it where only the chart is too slow
            return {"rows": []}
        return {**declared, "rows": rows, "file": datasette.urls.path(f"/charts/{name}.svg?" + urlencode(chosen, doseq=True))}

    return {"chart_data": chart_data}
