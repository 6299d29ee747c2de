"""Change the seats of a programme in two steps: what it will do, then do it; nothing else than what was shown."""

from __future__ import annotations

from datetime import date, datetime, time

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from enrollment import cap, tasks
from enrollment.admin.base import Text, ask
from enrollment.cap_forms import ChangeForm
from enrollment.cap_plan import Preview
from enrollment.models import SeatPool
from libraries.scoped_admin import ScopedAdmin, person


def change_in_two_steps(
    admin: ScopedAdmin, request: HttpRequest, pool: SeatPool, form: ChangeForm, *, title: Text, template: str
) -> HttpResponse:
    """A form, then a preview with everything hidden in it, then the change; back at any time before that."""
    preview, overtaken = None, False
    if form.is_valid() and "back" not in request.POST:
        try:
            if "expected" in request.POST:
                return _done(request, pool, form, request.POST["expected"])
            preview = _preview(request, pool, form)
        except cap.CannotChange as error:
            form.add_error(form.field_of(error.obstacle), str(error.obstacle.label))
        except cap.Overtaken as error:
            preview, overtaken = error.preview, True
    context = {
        "pool": pool,
        "preview": preview,
        "overtaken": overtaken,
        "starts_on": form.cleaned_data.get("starts_on") if preview else None,
        "back": reverse("admin:enrollment_seatpool_change", args=[pool.pk]),
    }
    template = "admin/change_preview.html" if preview else template
    return ask(admin, request, form, title=title, button=_("See what this does"), template=template, **context)


def _preview(request: HttpRequest, pool: SeatPool, form: ChangeForm) -> Preview:
    """For a day to come: what it would do if it were today."""
    later = form.cleaned_data["starts_on"] is not None
    return cap.preview(pool_id=pool.pk, plan=form.plan(), by=person(request), now=timezone.now(), later=later)


def _done(request: HttpRequest, pool: SeatPool, form: ChangeForm, expected: str) -> HttpResponse:
    starts_on, reason = form.cleaned_data["starts_on"], form.cleaned_data["reason"]
    by, now = person(request), timezone.now()
    if starts_on:
        cap.schedule(pool_id=pool.pk, plan=form.plan(), reason=reason, at=_morning(starts_on), by=by, now=now)
        messages.success(request, _("The change is planned. Until that day it can be withdrawn below."))
    else:
        given = cap.change(pool_id=pool.pk, plan=form.plan(), reason=reason, by=by, now=now, expected=expected)
        text = ngettext(
            "The change is made: %(count)d person in the queue got a place.",
            "The change is made: %(count)d people in the queue got a place.",
            len(given),
        )
        messages.success(request, text % {"count": len(given)})
        tasks.ring()
    return HttpResponseRedirect(reverse("admin:enrollment_seatpool_change", args=[pool.pk]))


def _morning(day: date) -> datetime:
    """The first moment of the day, where the libraries are."""
    return timezone.make_aware(datetime.combine(day, time.min))


def withdraw(request: HttpRequest, pool: SeatPool, change_id: int) -> HttpResponse:
    if request.method == "POST" and pool.cap_changes.filter(pk=change_id).exists():
        if cap.withdraw(change_id=change_id, by=person(request), now=timezone.now()):
            messages.success(request, _("The planned change is withdrawn."))
        else:
            messages.warning(request, _("That change was not planned any more."))
    return HttpResponseRedirect(reverse("admin:enrollment_seatpool_change", args=[pool.pk]))
