"""Fixtures: a small data directory to break, the real database, and a server that serves it."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import build_db
from servers import ROOT, Server, lay_out

SMALL = {
    "organisations": """id,name,other_names,kind,sector,country,parent,founded,wikidata,website
comcast,Comcast,,company,telecoms,US,,1963,Q1113804,https://www.comcast.com/
orange,Orange,France Télécom,company,telecoms,FR,,,,
orange-business,Orange Business,,company,telecoms,FR,orange,,,
""",
    "accounts": """id,handle,organisation,role,numeric_id,language,opened,opened_dating,closed,closed_how,successor,sources,added,checked
comcastcares,ComcastCares,comcast,customer_service,,en,2008-04,stated,2019,renamed,,blog-2008,2026-11-24,2026-11-25
orange_conseil,Orange_conseil,orange,customer_service,,fr,2011,by,,,,press-2012 (line 3); !blog-2008 (2010),2026-11-24,
""",
    "events": """id,organisation,account,type,date,dating,title,title_fr,summary,summary_fr,sources,added,checked
comcast-2008-service-launched,comcast,comcastcares,service_launched,2008-04,stated,Comcast opens a help desk,,,,blog-2008; press-2012,2026-11-24,
orange-2012-award,orange,,award,2012,inferred,Orange wins a prize,Orange gagne un prix,Dated from the article of 2012.,Daté d'après l'article de 2012.,press-2012,2026-11-24,
""",
    "uses": """id,organisation,account,type,since,until,dating,posture,title,title_fr,summary,summary_fr,sources,added,checked
orange-2011-customer-service,orange,orange_conseil,customer_service,2011-06-14,2014,stated,answering,Orange answers customers,Orange répond aux clients,,,press-2012,2026-11-24,
""",
    "figures": """id,organisation,account,cohort,metric,value,qualifier,date,dating,summary,summary_fr,sources,added,checked
comcast-2009-followers,comcast,comcastcares,,followers,22000,about,2009-09,stated,,,press-2012,2026-11-24,
cac-40-2012-03-share,,,cac-40-2012-03,share_with_account,62.5,exact,2012-03,published,,,press-2012,2026-11-24,
""",
    "cohorts": """id,name,name_fr,kind,country,year,size,description,description_fr,sources
cac-40-2012-03,"CAC 40, March 2012",CAC 40 de mars 2012,stock_index,FR,2012,40,,,
""",
    "cohort_members": """id,cohort,organisation,finding,account,note,note_fr,sources
cac-40-2012-03--orange,cac-40-2012-03,orange,account_found,orange_conseil,,,press-2012
""",
    "audits": """id,fact,date,sample,who,what,dated,remark
2026-11-25--accounts--comcastcares,accounts/comcastcares,2026-11-25,1,supported,supported,contradicted,It says May.
2026-11-25--events--comcast-2008-service-launched,events/comcast-2008-service-launched,2026-11-25,1,supported,supported,supported,
2026-11-25--events--orange-2012-award,events/orange-2012-award,2026-11-25,1,unreachable,unsupported,supported,No prize.
2026-11-25--uses--orange-2011-customer-service,uses/orange-2011-customer-service,2026-11-25,1,unreachable,unreachable,unreachable,
""",
    "sources": """id,title,author,publisher,url,archive_url,published,language,kind,form,accessed
blog-2008,A help desk,Jane Doe,A blog,https://blog.example/2008/desk,,2008-05-01,en,blog,original,2026-11
press-2012,,,Le Journal,https://journal.example/twitter,,2012,fr,press,unknown,
""",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A data directory with the real declaration and vocabularies and a few rows of facts."""
    directory = tmp_path / "data"
    shutil.copytree(ROOT / "data", directory)
    for name, text in SMALL.items():
        (directory / f"{name}.csv").write_text(text, encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's Datasette directory with the real database built into it."""
    directory = lay_out(tmp_path_factory.mktemp("site"))
    build_db.build(ROOT / "data", directory / "twittosphere.db", compress=True)
    return directory


@pytest.fixture(scope="session")
def db(site: Path):
    """A read-only connection to the real database."""
    connection = sqlite3.connect(f"file:{site / 'twittosphere.db'}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def server(site: Path):
    """The address of a running `datasette .` with the real database."""
    with Server(site) as running:
        yield running.address


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, headless."""
    executable = shutil.which("chromium")
    assert executable, "install Debian's chromium; `make test` does"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()
