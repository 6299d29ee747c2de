from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_script_prefix, is_valid_path
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_path, override

OTHER_LANGUAGES = frozenset(code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE)


class RememberedLanguageMiddleware:
    """Who chose French or English reads it at every page's plain (Dutch) address too.

    Only a choice made on this site counts, never the browser's own language: a first visit stays Dutch.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_plain_page(request):
            return self.get_response(request)
        remembered = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
        response = (
            HttpResponseRedirect(_prefixed(request.get_full_path(), remembered))
            if remembered in OTHER_LANGUAGES
            else self.get_response(request)
        )
        patch_vary_headers(response, ["Cookie"])
        return response


def _is_plain_page(request: HttpRequest) -> bool:
    """A page without a language before its address, that has one with it."""
    if request.method not in ("GET", "HEAD") or get_language_from_path(request.path_info):
        return False
    language = min(OTHER_LANGUAGES)
    with override(language):
        return bool(is_valid_path(f"/{language}{request.path_info}"))


def _prefixed(address: str, language: str) -> str:
    start = get_script_prefix()
    return f"{start}{language}/{address.removeprefix(start)}"
