"""My place: where my application stands, start, give the place back, and what is kept about me."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from catalog import dates
from enrollment import ending, renewing, tasks, using
from enrollment.forms import CourseLettersForm, LanguageForm
from enrollment.models import Enrollment
from enrollment.reports.courses_of_member import courses_of
from enrollment.reports.my_courses import counts_of
from enrollment.reports.places import places_of
from enrollment.views.signing_in import member_of, member_required, sign_in_for
from libraries import openid, people
from libraries.models import Card


@member_required
def my_place(request: HttpRequest) -> HttpResponse:
    member = member_of(request)
    places = places_of(Enrollment.objects.filter(user=member).order_by("-applied_at", "-pk"))
    context = {
        "member": member,
        "current": [place for place in places if place.is_open],
        "past": [place for place in places if not place.is_open],
        "cards": Card.objects.filter(user=member).select_related("library").order_by("-claimed_at", "-pk"),
        "identities": openid.attached_to(member),
        "my_courses": courses_of(member),
        "course_counts": counts_of(member),
        "form": LanguageForm(initial={"language": member.language}),
        "letters_form": CourseLettersForm(initial={"wanted": member.wants_course_letters}),
    }
    return render(request, "enrollment/my_place.html", context)


@member_required
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked once more before it is done. Other people's applications are not there."""
    mine = Enrollment.objects.filter(user=member_of(request)).select_related("pool__programme")
    enrollment = get_object_or_404(mine, pk=pk)
    closed = enrollment.pool.programme.is_closed_on(timezone.localdate())
    if request.method != "POST":
        return render(request, "enrollment/my_place_give_back.html", {"enrollment": enrollment, "closed": closed})
    had_seat = enrollment.has_seat
    try:
        ended = ending.give_back(enrollment_id=enrollment.pk, by=member_of(request), now=timezone.now())
    except ending.NotYours:  # it went to another account of the same person just now
        raise Http404 from None
    if ended:
        tasks.ring()
        thanks = _("You gave your place back. Thank you: somebody else can use it now.")
        gone = _("You gave your place back.") if closed else thanks
        messages.success(request, gone if had_seat else _("You left the queue."))
    return redirect("my_place")


@never_cache
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """On to the courses, by way of here, so that it is known that the place is used."""
    if not request.user.is_authenticated:
        return sign_in_for(reverse("my_place"))
    places = places_of(Enrollment.objects.filter(user=member_of(request), pk=pk))
    if not places:
        raise Http404
    (place,) = places
    if not place.start_url:
        return redirect("my_place")
    using.start(enrollment_id=pk, now=timezone.now())
    return redirect(place.start_url)


@require_POST
@member_required
def renew(request: HttpRequest, pk: int) -> HttpResponse:
    mine = get_object_or_404(Enrollment, user=member_of(request), pk=pk)
    try:
        renewed = renewing.renew(enrollment_id=mine.pk, by=member_of(request), now=timezone.now())
    except renewing.CannotRenew as error:
        messages.warning(request, error.obstacle.label)
    else:
        tasks.ring()
        until = dates.written(localtime(renewed.ends_at), "j F Y")
        messages.success(request, _("Your place is renewed: it is yours until %(day)s.") % {"day": until})
    return redirect("my_place")


@require_POST
@member_required
def choose_language(request: HttpRequest) -> HttpResponse:
    form = LanguageForm(request.POST)
    if form.is_valid():
        people.write_in(member_of(request), form.cleaned_data["language"])
        messages.success(request, _("From now on we write to you in this language."))
    return redirect("my_place")


@require_POST
@member_required
def choose_letters(request: HttpRequest) -> HttpResponse:
    form = CourseLettersForm(request.POST)
    if form.is_valid():
        wanted = form.cleaned_data["wanted"]
        people.wish_course_letters(member_of(request), wanted)
        said = _("We write to you when you have finished a course.")
        messages.success(request, said if wanted else _("We write to you no more when you have finished a course."))
    return redirect("my_place")
