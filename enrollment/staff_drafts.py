"""Write the letters to staff: in figures, without a word about anybody."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Count, Min
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Provider, ProviderLine
from enrollment import reminding, scarcity
from enrollment.drafting import Draft, one_line
from enrollment.models import Event, Letter, ProviderAccount, Reconciliation, SeatPool
from enrollment.reports import differences, troubles
from libraries import scoping
from libraries.models import LibrarySystem, RosterSource

_MOST_REASONS = 5


def holds_ending(letter: Letter) -> Draft | None:
    """Not sent to whoever does not work there any more."""
    if letter.institution is None or not scoping.may_decide_on(letter.user, letter.institution.pk):
        return None
    ending = reminding.ending_at(letter.institution.pk, now=timezone.now())
    found = ending.aggregate(count=Count("pk"), first=Min("hold_until"))
    if not found["count"]:
        return None
    subject = ngettext(
        "%(count)d card is still to be checked", "%(count)d cards are still to be checked", found["count"]
    )
    return Draft(
        subject=subject % found,
        leads_to="admin:enrollment_enrollment_changelist",
        query="?todo=lapsing",
        facts={"institution": one_line(letter.institution.name), **found},
    )


def places_scarce(letter: Letter) -> Draft | None:
    """Not sent when another level has been reached by now: that has a letter of its own."""
    pool = _pool_of(letter)
    if pool is None or str(scarcity.level(pool)) != letter.reason:
        return None
    full = _("All places of “%(programme)s” are taken")
    return _of_pool(pool, _("%(percent)d %% of the places of “%(programme)s” are taken") if pool.free else full)


def queue_long(letter: Letter) -> Draft | None:
    pool = _pool_of(letter)
    if pool is None or not scarcity.is_long(pool, waiting := scarcity.waiting_for(pool)):
        return None
    subject = ngettext(
        "%(waiting)d person waits for “%(programme)s”", "%(waiting)d people wait for “%(programme)s”", waiting
    )
    return _of_pool(pool, subject)


def rechecks_stopped(letter: Letter) -> Draft | None:
    stopped = LibrarySystem.objects.filter(institution=letter.institution_id, rechecks_stopped_at__isnull=False)
    subject = _("%(institution)s: the check of proved cards has stopped")
    return _of_fuse(letter, stopped.first(), subject, "admin:libraries_rechecking_change")


def roster_stopped(letter: Letter) -> Draft | None:
    stopped = RosterSource.objects.filter(institution=letter.institution_id, stopped_at__isnull=False)
    subject = _("%(institution)s: the new list of cards is not taken")
    return _of_fuse(letter, stopped.first(), subject, "admin:libraries_rostersource_change")


def _of_fuse(letter: Letter, row: LibrarySystem | RosterSource | None, subject: str, page: str) -> Draft | None:
    """With the figures as they were then; not sent once somebody has let it go on."""
    if row is None or not scoping.may(letter.user, scoping.Role.OPERATOR, scoping.Role.COORDINATOR):
        return None
    event = Event.objects.filter(kind=letter.kind, institution_id=row.institution_id).order_by("-id").first()
    facts = {"institution": one_line(row.institution.name), "event": event, "why": event.reason if event else ""}
    return Draft(subject=subject % facts, leads_to=page, arguments=(row.pk,), facts=facts)


def accounts_stuck(letter: Letter) -> Draft | None:
    """Not sent once nothing is stuck any more."""
    provider = _provider_of(letter)
    if provider is None:
        return None
    stuck = ProviderAccount.objects.stuck().filter(provider=provider)
    found = stuck.aggregate(count=Count("pk"), first=Min("stuck_at"))
    if not found["count"]:
        return None
    by_trouble = stuck.values_list("trouble").annotate(count=Count("pk")).order_by("-count", "trouble")
    reasons = [{"count": count, "words": troubles.in_words(code)} for code, count in by_trouble[:_MOST_REASONS]]
    name = one_line(provider.name)
    subject = ngettext(
        "%(provider)s: %(count)d account is stuck", "%(provider)s: %(count)d accounts are stuck", found["count"]
    )
    return Draft(
        subject=subject % {"provider": name, "count": found["count"]},
        leads_to="admin:enrollment_provideraccount_changelist",
        query=f"?stuck=yes&provider__id__exact={provider.pk}",
        facts={"name": name, "reasons": reasons, **found},
    )


def provider_down(letter: Letter) -> Draft | None:
    """Not sent once the provider is back."""
    provider = _provider_of(letter)
    line = ProviderLine.objects.filter(provider=provider, down_since__isnull=False).first() if provider else None
    if provider is None or line is None:
        return None
    name = one_line(provider.name)
    waiting = ProviderAccount.objects.owed().filter(provider=provider, stuck_at=None).count()
    return Draft(
        subject=_("%(provider)s is not available") % {"provider": name},
        leads_to="admin:catalog_provider_change",
        arguments=(provider.pk,),
        facts={"name": name, "line": line, "waiting": waiting, "why": troubles.in_words(line.last_trouble)},
    )


def lists_disagree(letter: Letter) -> Draft | None:
    """Not sent once somebody trusts the list, or a newer one was compared."""
    provider = _provider_of(letter)
    finished = Reconciliation.objects.filter(provider=provider, finished_at__isnull=False).order_by("-pk")
    run = finished.first() if provider else None
    if provider is None or run is None or run.is_trusted or run.finished_at != letter.owed_at:
        return None
    name = one_line(provider.name)
    return Draft(
        subject=_("%(provider)s: the list of accounts is not trusted") % {"provider": name},
        leads_to="admin:enrollment_reconciliation_change",
        arguments=(run.pk,),
        facts={"name": name, "run": run, "why": run.get_doubt_display(), "before": differences.before(run)},
    )


def _provider_of(letter: Letter) -> Provider | None:
    """None where the reader does not follow the providers any more."""
    return letter.provider if scoping.may(letter.user, scoping.Role.OPERATOR, scoping.Role.COORDINATOR) else None


def _pool_of(letter: Letter) -> SeatPool | None:
    """None where the reader may do nothing about it any more."""
    return letter.pool if scoping.may(letter.user, scoping.Role.COORDINATOR) else None


def _of_pool(pool: SeatPool, subject: str) -> Draft:
    facts = {
        "programme": one_line(pool.programme.name),
        "pool": pool,
        "percent": pool.taken * 100 // max(pool.limit, 1),
        "waiting": scarcity.waiting_for(pool),
    }
    page = "admin:enrollment_seatpool_change"
    return Draft(subject=subject % facts, leads_to=page, arguments=(pool.pk,), facts=facts)


TO_STAFF: dict[Letter.Kind, Callable[[Letter], Draft | None]] = {
    Letter.Kind.HOLDS_ENDING: holds_ending,
    Letter.Kind.PLACES_SCARCE: places_scarce,
    Letter.Kind.QUEUE_LONG: queue_long,
    Letter.Kind.RECHECKS_STOPPED: rechecks_stopped,
    Letter.Kind.ROSTER_STOPPED: roster_stopped,
    Letter.Kind.ACCOUNTS_STUCK: accounts_stuck,
    Letter.Kind.PROVIDER_DOWN: provider_down,
    Letter.Kind.LISTS_DISAGREE: lists_disagree,
}
