"""The demo's data: a programme four and a half months old, its staff, and some 1,500 people who applied."""

from __future__ import annotations

from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from django.db import transaction
from django.utils import timezone

from catalog.models import Programme
from enrollment import cap
from enrollment.cap_plan import Plan
from libraries.models import Institution, StaffRole, User
from portal.sandbox import demo_catalog, demo_courses, demo_people
from portal.sandbox.accounts import DEMO_ACCOUNTS, DemoAccount
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

SECOND_CAP, RAISED_AFTER = 2000, timedelta(days=45)
WHY_RAISED = "Within a month 800 more people applied than we had counted on. The partners agreed to double the places."


def load(*, now: datetime) -> bool:
    """Make the demo's data unless it is there; says whether it was made. Interrupted, it leaves nothing half done:
    accounts that are not open at the platform yet are owed, and the workers open them."""
    made = not Programme.objects.filter(slug=demo_catalog.PROGRAMME).exists()
    if made:
        _make(now)
    demo_catalog.find_outside_world()
    _add_courses(now)
    demo_catalog.keep_a_module_on_offer(timezone.localdate(now))
    if made:
        demo_people.open_accounts(now=now)
    return made


@transaction.atomic
def _add_courses(now: datetime) -> None:
    """How courses are started, and who has: also in a demo that an earlier version made."""
    if demo_catalog.register_tool():
        demo_catalog.describe_courses()
        demo_courses.populate(Programme.objects.get(slug=demo_catalog.PROGRAMME), now=now)


@transaction.atomic
def _make(now: datetime) -> None:
    institutions = demo_catalog.make_institutions()
    programme = demo_catalog.make_programme(institutions, timezone.localdate(now))
    demo_catalog.make_courses(programme)
    staff = {account.first_name: _make_staff(account, institutions) for account in DEMO_ACCOUNTS}
    raised_at = opened_at(programme) + RAISED_AFTER
    cap.change(pool_id=programme.pool.pk, plan=Plan(cap=SECOND_CAP), reason=WHY_RAISED, by=staff["Mo"], now=raised_at)
    deciders = {"antwerpen": staff["Lin"], "muntpunt": staff["Nadia"]}
    demo_people.populate(
        programme=programme, opened_at=opened_at(programme), raised_at=raised_at, deciders=deciders, now=now
    )


def opened_at(programme: Programme) -> datetime:
    """Nine in the morning."""
    return timezone.make_aware(datetime(programme.opens_on.year, programme.opens_on.month, programme.opens_on.day, 9))


def _make_staff(account: DemoAccount, institutions: dict[str, Institution]) -> User:
    user = User.objects.create_user(
        account.email,
        account.password,
        first_name=account.first_name,
        last_name=account.last_name,
        is_staff=True,
        is_superuser=account.role == StaffRole.Role.OPERATOR,
    )
    StaffRole.objects.create(user=user, role=account.role, institution=institutions.get(account.institution))
    EmailAddress.objects.create(user=user, email=account.email, verified=True, primary=True)
    TOTP.activate(user, account.totp_secret)
    return user
