"""The site in two languages: English at /…, French at /fr/…, each linking to itself; dates and numbers in words."""

import contextvars
import datetime
import functools
from urllib.parse import unquote

import markupsafe
from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal
from datasette import hookimpl
from datasette.utils.asgi import Response

from build_db import french

LANGUAGES = {"en": "English", "fr": "Français"}
LOCALES = {"en": Locale("en", "GB"), "fr": Locale("fr", "FR")}
typeset = functools.lru_cache(maxsize=2000)(french)
language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="en")


@hookimpl
def startup(datasette):
    """Make the base address of a French request end in fr/, so that every link that Datasette writes stays French.

    Other plugins ask datasette.language() and datasette.base_url.
    """
    setting = datasette.setting
    datasette.base_url = setting("base_url")
    datasette.language = language.get
    datasette.setting = lambda key: f"{datasette.base_url}fr/" if key == "base_url" and language.get() == "fr" else setting(key)


@hookimpl
def asgi_wrapper(datasette):
    """Read the language from the address."""

    def prefixed(location: bytes) -> bytes:
        """Return the address of a redirection in the language of the request: Datasette forgets it where it takes away a last slash."""
        base = datasette.setting("base_url").encode()
        return base + location[1:] if location.startswith(b"/") and not location.startswith(base) else location

    def wrap(app):
        async def in_language(scope, receive, send):
            if scope["type"] != "http":
                return await app(scope, receive, send)
            # Strip the base address as a proxy would: Datasette adds it to what follows.
            raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").removeprefix(datasette.base_url).removeprefix("/")
            before = language.set("fr" if raw.startswith("fr/") else "en")
            raw = "/" + raw.removeprefix("fr/")
            scope = {**scope, "path": unquote(raw.partition("?")[0]), "raw_path": raw.encode("latin-1")}

            async def send_with_language(message):
                if message["type"] == "http.response.start":
                    headers = [(name, prefixed(value) if name.lower() == b"location" else value) for name, value in message.get("headers", [])]
                    message = {**message, "headers": [*headers, (b"content-language", language.get().encode())]}
                await send(message)

            try:
                await app(scope, receive, send_with_language)
            finally:
                language.reset(before)  # a page may ask for another one inside its own request

        return in_language

    return wrap


@hookimpl
def register_routes():
    """Lead /fr to /fr/."""
    return [(r"^/fr$", lambda datasette: Response.redirect(f"{datasette.base_url}fr/", status=301))]


def tr(english: str, in_french: str) -> str:
    """Return the text in the language of the request."""
    return typeset(in_french) if language.get() == "fr" and in_french else english


def counted(count: int, english: str, in_french: str) -> str:
    """Write a number with its noun, in the plural where the language has it: 0 rows, 0 ligne."""
    many = count != 1 if language.get() == "en" else count > 1
    return f"{number(count)} {tr(english, in_french)}{'s' if many else ''}"


def number(value: float | int | None) -> str:
    """Write a number with the separators of the language: 22,000.5 or 22 000,5; nothing for None."""
    return "" if value is None else in_figures(value, language.get())


@functools.lru_cache(maxsize=5000)
def in_figures(value: float | int, spoken: str) -> str:
    """Write a number with the separators of a language."""
    return format_decimal(value, "#,##0.######", locale=LOCALES[spoken])


def day(date: str | None) -> str:
    """Write a partial date (2009, 2009-04, 2009-04-17) in words: 2009, April 2009, 17 April 2009."""
    return date if date and len(date) == 4 else in_words(date, language.get()) if date else ""


@functools.lru_cache(maxsize=5000)
def in_words(date: str, spoken: str) -> str:
    """Write a date that is finer than a year in the words of a language."""
    if len(date) == 7:
        return format_skeleton("yMMMM", datetime.date.fromisoformat(f"{date}-01"), locale=LOCALES[spoken])
    text = format_date(datetime.date.fromisoformat(date), "long", locale=LOCALES[spoken])
    return text.replace("1 ", "1er ", 1) if spoken == "fr" and text.startswith("1 ") else text


def dated(date: str | None, dating: str | None) -> str:
    """Say when, and how that is known: "by April 2009 at the latest", "en 2009 (date déduite)"."""
    if not date:
        return tr("at a date not known", "à une date inconnue")
    whole = len(date) == 10
    when = tr(f"{'on' if whole else 'in'} {day(date)}", f"{'le' if whole else 'en'} {day(date)}")
    return {
        "published": tr(f"as of {day(date)}, the date of the page", f"{when}, à la date de la page"),
        "by": tr(f"by {day(date)} at the latest", f"au plus tard {when}"),
        "inferred": tr(f"{when} (date inferred)", f"{when} (date déduite)"),
    }.get(dating, when)


def text(row, name: str) -> str:
    """Return a column of a row in the language of the page; English that has no French version is marked as such."""
    if language.get() == "en":
        return row[name] or ""
    return row[f"{name}_fr"] or (markupsafe.Markup('<span lang="en">{}</span>').format(row[name]) if row[name] else "")


@hookimpl
def prepare_jinja2_environment(env, datasette):
    """Give every template, error pages too, the language and its ways of writing."""
    env.globals |= {"tr": tr, "text": text, "counted": counted, "languages": LANGUAGES, "datasette": datasette}
    env.filters |= {"number": number, "day": day, "dated": dated}
