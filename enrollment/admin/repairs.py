"""What people decide about a comparison with a provider, done and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from enrollment import reconciling, repairing, tasks
from enrollment.models import Reconciliation
from enrollment.repairing import CannotDecide, Decided
from libraries.scoped_admin import person

DECISIONS: dict[str, Callable[..., Decided]] = {"repair": repairing.repair, "leave": repairing.leave}


def trust(request: HttpRequest, run: Reconciliation) -> None:
    if reconciling.trust(run.pk, by=person(request), now=timezone.now()):
        messages.success(request, _("From now on this list is trusted."))


def decide(request: HttpRequest, run: Reconciliation, what: str, **which: Any) -> None:
    try:
        decided = DECISIONS[what](run.pk, by=person(request), now=timezone.now(), **which)
    except CannotDecide as refused:
        messages.error(request, refused.obstacle.label)
        return
    for number, told in ((decided.done, _DONE[what]), (decided.gone, _gone)):
        if number:
            messages.success(request, told(number) % {"count": number})
    tasks.ring()


def _repaired(count: int) -> str:
    return ngettext("%(count)d difference is being repaired.", "%(count)d differences are being repaired.", count)


def _left(count: int) -> str:
    return ngettext("%(count)d difference is left as it is.", "%(count)d differences are left as they are.", count)


def _gone(count: int) -> str:
    return ngettext(
        "%(count)d was no longer so, and nothing was done about it.",
        "%(count)d were no longer so, and nothing was done about them.",
        count,
    )


_DONE: Mapping[str, Callable[[int], str]] = {"repair": _repaired, "leave": _left}
