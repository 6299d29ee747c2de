"""Rows as the tests need them: plain functions, each with a complete default. Members apply through the operation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from django.utils import timezone

from catalog.models import Programme, Provider, Tool
from enrollment import applying
from enrollment.models import Enrollment, SeatPool, Share
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries.models import Institution, Library, LibrarySystem, StaffRole, User

NOW = datetime(2026, 7, 3, 12, 2, tzinfo=UTC)  # 14:02 in Brussels
ADDRESS = "192.0.2.1"
PASSWORD = "correct horse battery staple"

_number = count(1)


def make_institution(slug: str = "antwerpen", **fields: Any) -> Institution:
    """The one with this slug, made when there is none yet; cards are checked by hand unless said otherwise."""
    name = slug.replace("-", " ").title()
    defaults = {"name": name, "postal_code": "2000", "city": name, **fields}
    return Institution.objects.get_or_create(slug=slug, defaults=defaults)[0]


def make_library(name: str = "Permeke", institution: Institution | None = None, **fields: Any) -> Library:
    institution = institution or make_institution()
    defaults = {"postal_code": institution.postal_code, "city": institution.city, **fields}
    return Library.objects.get_or_create(institution=institution, name=name, defaults=defaults)[0]


def make_system(institution: Institution | None = None, *, kind: str = "sip2", **fields: Any) -> LibrarySystem:
    """The institution's library system, which nobody has started: see tests/card_systems.py for answers."""
    institution = institution or make_institution()
    institution.card_check = kind
    institution.save(update_fields=["card_check"])
    defaults = {"address": "127.0.0.1", "port": 9, "tls": False, **fields}
    return LibrarySystem.objects.update_or_create(institution=institution, defaults=defaults)[0]


def make_provider(slug: str = "skillstown", **fields: Any) -> Provider:
    defaults = {
        "name": "SkillsTown",
        "base_url": "http://127.0.0.1:9/scim/v2/",
        "start_url": "https://platform.test/start",
        "secret_name": "SANDBOX_PLATFORM_TOKEN",
        **fields,
    }
    return Provider.objects.get_or_create(slug=slug, defaults=defaults)[0]


def make_programme(
    slug: str = "leerkaart",
    *,
    cap: int = 10,
    institutions: Iterable[Institution] | None = None,
    provider: Provider | None = None,
    **fields: Any,
) -> Programme:
    """An open programme with its pool (`programme.pool`), and a share without a floor for every institution there is,
    or for those named."""
    fields = {"name": "Leerkaart", "opens_on": date(2019, 7, 1), **fields}
    programme = Programme.objects.create(slug=slug, provider=provider or make_provider(), **fields)
    pool = SeatPool.objects.create(programme=programme, cap=cap)
    taking_part = Institution.objects.all() if institutions is None else institutions
    Share.objects.bulk_create(Share(pool=pool, institution=each) for each in taking_part)
    return programme


def make_user(email: str = "ada@example.test", **fields: Any) -> User:
    """A person as sign-up leaves them: no password, no names."""
    return User.objects.create_user(email, **fields)


def make_application(library: Library | None = None, number: str = "21000001", **fields: Any) -> applying.Application:
    defaults: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Peeters",
        "second_fact": None,
        "language": "nl",
        "privacy_version": PRIVACY_TEXT_VERSION,
        "age_confirmed": None,
    }
    return applying.Application(library=library or make_library(), number=number, **(defaults | fields))


def make_member(
    email: str = "ada@example.test",
    *,
    programme: Programme,
    library: Library | None = None,
    number: str = "",
    now: datetime | None = None,
    **application: Any,
) -> Enrollment:
    """A person who has applied: held, seated or waiting, as the card's check and the seats decide."""
    user = User.objects.filter(email=email).first() or make_user(email)
    told = make_application(library, number or f"2199{next(_number):04}", **application)
    return applying.apply(user=user, pool=programme.pool, application=told, address=ADDRESS, now=now or timezone.now())


def make_librarian(institution: Institution | None = None, email: str = "lin@example.test", **fields: Any) -> User:
    institution = institution or make_institution()
    return make_staff(email, StaffRole.Role.LIBRARIAN, institution, **fields)


def make_coordinator(email: str = "mo@example.test", **fields: Any) -> User:
    return make_staff(email, StaffRole.Role.COORDINATOR, **fields)


def make_staff(email: str, role: str, institution: Institution | None = None, **fields: Any) -> User:
    """Someone who may enter the workplace, with the password PASSWORD and no second factor yet."""
    user = User.objects.create_user(email, PASSWORD, is_staff=True, **fields)
    StaffRole.objects.create(user=user, role=role, institution=institution)
    return user


def make_tool(provider: Provider | None = None, **fields: Any) -> Tool:
    """The provider's platform as an LTI tool that is registered here; see tests/lti_tool.py for one that answers."""
    defaults = {
        "login_url": "https://tool.test/login",
        "launch_url": "https://tool.test/launch",
        "redirect_uris": ["https://tool.test/launch"],
        "keyset": {"keys": []},
        **fields,
    }
    return Tool.objects.create(provider=provider or make_provider(), **defaults)
