"""The site of this directory as an ASGI application, for servers with several workers.

    uvicorn asgi:site --factory --workers 2
"""

from pathlib import Path

from datasette.app import Datasette


def site():
    """Return what `datasette .` serves."""
    return Datasette(config_dir=Path.cwd()).app()
