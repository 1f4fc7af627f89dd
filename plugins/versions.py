"""Addresses of this version of the data, /twittosphere-<digest>/…: the facts that they give never change, so caches may keep them for good."""

import re
from urllib.parse import unquote

from datasette import hookimpl
from datasette.utils.asgi import asgi_send_redirect

from build_db import DATABASE

# The first digits of the digest that the table _package holds, seven or more of them.
OF_A_VERSION = re.compile(rf"/{DATABASE}-(?P<digest>[0-9a-f]{{7,64}})(?P<rest>(?:[/.].*)?)")
FOR_GOOD = b"public, max-age=31536000, immutable"


@hookimpl(tryfirst=True)  # inside the language, which is read from the beginning of an address
def asgi_wrapper(datasette):
    """Answer addresses of this version as those without its digest, to be kept for good; lead from those of another version to this one."""

    def wrap(app):
        async def versioned(scope, receive, send):
            asked = OF_A_VERSION.fullmatch(scope["raw_path"].decode("latin-1")) if scope["type"] == "http" else None  # raw_path is there: language.py writes it
            if not asked:
                return await app(scope, receive, send)
            path = f"/{DATABASE}{asked['rest']}"
            if not datasette.jinja_env.globals["package"]()["digest"].startswith(asked["digest"]):
                query = scope["query_string"].decode("latin-1")
                return await asgi_send_redirect(send, path + (f"?{query}" if query else ""))

            async def for_good(message):
                if message["type"] == "http.response.start" and message["status"] == 200:
                    message = {**message, "headers": [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"] + [(b"cache-control", FOR_GOOD)]}
                await send(message)

            await app({**scope, "raw_path": path.encode("latin-1"), "path": unquote(path)}, receive, for_good)

        return versioned

    return wrap
