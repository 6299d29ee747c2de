"""Join in three steps: email address, code, card; one question a screen, and every screen works without script."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from catalog.models import Programme
from enrollment import applying, asking, tasks
from enrollment.eligibility import Reason, programme_reasons
from enrollment.forms import CardForm, ProofForm
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from enrollment.reports.library_search import search
from enrollment.reports.places import places_of
from enrollment.views.signing_in import destination_of, mail_step, member_of, member_required
from libraries import accounts, arriving, guessing
from libraries.cards.roster import InvalidFact
from libraries.models import Library, User

# What `asking.ask` raises.
NOT_ACCEPTED = (asking.CardNotAccepted, asking.TooManyTries, asking.Busy, InvalidFact)
# Seconds; the page itself waits so long and then tries again (static/js/patient.js).
RETRY_AFTER = 5


@never_cache
def mail(request: HttpRequest) -> HttpResponse:
    """Step 1."""
    card_step = _address("join_card", programme=request.GET.get("programme", ""))
    if request.user.is_authenticated:
        return redirect(card_step)
    asked = destination_of(request)
    destination = asked if asked.startswith(reverse("join_card")) else card_step
    return mail_step(request, template="enrollment/join_mail.html", destination=destination)


@sensitive_post_parameters()
@member_required
def card(request: HttpRequest) -> HttpResponse:
    """Step 3: for which programme where there are several, which library, and the card."""
    pools = _pools(request)
    if len(pools) != 1:
        return render(request, "enrollment/join_programme.html", {"pools": pools})
    (pool,) = pools
    if reasons := programme_reasons(pool, now=timezone.now()):
        return render(request, "enrollment/join_closed.html", {"reasons": reasons, "programme": pool.programme})
    if request.method != "POST" and Enrollment.objects.open().filter(pool=pool, user=member_of(request)).exists():
        return _to_result(pool)
    libraries = Library.objects.filter(institution__shares__pool=pool).select_related("institution__system")
    library = libraries.filter(pk=whole_number(request.GET.get("library", ""))).first()
    return _card(request, pool, library) if library else _library(request, pool, list(libraries))


def _pools(request: HttpRequest) -> list[SeatPool]:
    """The one that was asked for, open or not; otherwise all that are open."""
    pools = SeatPool.objects.select_related("programme")
    slug = request.GET.get("programme", "")
    if slug:
        return [get_object_or_404(pools, programme__slug=slug)]
    opened = pools.filter(programme__in=Programme.objects.open_on(timezone.localdate()))
    return list(opened.order_by("programme__opens_on", "programme_id"))


def _library(request: HttpRequest, pool: SeatPool, libraries: list[Library]) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100]
    context = {"pool": pool, "words": words, "result": search(libraries, words)}
    return render(request, "enrollment/join_library.html", context)


def _card(request: HttpRequest, pool: SeatPool, library: Library) -> HttpResponse:
    user = member_of(request)
    form = CardForm(
        request.POST or None,
        needs_fact=asking.asks_second_fact(library),
        pin_name=asking.pin_name(library.institution),
        minimum_age=pool.programme.minimum_age,
        initial=arriving.proposed_names(request) | _known(user),
    )
    status = HTTPStatus.OK
    if form.is_valid():
        status = _apply(request, pool, library, form)
        if status == HTTPStatus.SEE_OTHER:
            return _to_result(pool)
    context = {"form": form, "pool": pool, "library": library, "version": PRIVACY_TEXT_VERSION}
    return with_patience(render(request, "enrollment/join_card.html", context, status=status))


def _known(user: User) -> dict[str, str]:
    """Letters come in the language of the page, unless the person has chosen before."""
    language = user.language if user.first_name else _page_language()
    names = {"first_name": user.first_name, "last_name": user.last_name} if user.full_name else {}
    return {**names, "language": language}


def _apply(request: HttpRequest, pool: SeatPool, library: Library, form: CardForm) -> HTTPStatus:
    """SEE_OTHER when there is an application now, made by this request or by another; else the form says why not."""
    application = _application(pool, library, form)
    try:
        applying.apply(
            user=member_of(request),
            pool=pool,
            application=application,
            address=accounts.network_of(request),
            now=timezone.now(),
        )
    except applying.Ineligible as error:
        return _ineligible(form, error)
    except NOT_ACCEPTED as error:
        return not_accepted(form, error, library, ("last_name", _("Write your last name as your library knows it.")))
    arriving.forget_names(request)
    tasks.ring()
    return HTTPStatus.SEE_OTHER


def with_patience(page: HttpResponse) -> HttpResponse:
    """Says when to try again where there was no room now."""
    if page.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        page["Retry-After"] = str(RETRY_AFTER)
    return page


def _too_many(error: asking.TooManyTries) -> str:
    """Equal for a card that exists and one that does not."""
    today = error.wait > timedelta(hours=1)
    if error.of == guessing.Of.CARD and today:
        return _("This card was tried too often today. Please try again tomorrow, or ask at the desk of your library.")
    if error.of == guessing.Of.CARD:
        return _("This card was tried too often. Please wait an hour, or ask at the desk of your library.")
    if today:
        return _("Too many cards were tried from here today. Please try again tomorrow.")
    return _("Too many cards were tried from here. Please wait an hour and try again.")


def not_accepted(form: ProofForm, error: Exception, library: Library, of_name: tuple[str | None, str]) -> HTTPStatus:
    """The form says why the library's card check did not take the card; `of_name` is for a name that it cannot use."""
    if isinstance(error, asking.Busy):
        form.add_error(None, _("Very many people apply at this moment. Wait half a minute and press the button again."))
        return HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, asking.TooManyTries):
        form.add_error(None, _too_many(error))
        return HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(error, asking.NotTheirNumber):
        form.add_foreign_number(library.institution.name)
    elif isinstance(error, asking.CardNotAccepted):
        form.add_outcome(error.outcome)
    else:
        form.add_error(*of_name)
    return HTTPStatus.OK


