"""Staff at work, for the tests of the workplace: signed in, with their second factor used in this session."""

from __future__ import annotations

import time
from dataclasses import dataclass

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment import history
from enrollment.models import Difference, Enrollment, Event, ProviderAccount, ProviderNotice, Reconciliation
from libraries.models import Institution, LibrarySystem, Roster, User
from tests.factories import make_institution, make_library, make_member, make_programme


def give_factor(user: User) -> Authenticator:
    authenticator: Authenticator = TOTP.activate(user, generate_totp_secret()).instance
    return authenticator


def sign_in(user: User, *, factor_used: bool = True) -> Client:
    """As allauth leaves the session behind after the second step of signing in."""
    client = Client(HTTP_ACCEPT_LANGUAGE="nl")
    client.force_login(user)
    if factor_used:
        factor = give_factor(user)
        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            {"method": "password", "at": time.time()},
            {"method": "mfa", "at": time.time(), "id": factor.pk, "type": "totp"},
        ]
        session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
        session.save()
    return client


@dataclass(frozen=True)
class Scene:
    """Two institutions in one programme; everything a librarian of the first must never read bears a canary."""

    own: Institution
    foreign: Institution
    programme: Programme
    ada: Enrollment
    cy: Enrollment
    rosters: tuple[Roster, Roster]


CANARIES = (
    "Zeldzaam",
    "Kanarie",
    "zeldzaam.kanarie@example.test",
    "99887766",
    "Kanariebib",
    "Kanariestad",
    "Geheim woord",
    # What a provider says of the other's member: its id there.
    "kanarie-4711",
)


def make_scene() -> Scene:
    own, foreign = make_institution("antwerpen"), make_institution("kanariestad")
    programme = make_programme(cap=1)
    ada = make_member(programme=programme, library=make_library(institution=own), number="21000001")
    make_member("bo@example.test", programme=programme, library=make_library(institution=own), number="21000001")
    cy = _make_foreign(programme, foreign)
    LibrarySystem.objects.bulk_create(
        LibrarySystem(institution=each, address=f"sip.{each.slug}.example") for each in (own, foreign)
    )
    now = timezone.now()
    lists = [
        Roster(
            institution=each,
            imported_at=now,
            second_fact="birth_date",
            accepted=1,
            rejected=1,
            rejections=[[2, "empty"]],
        )
        for each in (own, foreign)
    ]
    first, second = Roster.objects.bulk_create(lists)
    return Scene(own, foreign, programme, ada, cy, (first, second))


def _make_foreign(programme: Programme, institution: Institution) -> Enrollment:
    library = make_library("Kanariebib", institution)
    cy = make_member(
        "zeldzaam.kanarie@example.test",
        programme=programme,
        library=library,
        number="99887766",
        first_name="Zeldzaam",
        last_name="Kanarie",
    )
    make_member("kanarie.twee@example.test", programme=programme, library=library, number="99887766")
    history.record(Event.Kind.PRIORITY_GIVEN, now=timezone.now(), enrollment=cy, words="Geheim woord")
    account = ProviderAccount.objects.create(
        user=cy.user,
        provider=programme.provider,
        must_be_active=True,
        due_at=timezone.now(),
        stuck_at=timezone.now(),
        trouble="name_taken",
        remote_id="kanarie-4711",
    )
    _tell_of(account)
    return cy


def _tell_of(account: ProviderAccount) -> None:
    """A comparison that found its account, and a notice about it."""
    now = timezone.now()
    run = Reconciliation.objects.create(provider=account.provider, asked_at=now, finished_at=now, listed=1, ours=1)
    told = {"kind": "closed_there", "remote_id": account.remote_id, "repair": "agree"}
    Difference.objects.create(reconciliation=run, account=account, **told)
    ProviderNotice.objects.create(
        provider=account.provider,
        notice_id="msg_1",
        kind="account.closed",
        received_at=now,
        occurred_at=now,
        remote_id=account.remote_id,
        outcome="stuck",
    )
