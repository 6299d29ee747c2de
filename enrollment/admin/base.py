"""What the pages with an operation behind them share: ask when there is something to ask, do, and tell."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from enrollment import seats, tasks
from libraries.scoped_admin import ScopedAdmin

# Each row is a transition of its own: more would keep the person, and the pool's lock, waiting.
MOST_AT_ONCE = 200
Text = str | Promise
# Acts on the row with this id; says why it was left as it was, or nothing when it was done.
Act = Callable[[int], Text | None]


def act_on_each(request: HttpRequest, ids: Iterable[int], act: Act, *, done: Callable[[int], str]) -> None:
    """One operation for each row; tells how many were done, and why the others were not."""
    answers = Counter(str(_try(act, pk) or "") for pk in ids)
    count = answers.pop("", 0)
    if count:
        messages.success(request, done(count))
    for reason, left in answers.items():
        text = ngettext("%(count)d was left as it was. %(why)s", "%(count)d were left as they were. %(why)s", left)
        messages.warning(request, text % {"count": left, "why": reason})
    tasks.ring()


def _try(act: Act, pk: int) -> Text | None:
    """Where the locks could not be had in time, the other rows still get their turn."""
    try:
        return act(pk)
    except (OperationalError, seats.ChangedMeanwhile):
        return _("Somebody else is at work there. Try again in a minute.")


def tell_when_busy(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Where the locks could not be had in time nothing was done, and the person may try again."""

    @functools.wraps(view)
    def wrapper(admin: ScopedAdmin, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(admin, request, *args, **kwargs)
        except (OperationalError, seats.ChangedMeanwhile):
            if request.method != "POST":
                raise
            messages.error(request, _("Somebody else is at work there. Try again in a minute."))
            return HttpResponseRedirect(request.get_full_path())

    return wrapper


def too_many(request: HttpRequest, count: int) -> bool:
    if count <= MOST_AT_ONCE:
        return False
    text = ngettext("Choose at most %(most)d row at a time.", "Choose at most %(most)d rows at a time.", MOST_AT_ONCE)
    messages.error(request, text % {"most": MOST_AT_ONCE})
    return True


def ask(
    admin: ScopedAdmin, request: HttpRequest, form: forms.Form, *, title: Text, button: Text, **context: Any
) -> TemplateResponse:
    """A page with one form; what was chosen in a list comes along in it."""
    page = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": title,
        "form": form,
        "button": button,
        "chosen": request.POST.getlist("_selected_action"),
        "action": request.POST.get("action", ""),
        **context,
    }
    return TemplateResponse(request, context.get("template", "admin/ask.html"), page)


def link_to_application(pk: int | None) -> str:
    if pk is None:
        return ""
    return format_html('<a href="{}">#{}</a>', reverse("admin:enrollment_enrollment_change", args=[pk]), pk)


def csv_file(content: bytes, name: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
