"""At the desk, after the sign-up: the address is proved, corrected or left for later; and the sheet to take home."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from enrollment import at_the_desk, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.looking_up import LookingUpAdmin
from enrollment.desk_forms import DeskCodeForm, DeskEmailForm
from enrollment.models import Enrollment
from enrollment.reports.desk import sheet_of
from libraries import accounts, address_codes, scoping
from libraries.models import User
from libraries.scoped_admin import person

WIDTHS = ("a4", "receipt")


class DeskAddressAdmin(LookingUpAdmin):
    def get_urls(self) -> list[Any]:
        wrap, private = self.admin_site.admin_view, sensitive_post_parameters()
        return [
            path("<int:pk>/address/", wrap(private(self.address_view)), name="enrollment_enrollment_address"),
            path("<int:pk>/sheet/", wrap(self.sheet_view), name="enrollment_enrollment_sheet"),
            *super().get_urls(),
        ]

    @tell_when_busy
    def address_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Step 3."""
        row = self._row_at_desk(request, pk)
        if row.user.address_proved_at is not None:
            return _to_sheet(row)
        action = request.POST.get("action", "")
        code_form = DeskCodeForm(request.POST if action == "prove" else None)
        email_form = DeskEmailForm(request.POST if action == "correct" else None, initial={"email": row.user.email})
        if answer := _act(request, row, action, code_form, email_form):
            return answer
        title, template = _("Prove the email address"), "admin/desk_address.html"
        forms = {"email_form": email_form, "template": template, "row": row}
        return ask(self, request, code_form, title=title, button=_("Go on"), **forms)

    def sheet_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Step 4, in the language of the person; around it, that of the librarian."""
        facts = sheet_of(self._row_at_desk(request, pk), person(request))
        width = request.GET.get("width", "")
        around = {
            "width": width if width in WIDTHS else WIDTHS[0],
            "desk_language": get_language(),
            "print": _("Print"),
            "a4": _("On paper (A4)"),
            "receipt": _("On a receipt (80 mm)"),
            "back": _("To the application"),
            "next": _("Sign up somebody else"),
            "controls": _("For the librarian"),
        }
        with override(facts["member"].language):
            return render(request, "admin/desk_sheet.html", facts | {"around": around})

    def _row_at_desk(self, request: HttpRequest, pk: int) -> Enrollment:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        needed = ("user", "card__library", "share__institution", "pool__programme__provider")
        # Of who is erased there is nothing to prove, and nothing to take home.
        row = self.get_queryset(request).select_related(*needed).filter(pk=pk, user__is_active=True).first()
        if row is None or not scoping.may_decide_on(person(request), row.share.institution_id):
            raise Http404
        assert isinstance(row, Enrollment)
        return row


def _act(
    request: HttpRequest, row: Enrollment, action: str, code_form: DeskCodeForm, email_form: DeskEmailForm
) -> HttpResponse | None:
    """Where to go, or nothing when a form says what is wrong."""
    told: dict[str, Any] = {"enrollment_id": row.pk, "by": person(request), "now": timezone.now()}
    here = HttpResponseRedirect(request.path)
    if action == "prove":
        return _prove(request, row, code_form, told) if code_form.is_valid() else None
    if action == "correct":
        return here if email_form.is_valid() and _correct(request, email_form, told) else None
    if action == "later":
        at_the_desk.prove_later(**told)
        tasks.ring()
        return _to_sheet(row)
    if action == "send":
        send_code(request, row.user)
        return here
    return None


def _prove(request: HttpRequest, row: Enrollment, form: DeskCodeForm, told: dict[str, Any]) -> HttpResponse | None:
    try:
        proved = at_the_desk.prove_address(typed=form.cleaned_data["code"], **told)
    except address_codes.NoLongerValid:
        form.add_error("code", _("This code is no longer valid. Send a new one."))
        return None
    if not proved:
        form.add_error("code", _("This is not the right code. Look at the newest mail from us and type it again."))
        return None
    tasks.ring()
    messages.success(request, _("The email address is proved."))
    return _to_sheet(row)


def _correct(request: HttpRequest, form: DeskEmailForm, told: dict[str, Any]) -> bool:
    try:
        user = at_the_desk.correct_address(email=form.cleaned_data["email"], **told)
    except at_the_desk.CannotSignUp as error:
        form.add_error("email", str(error.obstacle.label))
        return False
    send_code(request, user)
    return True


def send_code(request: HttpRequest, user: User) -> None:
    """What became of it is said on the next page."""
    try:
        accounts.send_address_code(request, user, now=timezone.now())
    except accounts.TooManyCodes:
        messages.error(request, _("Very many codes were sent to this address or from here. Choose “later, from home”."))
    except accounts.AddressRefused:
        messages.error(
            request, _("We cannot send mail to this address. Check how it is spelled, and correct it below.")
        )
    except accounts.CannotSend:
        messages.error(
            request, _("We cannot send a code now. Try again in a few minutes, or choose “later, from home”.")
        )
    else:
        messages.success(request, _("A code is on its way to the address below."))


def _to_sheet(row: Enrollment) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:enrollment_enrollment_sheet", args=[row.pk]))
