"""What table pages say of the selection that is shown, in both languages; Datasette's own sentence is English only."""

from urllib.parse import urlencode

from datasette import hookimpl

from build_db import DATABASE

FRENCH = {
    "contains": "contient", "endswith": "finit par", "startswith": "commence par", "like": "ressemble à (like)", "notlike": "ne ressemble pas à", "glob": "glob", "in": "parmi", "notin": "hors de",
    "arraycontains": "liste qui contient", "arraynotcontains": "liste qui ne contient pas", "date": "à la date", "isnull": "est absent", "notnull": "est présent", "isblank": "est vide", "notblank": "n’est pas vide",
}

ENGLISH = {"locator", "remark"}  # prose that is written in English alone


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
        lookups = {key: (comparison(key, display), no_argument) for key, display, no_argument in filters.lookups()}
        given = [(key, value) for key in request.args for value in request.args.getlist(key) if key != "_next"]
        french = datasette.language() == "fr"
        colon = "\u00a0:" if french else ":"

        def without(*keys_and_value: tuple[str, str]) -> str:
            return f"{request.path}?{urlencode([pair for pair in given if pair not in keys_and_value])}"

        chosen = []
        for column, lookup, value in filters.selections():
            target = datasette.items_of(column, table) if lookup == "arraycontains" else datasette.reference_of(column, table)
            label = (datasette.word(target, value) if target else None) or value
            title, (words, no_argument) = datasette.column_title(column, table), lookups.get(lookup, (lookup, False))
            text = f"{title}{colon} {label}" if lookup in ("exact", "arraycontains") else f"{title} {words}" if no_argument else f"{title} {words} {label}"
            chosen.append({"text": text, "without": without((column, value), (f"{column}__{lookup}", value))})
        for value in filter(None, request.args.getlist("_search")):
            chosen.append({"text": f"«\u202f{value}\u202f»" if french else f"“{value}”", "without": without(("_search", value))})
        for value in request.args.getlist("_where"):
            chosen.append({"text": value, "without": without(("_where", value))})
        return chosen

    def twin_of(name: str, names) -> str | None:
        """Return the column that says the same in the other language, if there is one."""
        stem = name.removesuffix("_en")
        return next((other for other in (f"{stem}_fr", f"{name}_fr") if other in names and other != name), None)

    def in_one_language(names: list[str], cells: dict[str, object], blank) -> list[tuple]:
        """Return (column, cell, language of the cell if it is not that of the page) for columns of which none is a French twin."""
        shown = []
        for name in names:
            twin = twin_of(name, cells) if datasette.language() == "fr" else None
            foreign = (twin or name in ENGLISH) and datasette.language() == "fr" and not blank(cells[name])
            shown.append((name, cells[twin], None) if twin and not blank(cells[twin]) else (name, cells[name], "en" if foreign else None))
        return shown

    def without_twins(names: list[str]) -> list[str]:
        """Return the columns but the French ones whose English twin stands beside them."""
        twins = {twin_of(name, names) for name in names if not name.endswith("_fr")}
        return [name for name in names if name not in twins]

    def arrange(columns: list[dict], rows: list, table: str, brief: bool) -> tuple[list[dict], list[list[tuple]]]:
        """Return the columns of a table to show and, for each row, its cells as in_one_language gives them; the id comes last."""
        known = {column["name"]: column for column in columns}
        names = [name for name in listed(table) if name in known] if brief else sorted(without_twins(list(known)), key=lambda name: name == "id")
        shown = [in_one_language(names, {cell["column"]: cell for cell in row}, lambda cell: not cell["raw"]) for row in rows]
        return [known[name] for name in names], shown

    def arrange_answer(columns: list[str], rows: list, question: bool) -> tuple[list[tuple[str, str]], list[list[tuple]]]:
        """Return (column, title) of the result of a query and, for each row, its cells; of a question's, names lead to the rows instead of ids."""
        if not question:
            return [(column, column) for column in columns], [[(column, cell, None) for column, cell in zip(columns, row)] for row in rows]
        led = {"organisation"} if "name" in columns else set()
        led |= {"event", "use", "figure", "fact"} if "title" in columns else set()
        names = [name for name in without_twins(columns) if name not in led]
        blank = lambda cell: str(cell) in ("", "&nbsp;")  # noqa: E731
        return [(name, datasette.column_title(name)) for name in names], [in_one_language(names, dict(zip(columns, row)), blank) for row in rows]

    return {"arrange": arrange, "arrange_answer": arrange_answer, "comparison": comparison, "listed": listed, "selections": selections, "value_label": value_label, "toggled": toggled}
