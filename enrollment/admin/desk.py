"""At the desk: the card, then the person. What was scanned is kept with the session until the person is signed up,
never in an address."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from enrollment import applying, at_the_desk, tasks
from enrollment.admin.base import ask, tell_when_busy
from enrollment.admin.desk_address import DeskAddressAdmin, send_code
from enrollment.desk_forms import DeskCardForm, PersonForm
from enrollment.eligibility import Reason
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from enrollment.reports.desk import standing_of
from libraries import scoping
from libraries.models import Library
from libraries.scoped_admin import person

_SCANNED, _MOST_SCANNED = "desk", 5


class DeskAdmin(DeskAddressAdmin):
    def get_urls(self) -> list[Any]:
        wrap, private = self.admin_site.admin_view, sensitive_post_parameters()
        return [
            path("desk/", wrap(private(self.desk_card_view)), name="enrollment_enrollment_desk"),
            path("desk/<slug:key>/", wrap(private(self.desk_person_view)), name="enrollment_enrollment_desk_person"),
            *super().get_urls(),
        ]

    def desk_card_view(self, request: HttpRequest) -> HttpResponse:
        """Step 1."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        form = DeskCardForm(request.POST or None, user=person(request))
        if form.is_valid():
            key = _keep(request, form)
            return HttpResponseRedirect(reverse("admin:enrollment_enrollment_desk_person", args=[key]))
        title, template = _("Sign somebody up at the desk"), "admin/desk_card.html"
        return ask(self, request, form, title=title, button=_("Go on"), template=template)

    @tell_when_busy
    def desk_person_view(self, request: HttpRequest, key: str) -> HttpResponse:
        """Step 2. What was sent twice leads to the first."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        scanned = request.session.get(_SCANNED, {}).get(key, {})
        if "done" in scanned:
            return _onward(scanned)
        pool = SeatPool.objects.select_related("programme").filter(pk=scanned.get("pool")).first()
        library = Library.objects.select_related("institution").filter(pk=scanned.get("library")).first()
        if pool is None or library is None or not scoping.may_decide_on(person(request), library.institution_id):
            messages.warning(request, _("Please scan the card again."))
            return HttpResponseRedirect(reverse("admin:enrollment_enrollment_desk"))
        age, number = pool.programme.minimum_age, scanned["number"]
        form = PersonForm(request.POST or None, minimum_age=age, initial={"language": get_language()})
        if form.is_valid() and (row := _sign_up(request, form, pool, library, number)):
            page = "sheet" if form.cleaned_data["proof"] == PersonForm.LATER else "address"
            return _onward(_put(request, key, {"done": row.pk, "page": page}))
        page_of = {"template": "admin/desk_person.html", "pool": pool, "library": library, "number": number}
        standing = standing_of(library.institution_id, number)
        title, button = _("Sign somebody up at the desk"), _("Sign up")
        return ask(self, request, form, title=title, button=button, standing=standing, **page_of)


def _sign_up(
    request: HttpRequest, form: PersonForm, pool: SeatPool, library: Library, number: str
) -> Enrollment | None:
    told, by, now = form.cleaned_data, person(request), timezone.now()
    application = applying.Application(
        library=library,
        number=number,
        first_name=told["first_name"],
        last_name=told["last_name"],
        second_fact=None,
        language=told["language"],
        privacy_version=PRIVACY_TEXT_VERSION,
        age_confirmed=pool.programme.minimum_age if told.get("age_confirmed") else None,
    )
    try:
        row = at_the_desk.sign_up(pool=pool, application=application, email=told["email"], by=by, now=now)
        if told["proof"] == PersonForm.LATER:
            at_the_desk.prove_later(enrollment_id=row.pk, by=by, now=now)
    except (at_the_desk.CannotSignUp, applying.Ineligible) as error:
        form.add_error(*_words_of(error))
        return None
    if told["proof"] == PersonForm.NOW and row.user.address_proved_at is None:
        send_code(request, row.user)
    tasks.ring()
    return row


def _words_of(error: at_the_desk.CannotSignUp | applying.Ineligible) -> tuple[str | None, str]:
    """Beside which field, and what."""
    if isinstance(error, at_the_desk.CannotSignUp):
        of_address = error.obstacle == at_the_desk.Obstacle.ADDRESS_TAKEN
        return "email" if of_address else None, str(error.obstacle.label)
    if Reason.ALREADY_APPLIED in error.reasons:
        return None, _("This person has applied already, with another card. Look for them under “Applications”.")
    return None, " ".join(str(reason.label) for reason in error.reasons)


def _keep(request: HttpRequest, form: DeskCardForm) -> str:
    told, key = form.cleaned_data, secrets.token_urlsafe(9)
    _put(request, key, {"pool": told["pool"].pk, "library": told["library"].pk, "number": told["number"]})
    return key


def _put(request: HttpRequest, key: str, scanned: dict[str, Any]) -> dict[str, Any]:
    """The newest few: a librarian may have several windows."""
    kept = {**request.session.get(_SCANNED, {}), key: scanned}
    request.session[_SCANNED] = dict(list(kept.items())[-_MOST_SCANNED:])
    return scanned


def _onward(scanned: dict[str, Any]) -> HttpResponse:
    return HttpResponseRedirect(reverse(f"admin:enrollment_enrollment_{scanned['page']}", args=[scanned["done"]]))
