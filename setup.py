"""What a wheel holds beside the modules: the site, with the database built from data/. Everything else stands in pyproject.toml."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))


class WithSite(build_py):
    def run(self) -> None:
        """Build the modules, then the site beside them; a clone that is installed as it is serves itself."""
        super().run()
        if self.editable_mode:
            return
        from build_db import build

        site = Path(self.build_lib) / "twittosphere" / "site"
        shutil.rmtree(site, ignore_errors=True)
        (site / "data").mkdir(parents=True)
        for name in ("templates", "static", "plugins"):
            shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__", "screenshot.png"))
        for name in ("metadata.yml", "settings.json", "data/datapackage.json"):
            shutil.copy(ROOT / name, site / name)
        build(ROOT / "data", site / "twittosphere.db")


setup(cmdclass={"build_py": WithSite})
