"""Courses are picked at a provider: on the way there, and what becomes of them, shown before it is done."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from catalog.models import Tool
from enrollment import picking_forms, registering
from enrollment.launch import picking
from enrollment.models import Picking
from libraries.scoped_admin import ScopedAdmin, person


def start(request: HttpRequest, tool: Tool) -> HttpResponse:
    """To the tool's own address to sign in, by a button of ours alone."""
    back = reverse("admin:catalog_tool_change", args=[tool.pk])
    if request.method != "POST":
        return HttpResponseRedirect(back)
    try:
        language = (get_language() or "nl")[:2]
        return HttpResponseRedirect(picking.begin(tool, by=person(request), language=language, now=timezone.now()))
    except picking.Refused as error:
        messages.error(request, error.obstacle.label)
        return HttpResponseRedirect(back)


def show(admin: ScopedAdmin, request: HttpRequest, tool: Tool, picking_id: int) -> HttpResponse:
    """To whoever picked them."""
    picked = Picking.objects.filter(pk=picking_id, tool=tool, user=person(request)).select_related("tool").first()
    if picked is None:
        raise Http404
    questions = picking_forms.questions(registering.plan(picked), request.POST if request.method == "POST" else None)
    valid = [each.form is None or each.form.is_valid() for each in questions]
    if request.method == "POST" and all(valid) and (done := _apply(request, picked, questions)):
        return done
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": _("Courses picked at the provider"),
        "tool": tool,
        "picked": picked,
        "questions": questions,
        "anything": any(each.form for each in questions),
    }
    return TemplateResponse(request, "admin/picked.html", context)


def _apply(
    request: HttpRequest, picked: Picking, questions: list[picking_forms.Question]
) -> HttpResponseRedirect | None:
    change, make = picking_forms.answers(questions)
    try:
        done = registering.apply(picked.pk, change=change, make=make, by=person(request), now=timezone.now())
    except registering.Refused as error:
        form = next((each.form for each in questions if each.row.number == error.number), None)
        if form:
            form.add_error("code", error.obstacle.label)
        else:
            messages.error(request, error.obstacle.label)
        return None
    _tell(request, done)
    return HttpResponseRedirect(reverse("admin:catalog_tool_change", args=[picked.tool_id]))


def _tell(request: HttpRequest, done: registering.Done) -> None:
    if done.changed:
        text = ngettext(
            "%(count)d course starts at another address from now on.",
            "%(count)d courses start at another address from now on.",
            done.changed,
        )
        messages.success(request, text % {"count": done.changed})
    if done.made:
        text = ngettext(
            "%(count)d course is made. It is on offer once it is planned in a programme.",
            "%(count)d courses are made. They are on offer once they are planned in a programme.",
            done.made,
        )
        messages.success(request, text % {"count": done.made})
    if not (done.changed or done.made):
        messages.info(request, _("Nothing was changed."))
