"""How organisations adopted Twitter, since 2006: the sourced data set as a read-only SQLite database.

>>> import twittosphere
>>> db = twittosphere.connect()
>>> row = db.execute("select name, country from organisations where id = 'orange'").fetchone()
>>> row["name"], row["country"]
('Orange', 'FR')
>>> db.close()
>>> len(twittosphere.table("countries")) > 190
True
"""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    import pandas
    import polars

# A wheel holds the site with the database that was built for it; a clone of the repository is the site itself.
_packaged = Path(__file__).with_name("site")
SITE = _packaged if _packaged.is_dir() else Path(__file__).resolve().parents[1]
PATH = SITE / "twittosphere.db"


def connect() -> sqlite3.Connection:
    """Open the database read-only, with rows that are read by column: row["name"].

    Raises FileNotFoundError in a clone where it has not been built.
    """
    if not PATH.is_file():
        raise FileNotFoundError(f"{PATH} is not there; build it with build_db.py")
    db = sqlite3.connect(f"{PATH.as_uri()}?mode=ro&immutable=1", uri=True)
    db.row_factory = sqlite3.Row
    return db


def about() -> dict[str, str]:
    """Return what the build wrote of this version: version, created, digest (SHA-256 of the facts) and others."""
    db = connect()
    try:
        return {key: value for key, value in db.execute("SELECT key, value FROM _package")}
    finally:
        db.close()


@overload
def table(name: str, frame: None = None) -> list[dict[str, Any]]: ...
@overload
def table(name: str, frame: Literal["pandas"]) -> "pandas.DataFrame": ...
@overload
def table(name: str, frame: Literal["polars"]) -> "polars.DataFrame": ...
def table(name: str, frame: Literal["pandas", "polars"] | None = None) -> Any:
    """Return all rows of a table, in the order in which the build wrote them: a dict for each, or a frame of pandas or polars if it is installed.

    The tables are those of `select name from _tables`; columns and units stand in `_columns`. Raises ValueError for a
    table that is not there, and ImportError where the library of the frame is missing.
    """
    db = connect()
    try:
        if name not in {row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}:
            raise ValueError(f"there is no table {name!r}; `select name from _tables` tells which there are")
        cursor = db.execute(f'SELECT * FROM "{name}"')
        columns = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    finally:
        db.close()
    if frame == "pandas":
        import pandas

        return pandas.DataFrame([tuple(row) for row in rows], columns=columns).convert_dtypes()
    if frame == "polars":
        import polars

        return polars.DataFrame([tuple(row) for row in rows], schema=columns, orient="row", infer_schema_length=None)
    return [dict(row) for row in rows]


def __getattr__(name: str) -> str:
    """Give VERSION, the version of the data, when it is asked for: the database may not be built yet."""
    if name == "VERSION":
        return about()["version"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
