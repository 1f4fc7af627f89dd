"""The site of the working directory as an ASGI application, for servers with several workers.

    uvicorn twittosphere.asgi:site --factory --workers 2
"""

from pathlib import Path
from typing import Any

from datasette.app import Datasette


def site() -> Any:
    """Return what `datasette .` serves."""
    return Datasette(config_dir=Path.cwd()).app()
