#!/usr/bin/env python3
"""Draw facts to be read again against their sources, and say how many of those read before held.

    audit.py [--draw N] [--seed NUMBER] [--db FILE]

The sample is spread over the tables and the years as the facts are. Each fact is read by somebody
who did not write it, and becomes a row of data/audits.csv, faults and all; only then is it mended.
"""

import argparse
import csv
import random
import sqlite3
import sys
from pathlib import Path

from build_db import DATABASE, ROOT


def draw(db: sqlite3.Connection, count: int, seed: int) -> list[tuple]:
    """Return (fact, date, dating, title, addresses of its sources) of facts not audited yet: every k-th in order of table and date, from a random start."""
    facts = db.execute("""
        SELECT f.fact, f.date, f.dating, f.title, (SELECT group_concat(s.url, ' ') FROM citations c JOIN sources s ON s.id = c.source WHERE c.fact = f.fact)
        FROM facts f WHERE f.fact NOT IN (SELECT fact FROM audits) ORDER BY f."table", f.date, f.fact""").fetchall()
    step = len(facts) / min(count, len(facts))
    start = random.Random(seed).random() * step
    return [facts[int(start + place * step)] for place in range(min(count, len(facts)))]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 where there is no database or it is used wrongly."""
    parser = argparse.ArgumentParser(description="Draw facts to audit, or print what the audits so far have found.")
    parser.add_argument("--draw", type=int, metavar="N", help="print N facts to read, as CSV")
    parser.add_argument("--seed", type=int, default=1, metavar="NUMBER", help="seed of the draw, to be noted as the sample (default: 1)")
    parser.add_argument("--db", type=Path, default=ROOT / f"{DATABASE}.db", metavar="FILE", help=f"database to read (default: {DATABASE}.db)")
    options = parser.parse_args(arguments)
    if options.draw is not None and options.draw < 1:
        parser.error(f"--draw {options.draw}: draw one fact at least")
    if not options.db.is_file():
        parser.error(f"{options.db} is not there; build it first with build_db.py")
    db = sqlite3.connect(f"file:{options.db}?mode=ro", uri=True)
    if options.draw:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["fact", "date", "dating", "title", "sources"])
        writer.writerows(draw(db, options.draw, options.seed))
    else:
        for sample, table, audited, unreachable, supported, percent, low, high in db.execute('SELECT sample, coalesce("table", \'all\'), audited, unreachable, supported, percent, low, high FROM precision ORDER BY date, id'):
            print(f"sample {sample}, {table}: {supported} of {audited - unreachable} facts that could be judged are supported in every field, {percent} % (95 % interval {low} to {high}); {audited} drawn")
    db.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
