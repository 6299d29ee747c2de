"""Who may start which course now, and what is missing where they may not: asked before a start, and again at it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Course, Listing
from enrollment.models import CourseRun, Enrollment, ProviderAccount

State = Enrollment.State


class Obstacle(models.TextChoices):
    """The nearest to a start comes first: of several places, the best tells what is missing."""

    ACCOUNT_NOT_READY = (
        "account_not_ready",
        _("Your account for the courses is being made ready. We write to you as soon as you can start."),
    )
    NOT_YET = "not_yet", _("This course is not on offer yet.")
    OFF_OFFER = "off_offer", _("This course is not on offer any more.")
    HELD = "held", _("Your library is still checking your card. Your place is held for you until then.")
    WAITING = "waiting", _("You are in the queue for a place. With a place you can start this course.")
    SEAT_ENDED = "seat_ended", _("Your place has ended. You can apply for a new one.")
    NO_SEAT = "no_seat", _("You need a place to start this course.")


@dataclass(frozen=True)
class Permit:
    """`run` is None when the course was never saved or started; `until` is the first day on which this ends, None when
    no end is planned but that of the place."""

    enrollment: Enrollment
    account: ProviderAccount
    course: Course
    run: CourseRun | None
    until: date | None


def permit(*, user_id: int, course: Course, now: datetime) -> Permit | Obstacle:
    """With four queries, of which none locks anything."""
    return permits(user_id=user_id, courses=[course], now=now)[course.pk]


def permits(*, user_id: int, courses: Collection[Course], now: datetime) -> dict[int, Permit | Obstacle]:
    """Of each of these courses, by its id; with four queries, however many they are."""
    providers = {each.provider_id for each in courses}
    claims = list(
        Enrollment.objects.filter(user_id=user_id, pool__programme__provider__in=providers)
        .select_related("pool__programme", "user")
        .order_by("-seated_at", "-pk")
    )
    programmes = {each.pool.programme_id for each in claims}
    listings = list(Listing.objects.filter(course__in=courses, programme__in=programmes))
    runs = {each.course_id: each for each in CourseRun.objects.filter(user_id=user_id, course__in=courses)}
    accounts = {
        each.provider_id: each for each in ProviderAccount.objects.filter(user_id=user_id, provider__in=providers)
    }
    known = _Known(claims, listings, runs, accounts)
    return {course.pk: _best(course, known, now) for course in courses}


def first_days(*, user_id: int, course_ids: Collection[int], now: datetime) -> dict[int, date]:
    """Of those that are still to come where the person has a seat, by the course's id; with one query."""
    seats = Enrollment.objects.filter(user_id=user_id, state=State.SEATED)
    its = {"course__in": course_ids, "programme__in": seats.values("pool__programme")}
    coming = Listing.objects.filter(**its, offered_from__gt=timezone.localdate(now))
    return dict(coming.order_by().values_list("course").annotate(models.Min("offered_from")))


@dataclass(frozen=True)
class _Known:
    """Of one person. `runs` by course, `accounts` by provider."""

    claims: Sequence[Enrollment]
    listings: Sequence[Listing]
    runs: Mapping[int, CourseRun]
    accounts: Mapping[int, ProviderAccount]


def _best(course: Course, known: _Known, now: datetime) -> Permit | Obstacle:
    claims = [each for each in known.claims if each.pool.programme.provider_id == course.provider_id]
    listings = [each for each in known.listings if each.course_id == course.pk]
    run, account = known.runs.get(course.pk), known.accounts.get(course.provider_id)
    answers = [_of(each, course, listings, run, account, now) for each in claims]
    for answer in answers:
        if isinstance(answer, Permit):
            return answer
    missing = {answer for answer in answers if isinstance(answer, Obstacle)}
    return next((each for each in Obstacle if each in missing), Obstacle.NO_SEAT)


def _of(
    enrollment: Enrollment,
    course: Course,
    listings: Iterable[Listing],
    run: CourseRun | None,
    account: ProviderAccount | None,
    now: datetime,
) -> Permit | Obstacle:
    if missing := _missing_place(enrollment, now):
        return missing
    own = [each for each in listings if each.programme_id == enrollment.pool.programme_id]
    until = _open_until(own, run, enrollment.pool.programme.kept_days, timezone.localdate(now))
    if isinstance(until, Obstacle):
        return until
    if account is None or not account.is_ready:
        return Obstacle.ACCOUNT_NOT_READY
    return Permit(enrollment, account, course, run, until)


def _missing_place(enrollment: Enrollment, now: datetime) -> Obstacle | None:
    if enrollment.state == State.SEATED:
        over = enrollment.ends_at is not None and enrollment.ends_at <= now
        return Obstacle.SEAT_ENDED if over else None
    return {State.HELD: Obstacle.HELD, State.WAITING: Obstacle.WAITING}.get(
        State(enrollment.state), Obstacle.SEAT_ENDED if enrollment.seated_at else Obstacle.NO_SEAT
    )


def _open_until(
    listings: Sequence[Listing], run: CourseRun | None, kept_days: int | None, day: date
) -> date | Obstacle | None:
    """Whoever has started a title that left keeps it for as long as the programme says."""
    begun = [each for each in listings if each.offered_from <= day]
    gone = Obstacle.NOT_YET if len(begun) < len(listings) else Obstacle.OFF_OFFER
    ends = [each.unbroken_until for each in begun]
    if None in ends:
        return None
    last = max((end for end in ends if end), default=None)
    if last is None:
        return gone
    if run is not None and run.started_at is not None:
        if kept_days is None:
            return None
        last += timedelta(days=kept_days)
    return last if last > day else gone
