"""data/ as a workbook: the same bytes back, and a plain word for whatever cannot be taken."""

import datetime
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner

import build_db
import twittosphere
from servers import ROOT
from twittosphere import editing
from twittosphere.cli import cli


@pytest.fixture
def run(small: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the command on the small data directory; give (exit status, output)."""
    monkeypatch.setattr(twittosphere, "SITE", small.parent)

    def run(*arguments: object) -> tuple[int, str]:
        finished = CliRunner().invoke(cli, list(map(str, arguments)))
        return finished.exit_code, finished.output

    return run


@pytest.fixture
def workbook(run: Callable, tmp_path: Path) -> Path:
    assert run("export", "--xlsx", tmp_path / "edit.xlsx") == (0, f"{tmp_path / 'edit.xlsx'}: 3 organisations, 2 accounts, 2 events, 1 uses, 2 figures, 1 cohorts, 1 cohort_members, 2 sources\n")
    return tmp_path / "edit.xlsx"


def edit(workbook: Path, sheet: str, cells: dict[str, object]) -> None:
    """Set cells of a sheet, named as spreadsheets name them: B4."""
    book = openpyxl.load_workbook(workbook)
    for at, value in cells.items():
        book[sheet][at] = value
    book.save(workbook)


def texts(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.glob("*.csv")}


EVENT = {"B4": "orange", "D4": "award", "E4": "2013-05", "F4": "stated", "G4": " Orange  wins again ", "K4": "blog-2008"}


def test_a_workbook_gives_the_same_bytes_back(tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(ROOT / "data", data)
    editing.write_workbook(data, tmp_path / "all.xlsx", list(editing.EDITED) + ["event_types"])
    package = editing.read_package(data)
    sheets = editing.read_workbook(tmp_path / "all.xlsx", package)
    for resource in package["resources"]:
        if resource["name"] in sheets:
            assert editing.canonical(resource, sheets[resource["name"]].rows).encode() == (data / resource["path"]).read_bytes(), resource["name"]
    assert len(sheets) == 9 and editing.proposed(data, tmp_path / "all.xlsx") == ({}, [])


def test_libreoffice_changes_nothing(run: Callable, workbook: Path, tmp_path: Path):
    office = shutil.which("soffice") or shutil.which("libreoffice")
    if not office:
        pytest.skip("Debian's libreoffice-calc is not installed")
    saved = tmp_path / "saved"
    subprocess.run([office, f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless", "--convert-to", "xlsx", "--outdir", saved, workbook], check=True, capture_output=True)
    assert run("import", "--check", saved / workbook.name) == (0, "0 added, 0 removed, 0 changed; nothing was written\n")


def test_words_can_be_chosen_from_a_list(workbook: Path):
    book = openpyxl.load_workbook(workbook)
    lists = {str(rule.sqref): rule.formula1 for rule in book["events"].data_validations.dataValidation}
    assert set(lists) == {"D2:D1048576", "F2:F1048576"}
    first, last = lists["D2:D1048576"].removeprefix("words!").replace("$", "").split(":")
    offered = [cell.value for row in book["words"][first:last] for cell in row]
    assert {"award", "crisis", "left"} <= set(offered) and None not in offered
    meanings = [[cell.value for cell in row] for row in book["columns"].iter_rows()]
    assert ["events", "dating"] in [row[:2] for row in meanings] and all(row[2] for row in meanings)
    assert book["events"]["E9"].number_format == "General" and book["events"].column_dimensions["E"].number_format == "@"


def test_what_was_added_changed_and_removed_is_shown_then_written(run: Callable, workbook: Path, small: Path):
    edit(workbook, "events", EVENT)
    edit(workbook, "figures", {"F2": 23000})
    book = openpyxl.load_workbook(workbook)
    book["uses"].delete_rows(2)
    book.save(workbook)
    before = texts(small)
    today = datetime.date.today().isoformat()
    shown = f"""+ events/orange-2013-award
    organisation: orange
    type: award
    date: 2013-05
    dating: stated
    title: Orange wins again
    sources: blog-2008
    added: {today}
- uses/orange-2011-customer-service
~ figures/comcast-2009-followers
    value: 22000 → 23000
1 added, 1 removed, 1 changed"""
    assert run("import", "--check", workbook) == (0, f"{shown}; nothing was written\n") and texts(small) == before
    status, said = run("import", workbook)
    assert status == 1 and "1 rows would be lost" in said and "--remove" in said and texts(small) == before
    assert run("import", "--remove", workbook) == (0, f"{shown}\n")
    after = texts(small)
    assert {name for name in after if after[name] != before[name]} == {"events.csv", "uses.csv", "figures.csv"}
    assert after["events.csv"].decode().splitlines()[-1] == f"orange-2013-award,orange,,award,2013-05,stated,Orange wins again,,,,blog-2008,{today},"
    assert build_db.build(small, small.parent / "small.db")["events"] == 3


WRONG = {
    "a word that is not there": ("events", {"F2": "state"}, 'sheet events, row 2: dating: "state" is not in the sheet datings, did you mean "stated"'),
    "a date that the spreadsheet made": ("events", {"E2": datetime.datetime(2008, 4, 1)}, "sheet events, row 2: date: 2008-04-01 has become a date of the spreadsheet"),
    "a truth value": ("events", {"G2": True}, "sheet events, row 2: title: True has become a truth value"),
    "a formula": ("events", {"G2": "=1+1"}, 'sheet events, row 2: title: "=1+1" begins with ='),
    "a source that is not there": ("events", EVENT | {"K4": "blog-2009"}, 'sheet events, row 4: sources: "blog-2009" is not in the sheet sources, did you mean "blog-2008"'),
    "a word far from all": ("uses", {"H2": "museum"}, 'sheet uses, row 2: posture: "museum" is not in the sheet postures (answering, automated,'),
    "a note beside the table": ("uses", {"T2": "ask Anna"}, "sheet uses, row 2: has a cell beyond the last column"),
    "an id that was made and is taken": ("events", EVENT | {"E4": "2012"}, 'sheet events, row 4: id: "orange-2012-award", which this row would get, stands already in row 3'),
    "an id twice": ("events", {"A3": "comcast-2008-service-launched"}, 'sheet events, row 3: id: "comcast-2008-service-launched" stands already in row 2'),
    "a column less": ("events", {"F1": None}, "sheet events, row 1: dating is missing; a blank is no column"),
    "a row that others name": ("organisations", {"A3": "orange-sa"}, 'accounts.csv:3: organisation: "orange" is not in the sheet organisations'),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_name_sheet_row_and_column(run: Callable, workbook: Path, small: Path, case: str):
    sheet, cells, wanted = WRONG[case]
    edit(workbook, sheet, cells)
    before = texts(small)
    status, said = run("import", workbook)
    assert status == 1 and wanted in said and "Nothing was written." in said and "Traceback" not in said
    assert texts(small) == before


def test_other_files_are_refused(run: Callable, workbook: Path, small: Path, tmp_path: Path):
    (tmp_path / "not.xlsx").write_text("id,organisation\n", encoding="utf-8")
    status, said = run("import", tmp_path / "not.xlsx")
    assert status == 1 and "is no workbook" in said
    book = openpyxl.load_workbook(workbook)
    book["uses"].title = "use"
    book.save(workbook)
    status, said = run("import", workbook)
    assert status == 1 and "sheet use, row 1: no table is called so, did you mean" in said
    assert run("export", "--xlsx", tmp_path / "x.xlsx", "event") == (1, f"Error: there is no table event in {small}\n")
    assert run("export", "--xlsx", tmp_path / "x.xlsx", "events", "uses") == (0, f"{tmp_path / 'x.xlsx'}: 2 events, 1 uses\n")
    assert run("export")[0] == 2


def test_tidy_shows_the_difference_then_mends_it(run: Callable, small: Path):
    assert run("tidy")[0] == 0
    path = small / "events.csv"
    text = path.read_text(encoding="utf-8")
    first, second, third = text.splitlines()
    path.write_bytes(f'{first}\r\n{third}\r\n"{second.replace(",", chr(34) + ",", 1)}\r\n'.encode())
    status, said = run("tidy", "--check")
    assert status == 1 and "-orange-2012-award" in said and '-"comcast-2008-service-launched"' in said and "+comcast-2008-service-launched" in said
    assert run("tidy") == (0, f"{path}: tidied\n") and path.read_text(encoding="utf-8") == text
    assert run("tidy", "--check") == (0, "")
    broken = text.replace(third, f"{third},,")
    path.write_text(broken, encoding="utf-8")
    status, said = run("tidy")
    assert status == 1 and f"{path}:3: " in said and "cells where the first line has" in said and "Nothing was written." in said
    assert path.read_text(encoding="utf-8") == broken


@pytest.mark.parametrize(("table", "row", "id"), [
    ("events", {"organisation": "sncf", "date": "2011-05-02", "type": "service_launched"}, "sncf-2011-service-launched"),
    ("figures", {"organisation": "", "cohort": "cac-40-2012-03", "date": "2012", "metric": "share_with_account"}, "cac-40-2012-03-2012-share-with-account"),
    ("uses", {"organisation": "sncf", "since": "2011", "type": "press_relations"}, "sncf-2011-press-relations"),
    ("accounts", {"handle": "Orange_Conseil"}, "orange_conseil"),
    ("cohort_members", {"cohort": "cac-40-2012-03", "organisation": "orange"}, "cac-40-2012-03--orange"),
    ("sources", {"publisher": "Société générale", "published": "", "title": "Le fil de la banque sur Twitter"}, "societe-generale-nd-banque-twitter"),
    ("organisations", {"name": "Électricité de France"}, "electricite-de-france"),
])
def test_ids_that_nobody_typed(table: str, row: dict[str, str], id: str):
    assert editing.own_id(table, row) == id
