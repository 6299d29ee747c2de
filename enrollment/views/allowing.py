"""What our policy of content allows on a single page, where that is known only once it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse


def forms_to(origins: Sequence[str], request: HttpRequest, page: HttpResponse) -> HttpResponse:
    """Its forms may lead to these sites too: a browser holds the policy about forms against every address that a form
    is sent on to. The way back here stays open."""
    csp_update({"form-action": list(origins)})(lambda _request: page)(request)
    return page
