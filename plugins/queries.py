"""Datasette's own queries in a form that gives the same rows in time with a million of them, and what they count, remembered."""

import json
import re
import sqlite3
from collections import OrderedDict

from datasette import hookimpl

from build_db import DATABASE

KEPT = 1_000  # answers remembered
ROWS, LONGEST = 200, 8_000  # rows of one, and characters with its query
COMPOUND = re.compile(r"\b(union|intersect|except)\b", re.IGNORECASE)
# The query of the first page of a table that is sorted.
SORTED = re.compile(r"select [\w\s,\[\]]+ from (?P<table>[\w\[\]]+) (where .*)?order by [\w\[\]]+( desc)?(?= limit \d+$)", re.DOTALL)
# The query of its later pages: the rows after one whose value in the sorted column, and whose key, are known.
LATER = re.compile(
    r"select (?P<columns>[\w\s,\[\]]+) from (?P<table>[\w\[\]]+) where (?P<others>.* and )?"
    r"\((?:(?P<column>[\w\[\]]+) (?P<beyond>[<>] :p\d+)(?: or (?P=column) is null)? or \((?P=column) (?P<same>= :p\d+) and |(?P<null>[\w\[\]]+) is not null or \((?P=null) is null and |(?P<last>[\w\[\]]+) is null and )"
    r"\(\((?P<key>[\w\[\]]+) > (?P<after>:p\d+)\)\)\)?\) order by [\w\[\]]+(?P<desc> desc)?, (?P=key) limit (?P<limit>\d+)$", re.DOTALL)
MATCHING = r"rowid in \(select rowid from (?P<index>\w+_fts) where (?P=index) match escape_fts\(:search\)\)"
# The first page of a search in everything, in the order of its kinds: the build stores the rows in that order.
SEARCH = re.compile(rf'select (?P<columns>[\w, ]+) from search where (?P<others>("?\w+"? = :p\d+ and )*){MATCHING} order by place(?P<end> limit \d+)$')
FOUND = re.compile(rf"select count\(\*\) from \w+ where {MATCHING} *$")
COUNT = re.compile(r"\s*select (count\(\*\)|\S+ as value, count\(\*\) as count|'', year, count\(\*\)) from ")
NAMED = "select name from sqlite_master where type in ('table', 'view') and name = ? collate nocase"  # asked for each link to a table
# Datasette's count of the values in lists sorts whole rows, lest a list hold a value twice; ours hold none twice.
LISTS = re.compile(r"\s*with inner as \((?P<rows>.*)\),\s*deduped_array_items as \(.*json_each\(\[inner\]\.(?P<column>\S+)\) j.*limit (?P<limit>\d+)\s*$", re.DOTALL)


def rewritten(sql: str) -> str:
    """Return a query that gives the same rows, sooner or, of a first page, in the order of the later pages.

    Datasette 0.65 breaks ties by the primary key on every page but the first, where SQLite takes the order of the
    index that it reads: rows would then be missing between the pages, and from a CSV of all rows. The build stores
    rows in the order of their keys, but those of search in the order of their kinds.
    """
    if search := SEARCH.match(sql):
        rows = f"select search.*, {search['index']}.rowid as found from {search['index']} cross join search on search.rowid = {search['index']}.rowid where {search['index']} match escape_fts(:search)"
        return f"select {search['columns']} from ({rows}) where {search['others']}1 order by found{search['end']}"
    if (first := SORTED.match(sql)) and not COMPOUND.search(sql):
        return f"{first[0]}, {'id' if first['table'] == 'search' else 'rowid'}{sql[first.end():]}"
    if (later := LATER.match(sql)) and later["table"] != "search" and not COMPOUND.search(sql) and not re.search(r"\bor\b", later["others"] or "", re.IGNORECASE):
        return paged(**later.groupdict())
    if found := FOUND.match(sql):
        return f"select count(*) from {found['index']} where {found['index']} match escape_fts(:search)"
    if lists := LISTS.match(sql):
        return f"select value, count(*) as count from (select j.value from ({lists['rows']}) r join json_each(r.{lists['column']}) j) group by value order by count desc, value limit {lists['limit']}"
    return sql


def paged(columns: str, table: str, others: str | None, column: str | None, beyond: str, same: str, null: str | None, last: str | None, key: str, after: str, desc: str | None, limit: str) -> str:
    """Return the query of a later page from the parts of LATER: the rest of the rows with the same value, then those beyond it, each read from an index alone."""
    column, same = column or null or last, same or "is null"
    ways = [f"{others or ''}{column} {same} and rowid > (select rowid from {table} where {key} = {after})"]
    if not last:
        ways.append(f"{others or ''}{column} {beyond or 'is not null'}")
    if beyond and desc:  # rowid alone, else SQLite would read a table that has no blank value to its end
        ways.append(f"rowid in (select rowid from {table} where {others or ''}{column} is null order by rowid limit {limit})")
    parts = (f"select * from (select {way} as [_way], rowid as [_row], * from {table} where {rule} order by {column}{desc or ''}, rowid limit {limit})" for way, rule in enumerate(ways))
    return f"select {columns} from ({' union all '.join(parts)}) order by [_way], {column}{desc or ''}, [_row] limit {limit}"


def answered(path: str, queries: dict[str, dict]) -> dict[str, str]:
    """Return question → the query that reads its answer, which the build wrote into the database at path."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    heads = db.execute("select question, row from _answers where position = 0").fetchall()
    db.close()
    columns = {name: ", ".join(f"row ->> {place} as [{column}]" for place, column in enumerate(json.loads(row))) for name, row in heads}
    return {queries[name]["sql"]: f"select {read} from _answers where question = '{name}' and position > 0 order by position" for name, read in columns.items() if name in queries}


@hookimpl
def startup(datasette):
    """Rewrite queries, read what the build has answered, and remember what has been counted: the file that is served does not change."""
    database = datasette.databases[DATABASE]
    execute, known = database.execute, OrderedDict()
    answers = answered(database.path, datasette.metadata("queries", database=DATABASE, fallback=False) or {})
    charts = {chart["sql"] for chart in (datasette.plugin_config("charts") or {}).values() if "sql" in chart}

    async def answer(sql, params=None, **options):
        if sql in answers:
            return await execute(answers[sql], **options)
        counting = COUNT.match(sql) or LISTS.match(sql) or sql in charts or sql == NAMED
        key = (sql, repr(params), repr(options))
        if counting and key in known:
            known.move_to_end(key)
            return known[key]
        found = await execute(rewritten(sql), params, **options)
        if counting and len(found.rows) <= ROWS and len(repr(key)) + len(repr([tuple(row) for row in found.rows])) <= LONGEST:
            known[key] = found
            if len(known) > KEPT:
                known.popitem(last=False)
        return found

    database.execute = answer
