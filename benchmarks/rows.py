"""Rows to measure with: a programme of nine institutions, members with a card on a list, and their sessions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from catalog.models import Area, Course, Listing, Programme, Provider, Tool
from enrollment import applying
from enrollment.models import ProviderAccount, SeatPool, Share
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries import rosters
from libraries.models import Institution, Library, User

FACT, INSTITUTIONS = "18/05/1944", 9
BATCH = 1000


@dataclass(frozen=True)
class Member:
    """Somebody who is signed in, or will sign in, and has a card."""

    number: int
    email: str
    library_id: int
    session: str = ""

    @property
    def card(self) -> str:
        return f"{2_100_000_000_000 + self.number}"

    @property
    def address(self) -> str:
        """Of the network: one for everybody, as from home."""
        return f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}"


def make_libraries() -> list[Library]:
    """One of each institution; cards are proved by a list."""
    libraries = []
    for each in range(INSTITUTIONS):
        name, place = f"Institution {each}", {"postal_code": f"{1000 + each}", "city": f"Place {each}"}
        institution, _made = Institution.objects.get_or_create(
            slug=f"institution-{each}", defaults={"name": name, "card_check": Institution.CardCheck.ROSTER, **place}
        )
        libraries.append(Library.objects.get_or_create(institution=institution, name=name, defaults=place)[0])
    return libraries


def make_pool(slug: str, *, cap: int) -> SeatPool:
    provider, _made = Provider.objects.get_or_create(
        slug="platform",
        defaults={
            "name": "Platform",
            "base_url": f"{os.environ['SANDBOX_PLATFORM_URL']}/v2",
            "start_url": "https://platform.test/",
            "secret_name": "SANDBOX_PLATFORM_TOKEN",
        },
    )
    opens_on = timezone.localdate() - timedelta(days=1)
    programme = Programme.objects.create(slug=slug, name=slug, provider=provider, opens_on=opens_on)
    pool = SeatPool.objects.create(programme=programme, cap=cap)
    Share.objects.bulk_create(Share(pool=pool, institution=each) for each in Institution.objects.all())
    return pool


def make_visitors(count: int, *, start: int) -> list[Member]:
    """People who are not known yet, with a card on the list of their institution."""
    libraries = make_libraries()
    members = [
        Member(number, f"member{number}@example.test", libraries[number % INSTITUTIONS].pk)
        for number in range(start, start + count)
    ]
    _put_on_lists(members, {library.pk: library.institution for library in libraries})
    return members


def make_members(count: int, *, start: int) -> list[Member]:
    """The same, signed in."""
    visitors = make_visitors(count, start=start)
    users = User.objects.bulk_create(
        [User(email=visitor.email, password=make_password(None)) for visitor in visitors], batch_size=BATCH
    )
    sessions = [_session(user, visitor) for user, visitor in zip(users, visitors, strict=True)]
    Session.objects.bulk_create(sessions, batch_size=BATCH)
    return [
        Member(visitor.number, visitor.email, visitor.library_id, str(session.session_key))
        for visitor, session in zip(visitors, sessions, strict=True)
    ]


def make_tool(pool: SeatPool, *, address: str) -> None:
    """The programme's provider has a tool at this address, and one course that is on offer."""
    provider = pool.programme.provider
    Tool.objects.create(
        provider=provider, login_url=address, launch_url=address, redirect_uris=[address], keyset={"keys": []}
    )
    area = Area.objects.create(slug="area", name_nl="Area", name_fr="Area", name_en="Area")
    course = Course.objects.create(
        provider=provider, code="1", slug="measured", title="Measured", area=area, language="nl", level="A1", hours=4
    )
    Listing.objects.create(programme=pool.programme, course=course, offered_from=pool.programme.opens_on)


def make_seated(pool: SeatPool, count: int) -> list[Member]:
    """Signed in, with a seat, and an account that is ready."""
    members = make_members(count, start=0)
    for member in members:
        told = applying.Application(
            library=Library.objects.select_related("institution").get(pk=member.library_id),
            number=member.card,
            first_name="Ada",
            last_name="Peeters",
            second_fact=FACT,
            language="nl",
            privacy_version=PRIVACY_TEXT_VERSION,
            age_confirmed=None,
        )
        user = User.objects.get(email=member.email)
        applying.apply(user=user, pool=pool, application=told, address=member.address, now=timezone.now())
    ProviderAccount.objects.update(seen=ProviderAccount.Seen.ACTIVE, seen_at=timezone.now(), due_at=None)
    return members


def _session(user: User, visitor: Member) -> Session:
    told = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    key, ends = f"benchmark{visitor.number:023}", timezone.now() + timedelta(days=14)
    return Session(session_key=key, session_data=SessionStore().encode(told), expire_date=ends)


def _put_on_lists(members: Sequence[Member], institutions: dict[int, Institution]) -> None:
    """The lists hold these members from now on."""
    lines = {library_id: ["number;birth_date;valid_until"] for library_id in institutions}
    for member in members:
        lines[member.library_id].append(f"{member.card};{FACT};2099-01-01")
    for library_id, institution in institutions.items():
        source = BytesIO("\n".join(lines[library_id]).encode())
        rosters.import_roster(institution=institution, source=source, by=None, now=timezone.now())
