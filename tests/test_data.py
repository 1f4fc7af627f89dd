"""The real data set: its size, how full it is, and facts of the world that it may not break."""

import csv
import datetime
import json
import re
import sqlite3

import pytest
from frictionless import Package, system

import build_db
from conftest import ROOT

PACKAGE = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
DECLARED = PACKAGE["resources"] + PACKAGE["joins"] + PACKAGE["views"] + PACKAGE["codebook"]
FOUNDING = "communication-entreprise-2012-six-ans"
FACTS = {"events": ("event_sources", "event"), "uses": ("use_sources", "use"), "figures": ("figure_sources", "figure"),
         "accounts": ("account_sources", "account"), "cohort_members": ("member_sources", "member")}


def one(db: sqlite3.Connection, sql: str, *values: object) -> object:
    """Return the single value of a query."""
    return db.execute(sql, values).fetchone()[0]


def listed(db: sqlite3.Connection, sql: str) -> list:
    """Return the first column of a query."""
    return [row[0] for row in db.execute(sql)]


def columns(table: dict) -> list[str]:
    """Return the names of the columns of a declared table."""
    return [column["name"] for column in build_db.columns_of(table)]


@pytest.mark.parametrize("what, sql, least", [
    ("facts", "select (select count(*) from events) + (select count(*) from uses) + (select count(*) from figures)", 3600),
    ("accounts", "select count(*) from accounts", 1200),
    ("accounts with a stated opening", "select count(*) from accounts where opened_dating = 'stated'", 600),
    ("organisations", "select count(*) from organisations", 1200),
    ("French organisations", "select count(*) from organisations where country = 'FR'", 200),
    ("sources", "select count(*) from sources", 1800),
    ("countries", "select count(distinct country) from organisations", 40),
])
def test_size(db: sqlite3.Connection, what: str, sql: str, least: int):
    assert one(db, sql) >= least, what


@pytest.mark.parametrize("table, filled, least_percent", [
    ("organisations", "sector != 'unknown'", 90), ("organisations", "country != 'unknown'", 97),
    ("accounts", "opened is not null", 90), ("accounts", "numeric_id is not null", 40), ("accounts", "role != 'unknown'", 90),
    ("events", "dating in ('stated', 'published')", 60), ("events", "title_fr is not null", 97), ("uses", "title_fr is not null", 97),
    ("events", "summary is null or summary_fr is not null", 97), ("uses", "summary is null or summary_fr is not null", 97), ("figures", "summary is null or summary_fr is not null", 97),
    ("sources", "title is not null", 40), ("sources", "published is not null", 75), ("sources", "kind != 'other'", 95),
    ("sources", "language != 'unknown'", 90), ("sources", "form != 'unknown'", 80),
])
def test_filled(db: sqlite3.Connection, table: str, filled: str, least_percent: int):
    assert 100 * one(db, f"select avg({filled}) from {table}") >= least_percent


@pytest.mark.parametrize("table", FACTS)
def test_every_fact_has_a_supporting_source(db: sqlite3.Connection, table: str):
    join, column = FACTS[table]
    assert not listed(db, f'select id from {table} where id not in (select "{column}" from {join} where stance = \'supports\')')


def test_every_source_supports_something(db: sqlite3.Connection):
    joins = [join for join, _ in FACTS.values()] + ["cohort_sources"]
    assert not listed(db, "select id from sources where id not in (" + " union ".join(f"select source from {join}" for join in joins) + ")")


@pytest.mark.parametrize("table, column", [("accounts", "opened"), ("accounts", "closed"), ("events", "date"), ("uses", "since"), ("uses", "until"), ("figures", "date")])
def test_nothing_before_twitter_nor_in_the_future(db: sqlite3.Connection, table: str, column: str):
    first, today = "2006-03-21", datetime.date.today().isoformat()
    assert not listed(db, f"select id from {table} where {column} < substr('{first}', 1, length({column})) or {column} > '{today}'")


def test_nothing_is_done_before_its_maker_was_founded(db: sqlite3.Connection):
    assert not listed(db, "select a.id from accounts a join organisations o on o.id = a.organisation where cast(substr(a.opened, 1, 4) as integer) < o.founded and a.opened_dating = 'by'")


def test_account_opened_agrees_with_the_account(db: sqlite3.Connection):
    """A stated opening of an account is the date that the account itself bears, or the account's is more exact."""
    assert not listed(db, """
        select e.id || ': ' || e.date || ', account: ' || a.opened from events e join accounts a on a.id = e.account
        where e.type = 'account_opened' and e.dating = 'stated'
          and (a.opened is null or substr(a.opened, 1, min(length(a.opened), length(e.date))) != substr(e.date, 1, min(length(a.opened), length(e.date))))""")