def _application(pool: SeatPool, library: Library, form: CardForm) -> applying.Application:
    told = form.cleaned_data
    return applying.Application(
        library=library,
        number=told["number"],
        first_name=told["first_name"],
        last_name=told["last_name"],
        second_fact=told.get("second_fact"),
        pin=told.get("pin"),
        language=told["language"],
        privacy_version=PRIVACY_TEXT_VERSION,
        privacy_language=_page_language(),
        age_confirmed=pool.programme.minimum_age if told.get("age_confirmed") else None,
    )


def _ineligible(form: CardForm, error: applying.Ineligible) -> HTTPStatus:
    if Reason.ALREADY_APPLIED in error.reasons:
        return HTTPStatus.SEE_OTHER
    for reason in error.reasons:
        form.add_error(None, str(reason.label))
    return HTTPStatus.OK


@member_required
def done(request: HttpRequest) -> HttpResponse:
    """The result, at once."""
    mine = Enrollment.objects.open().filter(user=member_of(request))
    if slug := request.GET.get("programme", ""):
        mine = mine.filter(pool__programme__slug=slug)
    latest = places_of(mine.order_by("-applied_at", "-pk")[:1])
    if not latest:
        return redirect("my_place")
    return render(request, "enrollment/join_done.html", {"place": latest[0]})


def _to_result(pool: SeatPool) -> HttpResponse:
    return redirect(_address("join_done", programme=pool.programme.slug))


def _address(name: str, **query: str) -> str:
    given = {key: value for key, value in query.items() if value}
    return reverse(name) + (f"?{urlencode(given)}" if given else "")


def _page_language() -> str:
    return (get_language() or "nl")[:2]


def whole_number(text: str) -> int:
    """0, which no row has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
