"""Charts as SVG drawn on the server: /charts/NAME.svg, declared in metadata.yml under plugins: charts."""

from urllib.parse import urlencode

import pygal
from datasette import hookimpl
from datasette.utils.asgi import NotFound, Response
from pygal.style import Style

DATABASE = "twittosphere"
# Okabe and Ito's colours, told apart with any kind of colour vision and in grey print.
STYLE = Style(
    background="#ffffff", plot_background="#ffffff", foreground="#333333", foreground_strong="#111111", foreground_subtle="#555555",
    colors=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"), font_family="sans-serif", label_font_size=13, major_label_font_size=13,
    title_font_size=16, legend_font_size=13, value_font_size=12,
)
KINDS = {"line": pygal.Line, "bar": pygal.Bar}


def without_scripts(root):
    """Take the settings of pygal's own script out of the drawing: the page has a table instead of tooltips."""
    for parent in root.iter():
        for script in [child for child in parent if str(child.tag).endswith("script")]:
            parent.remove(script)
    return root


def draw(kind: str, title: str, x_title: str, y_title: str, rows: list[tuple]) -> str:
    """Return an SVG of rows of (series, x, y), with a dot or bar for each; years without a row keep their place."""
    xs = sorted({x for _, x, _ in rows})
    if xs and all(isinstance(x, int) for x in xs):
        xs = list(range(xs[0], xs[-1] + 1))  # a year without rows keeps its place
    chart = KINDS[kind](
        style=STYLE, js=[], title=title, x_title=x_title, y_title=y_title, x_labels=[str(x) for x in xs], x_label_rotation=45 if len(xs) > 8 else 0,
        width=760, height=380, legend_at_bottom=True, legend_at_bottom_columns=1, truncate_legend=-1, show_legend=len({series for series, _, _ in rows}) > 1, include_x_axis=kind == "bar",
        allow_interruptions=False, pretty_print=False, disable_xml_declaration=True, no_data_text="–",
    )
    chart.add_xml_filter(without_scripts)
    for series in dict.fromkeys(series for series, _, _ in rows):
        values = {x: y for name, x, y in rows if name == series}
        chart.add(series, [values.get(x) for x in xs])
    return chart.render(is_unicode=True)


async def chart_rows(datasette, name: str, arguments: dict) -> tuple[dict, list[tuple]]:
    """Return a chart's declaration and its rows; NotFound if metadata.yml declares no such chart."""
    declared = (datasette.plugin_config("charts") or {}).get(name)
    if not declared:
        raise NotFound(f"There is no chart called {name}.")
    result = await datasette.get_database(DATABASE).execute(declared["sql"], arguments)
    return declared, [tuple(row) for row in result.rows]


@hookimpl
def register_routes():
    """Serve each chart in both languages, and the years of the current selection of the timeline."""

    async def chart(datasette, request):
        lang = request.url_vars.get("lang") or "en"
        declared, rows = await chart_rows(datasette, request.url_vars["name"], {"organisation": request.args.get("organisation", ""), "lang": lang})
        title, x_title, y_title = (declared[f"{key}_{lang}"] for key in ("title", "x", "y"))
        return Response(draw(declared["kind"], title, x_title, y_title, rows), content_type="image/svg+xml; charset=utf-8")

    async def timeline(datasette, request):
        lang = request.url_vars.get("lang") or "en"
        kept = [(key, value) for key in request.args for value in request.args.getlist(key) if not key.startswith("_") or key == "_search" or "__" in key]
        found = await datasette.client.get(f"/{DATABASE}/timeline.json?" + urlencode([*kept, ("_facet", "year"), ("_facet_size", "max"), ("_size", "0")]))
        years = found.json()["facet_results"]["year"]["results"]
        words = ("Événements par année", "Année", "Événements") if lang == "fr" else ("Events by year", "Year", "Events")
        rows = [(words[2], int(year["value"]), year["count"]) for year in years]
        return Response(draw("bar", *words, rows), content_type="image/svg+xml; charset=utf-8")

    return [(r"^/charts/(?:(?P<lang>en|fr)/)?timeline\.svg$", timeline), (r"^/charts/(?:(?P<lang>en|fr)/)?(?P<name>[a-z0-9-]+)\.svg$", chart)]


@hookimpl
def extra_template_vars(datasette):
    """Give templates the declaration and the rows of a chart, for the table beside it."""

    async def chart_data(name: str, lang: str, organisation: str = "") -> dict:
        declared, rows = await chart_rows(datasette, name, {"organisation": organisation, "lang": lang})
        return {**declared, "rows": rows}

    return {"chart_data": chart_data}
