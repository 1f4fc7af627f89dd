"""What each table, column and coded word means, in the language of the page, read from the database itself."""

import functools
import re
import sqlite3

from datasette import hookimpl

from build_db import DATABASE


@functools.lru_cache(maxsize=2)
def documentation(path: str, lang: str) -> dict[str, dict]:
    """Return table → title, description, columns (name → meaning), titles, types, references, items, label_column and sort, of the database at path.

    Read from _tables and _columns, which the build writes from data/datapackage.json.
    """
    end = "_fr" if lang == "fr" else ""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    tables = {
        name: {"title": title, "description": description, "columns": {}, "titles": {}, "types": {}, "references": {}, "items": {}}
        for name, title, description in db.execute(f"select name, title{end}, description{end} from _tables")
    }
    sql = f"select [table], [column], type, title{end}, description{end}, unit{end}, example, blank{end}, reference, items from _columns order by [table], position"
    words = ("Unité : ", "Exemple : ", "Vide : ") if lang == "fr" else ("Unit: ", "Example: ", "Blank: ")
    for name, column, type, title, description, unit, example, blank, reference, items in db.execute(sql):
        notes = [f"{word.replace(' :', chr(0xa0) + ':')}{text.rstrip('.')}." for word, text in zip(words, (unit, example, blank)) if text]
        table = tables[name]
        table["columns"][column] = " ".join([description, *notes])
        table["titles"][column] = title
        table["types"][column] = type
        table["references"] |= {column: reference} if reference else {}
        table["items"] |= {column: items} if items else {}
        if column == "label_en":
            table |= {"label_column": f"label_{lang}", "sort": f"label_{lang}"}
        elif column == "name_fr":
            table |= {"label_column": f"name{end}", "sort": f"name{end}"}
    db.close()
    return tables


@functools.lru_cache(maxsize=2)
def vocabularies(path: str, lang: str) -> dict[str, dict[str, str]]:
    """Return table → id → label for every vocabulary, and for the cohorts, in the database at path."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    found = {name: dict(db.execute(f"select id, [{table['label_column']}] from [{name}]")) for name, table in documentation(path, lang).items() if "label_column" in table}
    db.close()
    return found


@functools.lru_cache(maxsize=2)
def metadata_of_tables(path: str, lang: str) -> dict[str, dict]:
    """Return the part of the documentation that Datasette knows what to do with; Datasette merges metadata.yml into it."""
    keys = ("title", "description", "columns", "label_column", "sort")
    return {name: {key: about[key] for key in keys if key in about} for name, about in documentation(path, lang).items()}


@hookimpl
def get_metadata(datasette, key):
    """Add the titles, descriptions and labels that the build wrote into the database to metadata.yml."""
    # Datasette asks before startup, and for "tables" in each permission check, where it copies the answer: nothing here bears on those.
    if not hasattr(datasette, "language") or key == "tables":
        return {}
    return {"databases": {DATABASE: {"tables": metadata_of_tables(datasette.databases[DATABASE].path, datasette.language())}}}


@functools.lru_cache(maxsize=5000)
def reference_of(path: str, column: str, table: str | None) -> str | None:
    """Return the table that a column refers to; in a query, where it has no table, by its name.

    There, "event_type" refers to event_types, and "role" to what every column called role refers to.
    """
    tables = documentation(path, "en")
    if table in tables:
        return tables[table]["references"].get(column)
    if f"{column}s" in tables and "id" in tables[f"{column}s"]["columns"]:
        return f"{column}s"
    targets = {about["references"][column] for about in tables.values() if column in about["references"]}
    return targets.pop() if len(targets) == 1 else None


@hookimpl
def startup(datasette):
    """Let templates and other plugins ask what words and columns mean: datasette.word, .column_title, .reference_of, .items_of, .documented."""

    def known() -> tuple[str, str]:
        return datasette.databases[DATABASE].path, datasette.language()

    @functools.cache
    def extra() -> dict[str, dict[str, str]]:
        """Return the titles of columns that only questions have; Datasette merges all metadata to answer, so ask once."""
        return datasette.plugin_config("titles")

    def word(table: str, id: str) -> str | None:
        """Return the label of a coded word, or the title of a table."""
        return documentation(*known()).get(id, {}).get("title") if table == "_tables" else vocabularies(*known()).get(table, {}).get(id)

    def column_title(column: str, table: str | None = None) -> str:
        """Return the title of a column of a table, or of a query, in the words of the first table that has one of that name."""
        tables = documentation(*known())
        own = tables.get(table, {}).get("titles", {}).get(column) or extra().get(column, {}).get(datasette.language())
        return own or next((about["titles"][column] for about in tables.values() if column in about["titles"]), column)

    expand = datasette.expand_foreign_keys

    async def labelled(database: str, table: str, column: str, values: list) -> dict[tuple, str]:
        """Return (column, value) → label as Datasette does, but for coded words without a query."""
        words = vocabularies(*known()).get(reference_of(known()[0], column, table)) if database == DATABASE and table in datasette.documented() else None
        return await expand(database, table, column, values) if words is None else {(column, value): words[value] for value in values if value in words}

    for lang in ("en", "fr"):  # now, lest a file that is built anew under a running server mix with the one being served
        vocabularies(datasette.databases[DATABASE].path, lang)
    datasette.word, datasette.column_title, datasette.expand_foreign_keys = word, column_title, labelled
    datasette.documented = lambda: documentation(*known())
    datasette.reference_of = lambda column, table: reference_of(known()[0], column, table)
    datasette.items_of = lambda column, table: documentation(*known()).get(table, {}).get("items", {}).get(column)


@hookimpl
def extra_template_vars(datasette):
    """Give templates the documentation, and what columns are called and coded words mean."""
    tables = documentation(datasette.databases[DATABASE].path, datasette.language())

    def column_meanings(columns: list[str]) -> dict[str, str]:
        """Return column → meaning for the columns of a query, in the words of the first table that has one of that name."""
        known = {name: meaning for table in reversed(tables.values()) for name, meaning in table["columns"].items()}
        return {name: known[name] for name in columns if name in known}

    def words_of(table: str) -> list[str]:
        """Return all labels of a vocabulary, to choose from."""
        return sorted(vocabularies(datasette.databases[DATABASE].path, datasette.language())[table].values())

    def usual_value(sql: str, parameter: str) -> str:
        """Return the value that a question takes where its box is left blank, as its SQL says it."""
        found = re.search(rf"nullif\((?:trim\()?:{parameter}\)?, ''\), '([^']*)'", sql)
        return found[1] if found else ""

    return {"words_of": words_of, "usual_value": usual_value, "lang": datasette.language(), "documented": tables, "column_title": datasette.column_title, "column_meanings": column_meanings, "word": datasette.word}
