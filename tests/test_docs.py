"""README.md: what it promises is there."""

import json
import re
import shlex
import sqlite3
import subprocess
import tomllib
import urllib.parse
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import twittosphere
from conftest import ROOT
from twittosphere.cli import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
METADATA = yaml.safe_load((ROOT / "metadata.yml").read_text(encoding="utf-8"))["databases"]["twittosphere"]


def diagram() -> str:
    """Draw the declared tables of facts and what they refer to, vocabularies left out, as a Mermaid entity diagram."""
    package = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
    vocabularies = {table["name"] for table in package["resources"] if any(field["name"] == "label_en" for field in table["schema"]["fields"])}
    lines = ["erDiagram"]
    for table in package["resources"]:
        for key in table["schema"].get("foreignKeys", []):
            target = key["reference"]["resource"] or table["name"]
            if target not in vocabularies:
                lines.append(f"  {table['name']} }}o--o| {target} : {key['fields']}")
        if any(field["name"] == "sources" for field in table["schema"]["fields"]):
            lines.append(f"  {table['name']} }}o--o{{ sources : sources")
    return "\n".join(lines)


def test_diagram_is_the_declaration():
    shown = re.search(r"<!-- diagram -->\n```mermaid\n(.*?)```\n<!-- /diagram -->", README, re.S)[1]
    assert shown == diagram() + "\n"


def test_ten_questions():
    questions = README.partition("## Ten questions")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d+\. ", questions, re.M)) == 10
    for path in re.findall(r"\(http://127\.0\.0\.1:8001/twittosphere/([^)]*)\)", questions):
        query = METADATA["queries"][urllib.parse.urlsplit(path).path]
        for parameter in urllib.parse.parse_qs(urllib.parse.urlsplit(path).query):
            assert f":{parameter}" in query["sql"]


@pytest.mark.parametrize("sql", re.findall(r"```sql\n(.*?)```", README, re.S))
def test_sql_of_the_readme_answers(db: sqlite3.Connection, sql: str):
    assert db.execute(sql).fetchall()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.S))
def test_python_of_the_readme_runs(site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, code: str):
    monkeypatch.setattr(twittosphere, "PATH", site / "twittosphere.db")
    exec(code, {})
    printed = capsys.readouterr().out
    assert "Comcast" in printed and re.search(r"\d+ facts, version \d", printed)


@pytest.mark.parametrize("command", re.findall(r"^twittosphere (?!serve)(.+)", README, re.M))
def test_commands_of_the_readme_answer(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str):
    monkeypatch.setattr(twittosphere, "PATH", site / "twittosphere.db")
    monkeypatch.chdir(tmp_path)
    finished = CliRunner().invoke(cli, shlex.split(command))
    assert finished.exit_code == 0, finished.output
    assert "crisis" in finished.output or (tmp_path / "facts.csv").read_text(encoding="utf-8").count("\n") > 7000


def test_commands_and_files_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) - {"and"} <= targets
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r"`([\w/]+\.(?:py|json|csv|yml))`", README):
        assert (ROOT / path).exists() or (ROOT / "data" / path).exists(), path
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_version_is_said_once():
    package = json.loads((ROOT / "data" / "datapackage.json").read_text(encoding="utf-8"))
    version, citation = package["version"], yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"]), citation["title"], citation["license"]) == (version, package["created"][:10], package["title"], package["licenses"][0]["name"])
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"version {version}," in README


def test_settings_are_known_to_datasette():
    from datasette.app import DEFAULT_SETTINGS
    assert set(json.loads((ROOT / "settings.json").read_text(encoding="utf-8"))) <= set(DEFAULT_SETTINGS)


def test_nothing_built_or_fetched_is_committed():
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ignored = subprocess.run(["git", "ls-files", "--cached", "--ignored", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not ignored, "what .gitignore names is not committed"
    assert not [path for path in kept if path.endswith((".db", ".gz", ".js", ".whl", ".lock", "inspect-data.json")) and path != "static/sql.js"]  # the one script of our own


def test_every_dependency_is_pinned_and_explained():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(built) - {"setuptools>=77"} <= set(declared["dependencies"]), "the wheel is built with the versions that serve it"
    wanted = {requirement for extra in (declared["dependencies"], *declared["optional-dependencies"].values()) for requirement in extra} - {"twittosphere[release,edit,mcp]"}
    table = README[README.index("## What it stands on"):README.index("## Licences")]
    for requirement in wanted:
        name, _, version = requirement.partition("==")
        assert version and name in table, requirement
