"""The catalog's pages for visitors, served from the memory of the process (docs/adr/0025).

What is kept was made for a request without a session, is the same for everybody, and is looked up by all it depends on:
version of the catalog, day, address (the language is in it) and what of the query means anything.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from threading import Lock

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_vary_headers

from enrollment.reports.finding import wish_of
from portal.middleware import OTHER_LANGUAGES

# By the names of their routes; the pattern is there to look nothing else up.
PAGES = frozenset({"courses", "course", "course_cover", "course_picture", "courses_feed", "courses_calendar"})
_ADDRESS = re.compile(
    rf"/(?P<language>(?:{'|'.join(sorted(OTHER_LANGUAGES))})/)?courses/"
    r"(?P<one>[-\w]+/(?:cover\.(?:svg|png))?|feed\.atom|calendar\.ics)?"
)
# With one of these a page may hold something of its reader's.
_OWN_COOKIES = frozenset({settings.SESSION_COOKIE_NAME, "messages"})
_READ_EVERY = 1.0  # seconds
_OVERHEAD = 1024  # bytes that a page takes beside its content, about
_VERSION = "SELECT count(*), sum(id) FROM catalog_catalogchange"

GetResponse = Callable[[HttpRequest], HttpResponseBase]


@dataclass(frozen=True)
class Page:
    content: bytes
    headers: tuple[tuple[str, str], ...]
    etag: str

    def response(self, request: HttpRequest) -> HttpResponseBase:
        response = HttpResponse(self.content, headers=dict(self.headers))
        if "HTTP_IF_NONE_MATCH" not in request.META:
            return response
        return get_conditional_response(request, etag=self.etag, response=response) or response


class Pages:
    """Those that were asked for last, within so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._held, self._lock = most_bytes, 0, Lock()
        self._pages: OrderedDict[tuple[str, ...], Page] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> Page | None:
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
            return page

    def put(self, key: tuple[str, ...], page: Page) -> None:
        """A page that would push out a quarter of all others is not kept."""
        with self._lock:
            if _size(page) <= self._most / 4 and key not in self._pages:
                self._pages[key] = page
                self._held += _size(page)
            while self._held > self._most:
                self._held -= _size(self._pages.popitem(last=False)[1])

    @property
    def held(self) -> int:
        """In bytes."""
        return self._held


class Version:
    """Of the catalog, and the local day: another one means other pages. Read at most once a second in each process."""

    def __init__(self) -> None:
        self._read_at, self._version = float("-inf"), ""

    def now(self) -> str:
        """Empty while the database does not answer."""
        at = time.monotonic()
        if at - self._read_at >= _READ_EVERY:
            self._version, self._read_at = self._read(), at
        return self._version

    @staticmethod
    def _read() -> str:
        try:
            with connection.cursor() as cursor:
                cursor.execute(_VERSION)
                return f"{cursor.fetchone()} {timezone.localdate()}"
        except Error:
            return ""


class PageCacheMiddleware:
    """Stands outside all that knows people: what has a session goes by. What it keeps comes with all headers but those
    of the middleware before it."""

    def __init__(self, get_response: GetResponse) -> None:
        if not settings.PAGE_CACHE_MB:
            raise MiddlewareNotUsed
        self._get_response = get_response
        self._pages, self._version = Pages(settings.PAGE_CACHE_MB * 1024 * 1024), Version()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        query = _query_of(request)
        version = "" if query is None else self._version.now()
        if query is None or not version:
            return self._get_response(request)
        request.get_host()  # refuses the names of other sites
        key = (version, request.path_info, query)
        page = self._pages.get(key) or self._made(request, key)
        return page.response(request) if isinstance(page, Page) else page

    def _made(self, request: HttpRequest, key: tuple[str, ...]) -> Page | HttpResponseBase:
        # What else was asked can not come to stand in the page.
        request.META["QUERY_STRING"] = key[-1]
        response = self._get_response(request)
        if not _may_be_kept(request, response):
            return response
        page = _page_of(response)
        self._pages.put(key, page)
        return page


def _query_of(request: HttpRequest) -> str | None:
    """What of the query means anything, in one order; None for all that is no page of the catalog for a visitor."""
    address = _ADDRESS.fullmatch(request.path_info) if request.method == "GET" else None
    if address is None or (request.COOKIES and _is_somebodys(request, plain=not address["language"])):
        return None
    asked = request.META.get("QUERY_STRING")
    return _meaning_of(asked) if asked and not address["one"] else ""


@lru_cache(maxsize=1024)
def _meaning_of(query: str) -> str:
    return wish_of(QueryDict(query.encode("latin-1", "replace")).dict()).query()  # as WSGI tells bytes


def _is_somebodys(request: HttpRequest, *, plain: bool) -> bool:
    """Whoever chose another language is sent on from a plain address."""
    sent_on = plain and request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) in OTHER_LANGUAGES
    return sent_on or not _OWN_COOKIES.isdisjoint(request.COOKIES)


def _may_be_kept(request: HttpRequest, response: HttpResponseBase) -> bool:
    """A cookie that is set, for forms too, makes a page its reader's."""
    route = request.resolver_match.url_name if request.resolver_match else None
    return (
        route in PAGES
        and isinstance(response, HttpResponse)
        and response.status_code == 200
        and not response.cookies
        and b"csrfmiddlewaretoken" not in response.content
        and not {"private", "no-store"} & set(re.findall(r"[\w-]+", response.get("Cache-Control", "")))
    )


def _page_of(response: HttpResponseBase) -> Page:
    """Browsers ask each time whether it is still so: once they are signed in, the page is another one."""
    assert isinstance(response, HttpResponse)
    etag = f'"{sha256(response.content).hexdigest()[:32]}"'
    response.headers["ETag"] = etag
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers.setdefault("Content-Length", str(len(response.content)))
    patch_vary_headers(response, ["Cookie"])
    return Page(response.content, tuple(response.headers.items()), etag)


def _size(page: Page) -> int:
    return len(page.content) + _OVERHEAD