def test_bound_of_an_opening_does_not_rest_on_an_estimate(db: sqlite3.Connection):
    """An account is there "no later than" a date that a fact or a dated page gives, not one that was worked out."""
    assert not listed(db, """
        with facts as (
          select e.account, e.date, e.dating, s.source from events e join event_sources s on s.event = e.id
          union all select u.account, u.since, u.dating, s.source from uses u join use_sources s on s."use" = u.id
          union all select f.account, f.date, f.dating, s.source from figures f join figure_sources s on s.figure = f.id)
        select a.id from accounts a join facts f on f.account = a.id and f.date = a.opened
        where a.opened_dating = 'by'
          and not exists (select 1 from account_sources s join sources p on p.id = s.source where s.account = a.id and p.published <= a.opened || '~')
        group by a.id having sum(f.dating != 'inferred') = 0""")


@pytest.mark.parametrize("table, column", [("events", "date"), ("uses", "since"), ("figures", "date")])
def test_bound_of_an_opening_is_not_later_than_what_the_account_did(db: sqlite3.Connection, table: str, column: str):
    assert not listed(db, f"""
        select a.id || ': ' || a.opened || ', ' || f.id || ': ' || f.{column} from {table} f join accounts a on a.id = f.account
        where a.opened_dating = 'by' and f.dating != 'inferred' and substr(f.{column}, 1, length(a.opened)) < substr(a.opened, 1, length(f.{column}))""")


@pytest.mark.parametrize("table", ["events", "uses", "figures"])
def test_fact_as_of_publication_has_a_dated_source(db: sqlite3.Connection, table: str):
    join, column = FACTS[table]
    assert not listed(db, f"""
        select id from {table} where dating = 'published' and id not in (
          select "{column}" from {join} j join sources s on s.id = j.source where j.stance = 'supports' and s.published is not null)""")


def test_facts_and_their_accounts_have_the_same_organisation_or_family(db: sqlite3.Connection):
    """An account of another organisation is one of its parents, brands or sisters, or follows a person from office to office."""
    sql = """
        select f.id from {table} f join accounts a on a.id = f.account join organisations o on o.id = a.organisation join organisations p on p.id = f.organisation
        where a.role not in ('executive', 'political') and a.organisation != f.organisation and coalesce(o.parent, o.id) not in (p.id, coalesce(p.parent, p.id)) and coalesce(p.parent, p.id) != o.id"""
    assert not [found for table in ("events", "uses", "figures") for found in listed(db, sql.format(table=table))]


def test_parents_form_no_circle(db: sqlite3.Connection):
    assert not listed(db, """
        with recursive up(id, above, depth) as (
          select id, parent, 1 from organisations where parent is not null
          union all select up.id, o.parent, depth + 1 from up join organisations o on o.id = up.above where o.parent is not null and depth < 10)
        select id from up where depth = 10""")


def test_percentages_are_percentages(db: sqlite3.Connection):
    assert not listed(db, "select id from figures where unit = 'percent' and metric != 'growth' and not value between 0 and 100")


def test_whole_things_are_whole(db: sqlite3.Connection):
    assert not listed(db, "select id from figures where unit in ('accounts', 'followers', 'users', 'people', 'employees', 'members') and value != cast(value as integer)")


def test_names_are_used_once(db: sqlite3.Connection):
    assert not listed(db, "select name from organisations group by lower(name), country having count(*) > 1")


def test_no_event_stands_twice(db: sqlite3.Connection):
    assert not listed(db, "select group_concat(id) from events where length(date) = 10 and type in ('account_opened', 'left', 'suspended') group by organisation, account, type, date having count(*) > 1")


def test_founding_article_is_cited_for_each_of_its_claims(db: sqlite3.Connection):
    cited = {(kind, organisation) for kind, organisation in db.execute(f"""
        select e.type, e.organisation from event_sources s join events e on e.id = s.event where s.source = '{FOUNDING}'
        union select u.type, u.organisation from use_sources s join uses u on u.id = s.use where s.source = '{FOUNDING}'
        union select f.metric, coalesce(f.organisation, f.cohort) from figure_sources s join figures f on f.id = s.figure where s.source = '{FOUNDING}'
        union select 'member', m.organisation from member_sources s join cohort_members m on m.id = s.member where s.source = '{FOUNDING}'""")}
    assert {("service_launched", "comcast"), ("customer_service", "orange"), ("customer_service", "free")} <= cited
    assert {("recruitment", "societe-generale"), ("brand_image", "societe-generale"), ("daily_active_users", "twitter")} <= cited
    assert {(kind, name) for kind in ("member", "presence_noted") for name in ("orange", "renault", "arcelormittal", "lafarge")} | {("presence_noted", "canal-plus")} <= cited
    assert len({row[0] for row in db.execute(f"select event from event_sources where source = '{FOUNDING}'")}) >= 4


