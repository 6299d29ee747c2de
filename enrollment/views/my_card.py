"""Another card for my place: which library, then its number; everything stays as it is until that card is confirmed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from enrollment import asking, moving, tasks
from enrollment.forms import NumberForm, ProofForm
from enrollment.models import Enrollment
from enrollment.reports import proofs
from enrollment.reports.library_search import search
from enrollment.views.joining import NOT_ACCEPTED, not_accepted, whole_number, with_patience
from enrollment.views.signing_in import member_of, member_required
from libraries import accounts
from libraries.models import Library


@sensitive_post_parameters()
@member_required
def change_card(request: HttpRequest, pk: int) -> HttpResponse:
    """Of the library of the present card, unless another is chosen. Other people's applications are not there."""
    mine = Enrollment.objects.open().filter(user=member_of(request))
    enrollment = get_object_or_404(mine.select_related("pool__programme", "card__library__institution__system"), pk=pk)
    libraries = Library.objects.filter(institution__shares__pool=enrollment.pool).select_related("institution__system")
    if not {"library", "q"} & request.GET.keys():
        return _number(request, enrollment, enrollment.card.library)
    library = libraries.filter(pk=whole_number(request.GET.get("library", ""))).first()
    return _number(request, enrollment, library) if library else _library(request, enrollment, list(libraries))


@require_POST
@member_required
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """The new card shall not be checked any more."""
    mine = get_object_or_404(Enrollment, user=member_of(request), pk=pk)
    if moving.take_back(enrollment_id=mine.pk, by=member_of(request), now=timezone.now()):
        tasks.ring()
        messages.success(request, _("You took the other card back. Everything stays as it was."))
    return redirect("my_place")


@sensitive_post_parameters()
@member_required
def prove(request: HttpRequest, pk: int) -> HttpResponse:
    """The PIN of the card that is not proved yet: its library's system did not answer before, or it was mistyped."""
    mine = Enrollment.objects.open().filter(user=member_of(request)).select_related(*proofs.SYSTEMS)
    enrollment = get_object_or_404(mine, pk=pk)
    card = proofs.card_to_prove(enrollment)
    if card is None:
        return redirect("my_place")
    form = ProofForm(request.POST or None, **_asked(card.library))
    if form.is_valid():
        status = _change(request, enrollment, card.library, form, number=card.number)
        if status == HTTPStatus.SEE_OTHER:
            return redirect("my_place")
    else:
        status = HTTPStatus.OK
    context = {"form": form, "card": card}
    return with_patience(render(request, "enrollment/my_card_proof.html", context, status=status))


def _library(request: HttpRequest, enrollment: Enrollment, libraries: list[Library]) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100]
    context = {"enrollment": enrollment, "words": words, "result": search(libraries, words)}
    return render(request, "enrollment/my_card_library.html", context)


def _number(request: HttpRequest, enrollment: Enrollment, library: Library) -> HttpResponse:
    form = NumberForm(request.POST or None, **_asked(library))
    status = _change(request, enrollment, library, form) if form.is_valid() else HTTPStatus.OK
    if status == HTTPStatus.SEE_OTHER:
        return redirect("my_place")
    context = {"form": form, "enrollment": enrollment, "library": library}
    return with_patience(render(request, "enrollment/my_card.html", context, status=status))


def _asked(library: Library) -> dict[str, Any]:
    """Beside the number of the card."""
    return {"needs_fact": asking.asks_second_fact(library), "pin_name": asking.pin_name(library.institution)}


def _change(
    request: HttpRequest, enrollment: Enrollment, library: Library, form: ProofForm, *, number: str = ""
) -> HTTPStatus:
    """SEE_OTHER when it is done; else the form says why not. `number` where the form does not ask for it."""
    given = form.cleaned_data
    number = given.get("number", number)
    told = moving.NewCard(library=library, number=number, second_fact=given.get("second_fact"), pin=given.get("pin"))
    who, address = member_of(request), accounts.network_of(request)
    try:
        changed = moving.change_card(
            enrollment_id=enrollment.pk, told=told, by=who, address=address, now=timezone.now()
        )
    except moving.CannotMove as error:
        form.add_error(None, str(error.obstacle.label))
        return HTTPStatus.OK
    except NOT_ACCEPTED as error:
        words = _("Your library does not find your name with this card. Ask at the desk.")
        return not_accepted(form, error, library, (None, words))
    tasks.ring()
    _tell(request, changed, number, before=enrollment.card_id)
    return HTTPStatus.SEE_OTHER


def _tell(request: HttpRequest, changed: Enrollment, number: str, *, before: int) -> None:
    """The card that was told of is the new one where there is one, whatever became of it."""
    card = changed.next_card or changed.card
    if card.unanswered_since is not None:
        words = _("The system of your library does not answer now. Everything stays as it is: please try again later.")
        messages.warning(request, words)
    else:
        messages.success(request, _told(changed, number, before=before))


def _told(changed: Enrollment, number: str, *, before: int) -> str:
    """`before` is the card that carried the application until now."""
    if changed.card.number != number or not changed.card.is_proved_on(timezone.localdate()):
        return _("Your library looks at your card. Until then everything stays as it is.")
    if changed.card_id != before:
        return _("Your card is checked: it carries your application now.")
    has_place = changed.state == Enrollment.State.SEATED
    return _("Your card is checked. You have a place.") if has_place else _("Your card is checked.")
