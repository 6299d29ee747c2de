"""What machines send, read only when it is not too much."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest

# Of a length that may be read as a number.
_MOST_DIGITS = 18


class TooMuch(Exception):
    """`status` is what to answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def body_of(request: HttpRequest, *, most: int) -> bytes:
    """In bytes. Raises TooMuch, and has read nothing then; or UnreadablePostError."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and "Transfer-Encoding" in request.headers:
        raise TooMuch(HTTPStatus.LENGTH_REQUIRED)
    says = not length or (length.isdecimal() and len(length) <= _MOST_DIGITS)
    if not says or int(length or "0") > most:
        raise TooMuch(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return request.body
