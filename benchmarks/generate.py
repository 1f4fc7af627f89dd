"""Write a data directory of any size in the schema of data/, to build and to serve it as large as you like.

    python benchmarks/generate.py DIR [--scale N] [--seed NUMBER]

Scale 1 is 100,000 organisations, 1,000,000 events, 300,000 uses, 500,000 figures, 200,000 sources and about
2.5 million citations; --scale 0.01 a hundredth of each. Each row takes after a row of the real data: its coded
words, its dates at their precision, its blanks. Texts are new strings of the same words, with as many words as
their model; a few are coined, so that rare words exist too. References are skewed as the real ones are: a few
organisations have very many facts. The same seed gives the same bytes.
"""

import argparse
import csv
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
ROWS = {"organisations": 100_000, "sources": 200_000, "accounts": 60_000, "events": 1_000_000, "uses": 300_000, "figures": 500_000, "cohort_members": 30_000}
CITATIONS = 2_500_000
SKEW = 3  # a reference is row number n · u³ for a u drawn evenly from 0 to 1
TEXTS = {"name", "other_names", "title", "title_fr", "summary", "summary_fr", "note", "note_fr", "author", "remark"}
SYLLABLES = ["ba", "co", "di", "fo", "gu", "la", "me", "ni", "po", "ra", "se", "ti", "vo", "xu", "zé"]


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a real table as text."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def writer_of_texts(rng: random.Random, models: list[dict[str, str]], column: str) -> Callable[[int, int], str]:
    """Return a function that strings about so many words of a column together, within a length in characters."""
    words = [word for row in models for word in row[column].split()] or ["x"]

    def text(length: int, longest: int) -> str:
        chosen = rng.choices(words, k=length)
        if rng.random() < 0.02 * length:
            chosen[rng.randrange(length)] = "".join(rng.choices(SYLLABLES, k=4))
        line = " ".join(chosen).lstrip("=+- ") or "x"  # never what a spreadsheet takes for a formula
        return line if len(line) <= longest else line[:longest].rsplit(" ", 1)[0].strip()

    return text


def rows_of(table: dict, sizes: dict[str, int], ids: dict[str, Callable[[int], str]], second: float, rng: random.Random) -> Iterator[dict[str, str]]:
    """Yield the rows of one table; `second` is the chance that a model's second and later sources are kept."""
    name, fields = table["name"], table["schema"]["fields"]
    models = read(name)
    texts = {field["name"]: writer_of_texts(rng, models, field["name"]) for field in fields if field["name"] in TEXTS}
    limits = {field["name"]: field.get("constraints", {}).get("maxLength", 5000) for field in fields}
    links = {key["fields"]: key["reference"]["resource"] or name for key in table["schema"].get("foreignKeys", [])}

    def reference(target: str) -> str:
        return ids[target](int(sizes[target] * rng.random() ** SKEW))

    for number in range(sizes[name]):
        model = rng.choice(models)
        row = dict(model)
        for column, value in model.items():
            if column == "sources" and value:
                cited = {}
                for place, part in enumerate(value.split("; ")):
                    if place == 0 or rng.random() < second:
                        cited.setdefault(reference("sources"), "!" if place and part.startswith("!") else "")
                row[column] = "; ".join(mark + source for source, mark in cited.items())
            elif value and links.get(column) in sizes:
                row[column] = ids[name](number // 2) if links[column] == name else reference(links[column])
                if links[column] == name and number < 2:
                    row[column] = ""
            elif value and column in texts:
                row[column] = texts[column](len(value.split()), limits[column])
        row["id"] = ids[name](number)
        for column, unique in (("handle", row["id"]), ("wikidata", f"Q{number + 1}"), ("numeric_id", str(number)), ("url", f"https://example.org/{row['id']}")):
            if model.get(column):
                row[column] = unique
        if name == "cohort_members":
            row["organisation"] = ids["organisations"](number)
            row["id"] = f"{row['cohort']}--{row['organisation']}"
        yield row


def generate(directory: Path, scale: float, seed: int) -> dict[str, int]:
    """Write the directory and return the rows and citations written."""
    directory.mkdir(parents=True)
    package = json.loads((DATA / "datapackage.json").read_text(encoding="utf-8"))
    sizes = {name: max(2, round(rows * scale)) for name, rows in ROWS.items()}
    ids = {name: (lambda number, stem=name[:-1].replace("_", "-"): f"{stem}-{number:07}") for name in sizes} | {"accounts": lambda number: f"a_{number:07}"}  # in order of ids, as our own files are
    cited = {name: [len(row["sources"].split("; ")) for row in read(name)] for name in ("accounts", "events", "uses", "figures", "cohort_members")}
    rows = sum(sizes[name] for name in cited)
    further = sum(sizes[name] * (sum(counts) / len(counts) - 1) for name, counts in cited.items())
    second = min(1, max(0, (CITATIONS * scale - rows) / further))
    counts = {}
    for file in DATA.iterdir():
        if file.stem not in sizes:
            shutil.copy(file, directory)
    for number, table in enumerate(package["resources"]):
        name = table["name"]
        if name in sizes or name == "cohorts":
            rng = random.Random(f"{seed}-{name}")
            header = [field["name"] for field in table["schema"]["fields"]]
            with (directory / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, header, lineterminator="\n")
                writer.writeheader()
                rows = cohorts(sizes, ids, rng) if name == "cohorts" else rows_of(table, sizes, ids, second, rng)
                rows = sorted(rows, key=lambda row: row["id"]) if name == "cohort_members" else rows
                counts[name] = citations = 0
                for row in rows:
                    writer.writerow(row)
                    counts[name] += 1
                    citations += row.get("sources", "").count("; ") + bool(row.get("sources"))
                counts["citations"] = counts.get("citations", 0) + citations
    return counts


def cohorts(sizes: dict[str, int], ids: dict[str, Callable[[int], str]], rng: random.Random) -> Iterator[dict[str, str]]:
    """Yield the real cohorts, with sources of the generated ones."""
    for row in read("cohorts"):
        yield row | {"sources": ids["sources"](rng.randrange(sizes["sources"])) if row["sources"] else ""}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory to make")
    parser.add_argument("--scale", type=float, default=1, metavar="N", help="1 for a million events (default)")
    parser.add_argument("--seed", type=int, default=1, metavar="NUMBER", help="seed (default: 1)")
    options = parser.parse_args()
    print(", ".join(f"{count:,} {name}" for name, count in generate(options.directory, options.scale, options.seed).items()))
