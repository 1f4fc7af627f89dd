"""RESULTS.md: what each benchmark printed when it was last run with the same arguments, on which machine, with what."""

import contextlib
import datetime
import io
import os
import platform
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = "# Results\n\nEach section was written by the command in its heading, which repeats it. Times differ from machine to machine; ratios less so.\n"
PACKAGES = ("datasette", "sqlite-utils", "uvicorn", "starlette")


class Both(io.TextIOBase):
    """A stream that shows what is written, and keeps it."""

    def __init__(self) -> None:
        self.shown, self.kept = sys.stdout, io.StringIO()

    def write(self, text: str) -> int:
        self.kept.write(text)
        return self.shown.write(text)

    def flush(self) -> None:
        self.shown.flush()


def machine() -> str:
    """Return processor, memory, system and versions in one line."""
    names = re.findall(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE) or [platform.machine()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores of {names[0]}, {memory:.0f} GB, {platform.freedesktop_os_release()['PRETTY_NAME']}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}"


@contextlib.contextmanager
def recorded() -> Iterator[None]:
    """For a `with` block, print as ever, and put what was printed into RESULTS.md in place of the last run of the same command."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    with contextlib.redirect_stdout(Both()) as both:
        yield
    heading = f"\n## `{command}`\n"
    section = f"{heading}\n{datetime.date.today().isoformat()}, {machine()}.\n\n```\n{both.kept.getvalue().strip()}\n```\n"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    start = text.find(heading)
    end = text.find("\n## ", start + 1) if start >= 0 else -1
    RESULTS.write_text((text[:start] if start >= 0 else text) + section + (text[end:] if end >= 0 else ""), encoding="utf-8")
