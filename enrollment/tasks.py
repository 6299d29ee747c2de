"""The doorbells. A task carries no work: what it has to do stands in the rows, and a sweep finds it anyway."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from typing import Any

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from catalog import line, searching, tallies
from enrollment import (
    agreeing,
    alarming,
    asking_again,
    cap,
    closing,
    ending,
    erasing,
    following,
    lapsing,
    leaving,
    letters,
    noticing,
    probing,
    provisioning,
    rechecking,
    reconciling,
    reminding,
    renewing,
    roster_fetching,
    scarcity,
    signing_on,
    using,
    waiting_list,
)
from enrollment.doorbell import Doorbell
from enrollment.launch import keys, picking, starts, tokens, tool_keys
from libraries import limits, people
from libraries.secrets import secret_of

logger = logging.getLogger(__name__)

# A task works for so long, then rings for a successor: a worker that is asked to stop can.
_TURN = timedelta(seconds=20)
# As often are workers rung for accounts in any case (`portal.celery`).
_SWEEP = timedelta(seconds=15)
# The end of a pause is told by the database's clock.
_CLOCKS_DIFFER = 0.25


@shared_task
def provision_due() -> None:
    """A colleague is woken before the provider is called: a backlog fills the pool of workers at once."""
    settle = partial(provisioning.settle_next, secret_of=secret_of, now=timezone.now)
    if _take_turns(provision_due, lambda wake: settle(claimed=wake)):
        _publish(send_letters)  # an account that is ready owes a letter
    _ring_after_pause()


@shared_task
def probe_providers() -> None:
    if probing.probe_next(secret_of=secret_of, now=timezone.now):
        _publish(probe_providers)  # there may be another one
        _publish(provision_due)  # where it is back, who waited for it is due


@shared_task
def settle_notices() -> None:
    """Not among the provider's: it asks no provider, and is not to wait for one."""
    if _take_turns(settle_notices, lambda _wake: noticing.settle_next(now=timezone.now)):
        _publish(provision_due)  # an account may have to be looked at


@shared_task
def compare_lists() -> None:
    """Also what was asked for by hand, or has to be tried again."""
    if reconciling.compare_next(secret_of=secret_of, now=timezone.now):
        _publish(compare_lists)  # there may be another provider
        ring()


@shared_task
def ask_for_comparisons() -> None:
    if reconciling.ask_all(now=timezone.now()):
        ring_for_comparisons()


@shared_task
def send_letters() -> None:
    _take_turns(send_letters, lambda _wake: letters.send_next(now=timezone.now))


@shared_task
def recheck_cards() -> None:
    _take_turns(recheck_cards, lambda _wake: rechecking.recheck_next(now=timezone.now))


@shared_task
def fetch_rosters() -> None:
    roster_fetching.fetch_due(now=timezone.now)


@shared_task
def sweep_seats() -> None:
    """What comes with a date: first what frees seats, then who gets them, then who is told."""
    steps = (
        cap.apply_due,
        waiting_list.lapse_holds,
        closing.end_waiting,
        ending.end_terms,
        lapsing.renew_cards,
        lapsing.expire_cards,
        lapsing.end_lapsed,
        using.end_unused,
        waiting_list.serve,
        renewing.announce_ends,
        using.remind,
        following.send_reminders,
        leaving.tell_learners,
        reminding.remind_libraries,
        scarcity.announce_scarcity,
        agreeing.owe_changes,
        alarming.tell_operators,
    )
    if sum([_swept(step) for step in steps]):
        ring()


def _swept(step: Callable[..., int]) -> int:
    """What ails one step must not keep the others waiting; the next sweep tries it again."""
    try:
        return step(now=timezone.now())
    except Exception as error:  # only its kind: a database's message may quote a row
        logger.error("sweep: %s failed: %s", step.__name__, type(error).__name__)
        return 0


@shared_task
def ask_libraries() -> None:
    """Of its own, because it waits for systems that do not answer."""
    if _swept(asking_again.ask_again):
        ring()


@shared_task
def erase_people() -> None:
    """Of its own, because it looks through all sessions."""
    if _swept(erasing.erase_due):
        ring()


@shared_task
def sweep_people() -> None:
    now = timezone.now()
    people.forget_strangers(now=now)
    limits.forget(before=now - timedelta(days=2))
    for each in (noticing, starts, picking, keys, tokens, tool_keys, signing_on):
        each.forget(now=now)
    tallies.forget(before=now - timedelta(days=14))
    searching.tidy(now=now)
    reconciling.forget(before=now - reconciling.KEPT_FOR)
    SessionStore.clear_expired()


def ring() -> None:
    """Tell the workers that there is something to do. Call it after the commit; it never waits and never fails."""
    _bell.ring()


def ring_for_rosters() -> None:
    """The same for a list that is to be fetched now, and not only at night."""
    _bell_for_rosters.ring()


def ring_for_notices() -> None:
    """The same for what a provider has told."""
    _bell_for_notices.ring()


def ring_for_erasures() -> None:
    """The same for data that are to be erased."""
    _bell_for_erasures.ring()


def ring_for_comparisons() -> None:
    """The same for a comparison with a provider that is to be made now."""
    _bell_for_comparisons.ring()


def _ring() -> None:
    for task in (provision_due, send_letters):
        if not _publish(task):
            return


def _publish(task: Any, countdown: float | None = None) -> bool:
    try:
        task.apply_async(retry=False, expires=60, countdown=countdown)
    except Exception as error:  # whatever ails the broker, the next sweep does the work
        logger.warning("the workers could not be rung: %s", type(error).__name__)
        return False
    return True


def _ring_after_pause() -> None:
    """Work goes on when a provider's pause is over, and not only at the sweep after it. What ends after the next sweep
    is that one's to ring for: a message that waits for longer than the broker's `visibility_timeout` comes many
    times."""
    now = timezone.now()
    ends_at = line.first_pause_ends(now=now)
    if ends_at is not None and ends_at - now <= _SWEEP:
        _ring_once_at(ends_at)


@lru_cache(maxsize=16)
def _ring_once_at(ends_at: datetime) -> None:
    """Of each process: many tasks find that there is a pause."""
    left = (ends_at - timezone.now()).total_seconds()
    _publish(provision_due, countdown=max(left, 0.0) + _CLOCKS_DIFFER)


_bell = Doorbell(_ring)
_bell_for_rosters = Doorbell(lambda: _publish(fetch_rosters))
_bell_for_notices = Doorbell(lambda: _publish(settle_notices))
_bell_for_erasures = Doorbell(lambda: _publish(erase_people))
_bell_for_comparisons = Doorbell(lambda: _publish(compare_lists))


def _take_turns(task: Any, work: Callable[[Callable[[], object]], bool]) -> bool:
    """Work while there is work; says whether there was any. After the first row, or when the work says so before, wake
    one colleague: so a backlog fills the pool of workers."""
    until, wake = timezone.now() + _TURN, cache(partial(_publish, task))
    if not work(wake):
        return False
    wake()
    while timezone.now() < until:
        if not work(wake):
            return True
    _publish(task)
    return True
