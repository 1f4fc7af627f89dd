"""Headers of every answer: what a browser may load from it, and who may read it."""

from datasette import hookimpl

HEADERS = {
    # Nothing but our own files; no script and no style inside a page. Tools that read robots.txt from a page need connect-src.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
}
OPEN = ("application/json", "text/csv")  # open data: scripts of other sites may read them


@hookimpl(trylast=True)  # around all others, for their refusals too
def asgi_wrapper(datasette):
    """Add HEADERS to every answer that does not set its own, let pages be kept for a while, and open JSON and CSV to other sites."""
    kept = {"cache-control": f"max-age={datasette.setting('default_cache_ttl')}"}

    def wrap(app):
        async def with_headers(scope, receive, send):
            async def add(message):
                if message["type"] == "http.response.start":
                    given = {name.decode().lower(): value.decode("latin-1") for name, value in message.get("headers", [])}
                    extra = HEADERS | ({"access-control-allow-origin": "*"} if given.get("content-type", "").startswith(OPEN) else {}) | (kept if message["status"] == 200 else {})
                    message = {**message, "headers": [*message.get("headers", []), *((name.encode(), value.encode()) for name, value in extra.items() if name not in given)]}
                await send(message)

            await app(scope, receive, add)

        return with_headers

    return wrap
