"""What table pages say of the selection that is shown, in both languages; Datasette's own sentence is English only."""

import re

from datasette import hookimpl
from datasette.utils import path_with_removed_args

DATABASE = "twittosphere"
FRENCH = {
    "contains": "contient", "endswith": "finit par", "startswith": "commence par", "like": "ressemble à (like)", "notlike": "ne ressemble pas à", "glob": "glob", "in": "parmi", "notin": "hors de",
    "arraycontains": "liste qui contient", "arraynotcontains": "liste qui ne contient pas", "date": "à la date", "isnull": "est absent", "notnull": "est présent", "isblank": "est vide", "notblank": "n’est pas vide",
}

# The query of the first page of a table that is sorted from the last to the first.
DESCENDING = re.compile(r"select [\w\s,\[\]]+ from [\w\[\]]+ (where .*)?order by [\w\[\]]+ desc(?= limit \d+$)", re.DOTALL)


@hookimpl
def startup(datasette):
    """Give the first page of a table sorted downwards the order of its later pages.

    Datasette 0.65 breaks ties by the primary key on every page but the first, where SQLite reads an index
    backwards: rows would then be missing between the pages, and from a CSV of all rows.
    Here rows are stored in the order of their keys.
    """
    database = datasette.databases[DATABASE]
    execute = database.execute

    async def in_order(sql, *arguments, **options):
        if first := DESCENDING.match(sql):
            sql = f"{first[0]}, rowid{sql[first.end():]}"
        return await execute(sql, *arguments, **options)

    database.execute = in_order


@hookimpl
def extra_template_vars(datasette):
    """Give templates the columns listed first, the words of comparisons, and the filters chosen."""

    def comparison(key: str, display: str) -> str:
        """Return the words for a filter's comparison."""
        return FRENCH.get(key, display) if datasette.language() == "fr" else display

    def value_label(column: str, value: dict) -> str:
        """Return the words for a value of a facet: a table by its title, the unknown in the language of the page."""
        if column in ("table", "found_in"):
            return datasette.word("_tables", value["value"]) or value["value"]
        if value["value"] == "unknown" == value["label"]:
            return "inconnu" if datasette.language() == "fr" else "unknown"
        return str(value["label"]) or "–"

    def toggled(url: str) -> str:
        """Return the address of a facet's value, in the language of the page, which Datasette forgets for lists."""
        path = url[url.index("/", url.index("//") + 2):] if "//" in url else url
        return path if path.startswith(datasette.setting("base_url")) else datasette.urls.path(path)

    def listed(table: str) -> list[str]:
        """Return the columns that metadata.yml lists of a table, unless all are asked for; empty for all."""
        return datasette.table_metadata(DATABASE, table).get("list", [])

    def selections(filters, table: str, request) -> list[dict[str, str]]:
        """Return each filter and search of the page as its text and the address without it."""
        words = {key: comparison(key, display) for key, display, _ in filters.lookups()}
        chosen = []
        for column, lookup, value in filters.selections():
            target = datasette.items_of(column, table) if lookup == "arraycontains" else datasette.reference_of(column, table)
            label = (datasette.word(target, value) if target else None) or value
            title = datasette.column_title(column, table)
            colon = "\u00a0:" if datasette.language() == "fr" else ":"
            text = f"{title}{colon} {label}" if lookup in ("exact", "arraycontains") else f"{title} {words.get(lookup, lookup)} {label}"
            keys = [key for key in (column, f"{column}__{lookup}") if value in request.args.getlist(key)]
            chosen.append({"text": text, "without": path_with_removed_args(request, {keys[0]: value}) if keys else request.path})
        if request.args.get("_search"):
            chosen.append({"text": f"« {request.args['_search']} »" if datasette.language() == "fr" else f"“{request.args['_search']}”", "without": path_with_removed_args(request, {"_search"})})
        return chosen

    def arrange(columns: list[dict], rows: list, table: str, brief: bool) -> tuple[list[dict], list[list[tuple]]]:
        """Return the columns to show and, for each row, (column, cell, language of the cell if it is not that of the page).

        Of a column and its French twin one is shown, in the language of the page where it is written; the id comes last.
        """
        lang, known = datasette.language(), {column["name"]: column for column in columns}
        if brief:
            names = [name for name in listed(table) if name in known]
        else:
            names = [name for name in known if not (name.endswith("_fr") and (name[:-3] in known or f"{name[:-3]}_en" in known and lang == "en")) and not (name.endswith("_en") and lang == "fr" and f"{name[:-3]}_fr" in known)]
            names.sort(key=lambda name: name == "id")
        shown = []
        for row in rows:
            cells = {cell["column"]: cell for cell in row}
            twins = {name: cells.get(f"{name}_fr") if lang == "fr" else None for name in names}
            shown.append([(name, twin, None) if (twin := twins[name]) and twin["raw"] else (name, cells[name], "en" if twin and cells[name]["raw"] else None) for name in names])
        return [known[name] for name in names], shown

    return {"arrange": arrange, "comparison": comparison, "listed": listed, "selections": selections, "value_label": value_label, "toggled": toggled}