def test_daily_users_of_2012_are_contradicted(db: sqlite3.Connection):
    """The founding article's 300 million a day and Twitter's own 140 million stand side by side."""
    assert one(db, "select count(*) from figures f join figure_sources s on s.figure = f.id where f.organisation = 'twitter' and f.value = 300000000 and s.stance = 'contradicts'")
    assert one(db, "select count(*) from figures where organisation = 'twitter' and metric = 'users' and value = 140000000 and date like '2012-03%'")


@pytest.mark.parametrize("cohort, members, found", [("cac-40-2012-03", 40, 39), ("s-and-p-500-2022-11", 499, 400)])
def test_members_of_an_index_all_have_a_finding(db: sqlite3.Connection, cohort: str, members: int, found: int):
    findings = [row[0] for row in db.execute("select finding from cohort_members where cohort = ?", (cohort,))]
    assert len(findings) >= members and sum(finding == "account_found" for finding in findings) >= found


@pytest.mark.parametrize("cohort", ["french-deputies-2023-01", "french-senators-2023-01", "french-deputies-14th-legislature", "french-deputies-15th-legislature"])
def test_parliament_curves_rise_to_their_size(db: sqlite3.Connection, cohort: str):
    totals = listed(db, f"select cumulative from adoption where cohort = '{cohort}' order by year")
    assert totals == sorted(totals) and totals[-1] <= one(db, "select size from cohorts where id = ?", cohort)


def test_fortune_500_has_a_cohort_for_each_study_year(db: sqlite3.Connection):
    years = listed(db, "select distinct c.year from figures f join cohorts c on c.id = f.cohort where c.id like 'fortune-500-20__' and f.metric in ('share_with_account', 'share_with_active_account') order by 1")
    assert len(years) >= 8, years


def test_words_of_vocabularies_are_bilingual(db: sqlite3.Connection):
    """Every word has a label in both languages and, but for countries and languages, a definition in both."""
    for table in (table["name"] for table in DECLARED if "label_en" in columns(table)):
        for column in ("label_en", "label_fr", *(() if table in ("countries", "languages") else ("definition", "definition_fr"))):
            assert not listed(db, f"select id from {table} where {column} is null"), (table, column)
        if table not in ("countries", "languages"):
            assert not listed(db, f"select id from {table} where definition = definition_fr"), table


def test_words_of_vocabularies_are_used(db: sqlite3.Connection):
    used = {"event_types": "select type from events", "use_types": "select type from uses", "metrics": "select metric from figures", "source_kinds": "select kind from sources",
            "units": "select unit from metrics", "cohort_kinds": "select kind from cohorts", "qualifiers": "select qualifier from figures", "stances": "select stance from citations"}
    for table, sql in used.items():
        assert not listed(db, f"select id from {table} where id not in ({sql})"), f"{table}: words that no row uses"


def test_cohorts_are_bilingual(db: sqlite3.Connection):
    assert not listed(db, "select id from cohorts where (description is null) != (description_fr is null) or name_fr is null")


@pytest.mark.parametrize("table", ["events", "uses"])
def test_every_fact_is_told_in_french_too(db: sqlite3.Connection, table: str):
    assert not listed(db, f"select id from {table} where title_fr is null or (summary is null) != (summary_fr is null)")


def test_notes_on_members_are_bilingual(db: sqlite3.Connection):
    assert not listed(db, "select id from cohort_members where (note is null) != (note_fr is null)")


def test_french_is_typeset(db: sqlite3.Connection):
    """No plain apostrophe after a letter, and no plain space before a mark, in any French column or documentation."""
    tables = [(table["name"], name) for table in DECLARED for name in columns(table) if name.endswith("_fr")]
    for table, column in tables:
        wrong = listed(db, f"""select "{column}" from "{table}" where "{column}" glob '*[a-zé]''*' or "{column}" glob '* [;:!?»%€]*' or "{column}" like '%"%' or "{column}" like '%« %' """)
        assert not wrong, (table, column, wrong[:3])


def test_documentation_is_bilingual(db: sqlite3.Connection):
    assert not listed(db, """select "table" || '.' || "column" from _columns where title is null or title_fr is null or description is null or description_fr is null
                             or (blank is null) != (blank_fr is null) or (unit is null) != (unit_fr is null)""")
    assert not listed(db, "select name from _tables where title is null or title_fr is null or description is null or description_fr is null")


@pytest.mark.parametrize("table", [table["name"] for table in PACKAGE["views"] + PACKAGE["codebook"]])
def test_derived_tables_have_the_declared_columns(db: sqlite3.Connection, table: str):
    declared = next(columns(declaration) for declaration in DECLARED if declaration["name"] == table)
    assert [column[0] for column in db.execute(f"select * from {table}").description] == declared
    assert listed(db, f"select \"column\" from _columns where \"table\" = '{table}' order by position") == declared


@pytest.mark.parametrize("table", [table for table in DECLARED if "query" in table or "sources" in columns(table) or table["name"] in ("organisations", "sources")], ids=lambda table: table["name"])
def test_rows_are_stored_in_the_order_of_their_keys(db: sqlite3.Connection, table: dict):
    """The site's paging rests on it."""
    key = [row[1] for row in sorted(db.execute(f"pragma table_info({table['name']})").fetchall(), key=lambda row: row[5]) if row[5]]
    keys = ", ".join(f'"{name}"' for name in table.get("order", key))
    stored = [tuple(row) for row in db.execute(f"select {keys} from {table['name']} order by rowid")]
    assert stored and stored == sorted(stored)


def test_audits_say_whether_their_row_still_stands(db: sqlite3.Connection):
    assert not listed(db, "select fact from audits where stands != (fact in (select fact from facts))") and one(db, "select sum(stands = 0) from audits") > 0


def test_facts_of_an_organisation_are_found_by_index(db: sqlite3.Connection):
    plan = [row[3] for row in db.execute("explain query plan select * from facts where organisation = 'orange'")]
    assert len(plan) == 1 and "USING INDEX" in plan[0] and "(organisation=?)" in plan[0], plan


def test_lists_hold_ids_that_exist(db: sqlite3.Connection):
    lists = db.execute('select "table", "column", items from _columns where items is not null').fetchall()
    assert {(table, column) for table, column, _ in lists} == {("panorama", "uses"), ("timeline", "cohorts")}
    for table, column, items in lists:
        assert one(db, f"select count(*) from {table}, json_each({column})"), "lists are not all empty"
        assert not listed(db, f"select distinct value from {table}, json_each({column}) where value not in (select id from {items})")


def test_filled_is_what_a_count_gives(db: sqlite3.Connection):
    for table, column in (("accounts", "closed"), ("organisations", "sector"), ("uses", "posture"), ("cohort_members", "finding"), ("timeline", "summary_fr")):
        known = one(db, f"select count(*) from {table} where {column} is not null and {column} not in ('unknown', 'not_stated', 'not_looked_for')")
        assert one(db, 'select filled from _columns where "table" = ? and "column" = ?', table, column) == known


def test_titles_of_figures_are_short(db: sqlite3.Connection):
    assert not listed(db, "select title from figures where title_fr is null or length(title) > 180")
    assert one(db, "select title_fr from figures where organisation = 'societe-generale' and metric = 'score'") == "Société Générale\u00a0: score 425 points (2011)"


def test_files_are_in_canonical_form():
    """Sorted by id and written as Python's csv module writes them, so that a change of one fact changes one line."""
    for path in sorted((ROOT / "data").glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        table = list(csv.reader(text.splitlines()))
        lines = [",".join(quoted(cell) for cell in cells) for cells in table]
        assert text == "\n".join(lines) + "\n", path.name
        if path.stem in {"organisations", "accounts", "sources", *FACTS}:
            ids = [cells[0] for cells in table[1:]]
            assert ids == sorted(ids), f"{path.name} is not sorted by id"


def quoted(cell: str) -> str:
    """Quote a cell only where CSV needs it."""
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n') else cell


def test_frictionless_finds_the_package_valid():
    with system.use_context(trusted=True):
        report = Package(ROOT / "data" / "datapackage.json").validate()
    assert report.valid, report.flatten(["taskNumber", "rowNumber", "fieldName", "message"])[:5]


def test_declaration_says_what_blank_means():
    for table in PACKAGE["resources"]:
        for field in table["schema"]["fields"]:
            assert field.get("constraints", {}).get("required") or "blank" in field, (table["name"], field["name"])


def test_only_handles_begin_with_an_at_sign(db: sqlite3.Connection):
    """The README says so of the CSV files, which spreadsheets may take for formulas."""
    for table in DECLARED:
        for column in columns(table):
            for value in listed(db, f"select [{column}] from [{table['name']}] where substr([{column}], 1, 1) = '@'"):
                assert re.match(r"@\w", value), (table["name"], column, value)
