"""Erasure is complete (promise 23): nothing that tells of the person is left in any column of any table, in the
broker, in the logs or in sessions, the person's own and others'."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Token
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.conf import LazySettings
from django.core import mail
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, erasing, history
from enrollment.models import (
    Difference,
    Enrollment,
    Event,
    ListedAccount,
    ProviderAccount,
    ProviderNotice,
    Reconciliation,
)
from libraries import address_codes
from libraries.models import Doubt, User
from tests.canaries import Watch, watching
from tests.enrollment.views import visiting
from tests.erasures import erase_here, erasures, providers_obey
from tests.factories import make_librarian, make_library, make_programme
from tests.workplace import sign_in

__all__ = ["erasures"]
pytestmark = pytest.mark.django_db

ADDRESS, NUMBER, OTHER_NUMBER = "kanarie.ada@example.test", "28599001", "28599002"
CANARIES = ("kanarie.ada", "Kanarina", "Vogelaers", NUMBER, OTHER_NUMBER, "kanarie-subject", "kanarie-remote")

# What every column of text holds, and why nothing of a person is in it; those that are erased say so. A new column is
# to be thought about: the test below names it.
ERASED = {
    "libraries_user": {"email", "first_name", "last_name", "password"},
    "libraries_card": {"number"},
    "libraries_addresscode": {"hashed"},
    "enrollment_eventnote": {"words"},
    "enrollment_courserun": {"activity", "certificate_code"},
    "enrollment_provideraccount": {"told", "answer", "remote_id"},
    "enrollment_providernotice": {"notice_id", "course_code", "outcome", "remote_id", "kind", "trouble"},
    "enrollment_listedaccount": {"remote_id", "external_id", "email_hash", "name_hash"},
    "enrollment_difference": {"remote_id", "fields", "kind", "repair", "state"},
    "account_emailaddress": {"email"},
    "allauth_idp_oidc_token": {"type", "hash", "data", "scopes"},
    "account_emailconfirmation": {"key"},
    "mfa_authenticator": {"type", "data"},
    "socialaccount_socialaccount": {"provider", "uid", "extra_data"},
    "socialaccount_socialtoken": {"token", "token_secret"},
    "django_session": {"session_key", "session_data"},
}
# Codes, times and settings: of no person.
CODES = {
    "libraries_user": {"language"},
    "libraries_card": {"state", "decided_how", "refusal"},
    "libraries_doubt": {"says"},
    "libraries_attempt": {"key"},  # a keyed hash, which falls out after two days
    "libraries_staffrole": {"role"},
    "libraries_institution": {
        *("slug", "name", "kind", "postal_code", "city", "languages", "color", "card_check", "second_fact"),
        *("number_patterns", "check_digit"),
    },
    "libraries_library": {"name", "postal_code", "city"},
    "libraries_librarysystem": {
        *("address", "encoding", "institution_code", "location", "login", "secret_name", "terminal_secret_name"),
        *("pin_name", "when_down"),
    },
    "libraries_roster": {"second_fact", "rejections"},
    "libraries_rosterentry": {"number", "fact_hash"},  # the library's own list, which stays
    "libraries_rostersource": {
        *("way", "address", "login", "secret_name", "fingerprint", "trouble", "stopped_fingerprint"),
        "allowed_fingerprint",
    },
    # Hashes of what tools were given and have used, for an hour or so.
    "enrollment_accesstoken": {"digest"},
    "enrollment_usedtoken": {"digest"},
    "enrollment_capchange": {"reason", "obstacle"},
    "enrollment_enrollment": {"state", "end_reason", "privacy_version", "privacy_language"},
    "enrollment_courserun": {"activity", "certificate_code", "shown"},
    "enrollment_erasure": {"code"},
    "enrollment_event": {"kind", "reason"},
    "enrollment_launch": {"message", "language", "shown"},
    "enrollment_letter": {"trouble", "kind", "reason"},
    "enrollment_provideraccount": {"trouble", "seen"},
    "enrollment_reconciliation": {"trouble", "doubt"},
    "enrollment_signingkey": {"kid", "public", "sealed"},
    "enrollment_picking": {"items"},  # courses
    # A platform's registration.
    "allauth_idp_oidc_client": {
        *("id", "name", "secret", "scopes", "default_scopes", "type", "grant_types", "response_types"),
        *("redirect_uris", "cors_origins", "data"),
    },
    "django_admin_log": {"object_id", "object_repr", "change_message"},  # of staff, and neutral
}
OF_THE_CATALOG_AND_FRAMEWORK = ("catalog_", "auth_", "django_content_type", "socialaccount_socialapp")
TEXT = (models.CharField, models.TextField, models.JSONField, models.BinaryField)


def test_every_column_of_text_was_thought_about() -> None:
    forgotten = [
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, TEXT) and not model._meta.db_table.startswith(OF_THE_CATALOG_AND_FRAMEWORK)
        if field.column not in ERASED.get(model._meta.db_table, set()) | CODES.get(model._meta.db_table, set())
    ]
    assert forgotten == []


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, settings: LazySettings) -> Iterator[Watch]:
    with watching(caplog, settings) as found:
        yield found


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def ada(programme: Programme, watch: Watch) -> Client:
    """She applied by way of the pages, and changes her card."""
    client = Client()
    visiting.sign_in(client, ADDRESS)
    library = make_library()
    names = {"first_name": "Kanarina", "last_name": "Vogelaers"}
    assert visiting.apply(client, library, number=NUMBER, **names).status_code == 302
    card_checking.confirm(card_id=enrollment().card_id, by=make_librarian(), now=timezone.now())
    return client


def enrollment() -> Enrollment:
    return Enrollment.objects.select_related("user", "card", "share").get(user__email=ADDRESS)


def leave_traces(client: Client, mo: Client) -> None:
    """Everywhere where something of a person can stand."""
    row, now = enrollment(), timezone.now()
    change = reverse("my_card", args=[row.pk]) + f"?library={row.card.library_id}"
    client.post(change, {"number": OTHER_NUMBER})
    history.record(Event.Kind.PRIORITY_GIVEN, now=now, enrollment=row, words="Kanarina Vogelaers is ill")
    SocialAccount.objects.create(user=row.user, provider="https://id.example", uid="kanarie-subject")
    EmailAddress.objects.create(user=row.user, email=ADDRESS)
    Token.objects.create(type=Token.Type.REFRESH_TOKEN, hash="c" * 64, user=row.user, data={"email": ADDRESS})
    Authenticator.objects.create(user=row.user, type="totp", data={"secret": "kanarie-subject"})
    address_codes.renew(row.user, code="12345678", now=now)
    Doubt.objects.create(card=row.card, institution=row.card.institution, says="expired", found_at=now, asked_at=now)
    _leave_traces_of_account(row, now)
    mo.post(reverse("admin:enrollment_enrollment_changelist"), {"look_for": "kanarina  VOGELAERS"})
    mo.post(reverse("admin:enrollment_provideraccount_changelist"), {"look_for": "2859 9001"})
    waits = Client()
    assert waits.post("/en/join/", {"email": ADDRESS}).status_code == 302


def _leave_traces_of_account(row: Enrollment, now: Any) -> None:
    provider = row.pool.programme.provider
    account = ProviderAccount.objects.get(user=row.user)
    ProviderAccount.objects.filter(pk=account.pk).update(
        seen="active", seen_at=now, remote_id="kanarie-remote", answer="Kanarina exists", told="a" * 32
    )
    mine: dict[str, Any] = {"external_id": account.external_id}
    theirs: dict[str, Any] = {"remote_id": "kanarie-remote"}
    for number, known in enumerate((mine, theirs, mine | theirs)):
        told: dict[str, Any] = {"notice_id": f"{number}", "kind": "progress", "received_at": now, "occurred_at": now}
        ProviderNotice.objects.create(provider=provider, course_code="kanarie-subject", **told, **known)
    comparison = Reconciliation.objects.create(provider=provider, asked_at=now, finished_at=now)
    ListedAccount.objects.create(reconciliation=comparison, active=True, email_hash="b" * 32, **mine | theirs)
    Difference.objects.create(reconciliation=comparison, kind="other_data", account=account, repair="agree", **theirs)


def erase(client: Client) -> None:
    page = client.get("/en/my/erase/")
    answer = client.post("/en/my/erase/", {"expected": page.context["plan"].fingerprint})
    assert answer.status_code == 302
    now = timezone.now()
    erase_here(now)
    providers_obey(now)
    assert erasing.erase_due(now=now) == 1


def test_nothing_is_left_anywhere(ada: Client, watch: Watch, erasures: Path) -> None:
    mo = sign_in(User.objects.create_superuser("mo@example.test", "x"))
    leave_traces(ada, mo)
    before = watch.found(CANARIES)
    tables = {place.split(",")[0].split(":")[0] for place in before}
    assert tables >= {
        *("libraries_user", "libraries_card", "enrollment_eventnote", "enrollment_provideraccount"),
        *("enrollment_providernotice", "enrollment_listedaccount", "enrollment_difference", "mfa_authenticator"),
        *("account_emailaddress", "socialaccount_socialaccount", "django_session"),
    }
    erase(ada)
    mail.outbox.clear()  # what the person has got
    assert watch.found(CANARIES) == []
    assert all(canary not in erasures.read_text() for canary in CANARIES)
    assert mo.get(reverse("admin:enrollment_enrollment_changelist")).status_code == 200


def test_others_keep_what_is_theirs(ada: Client, programme: Programme, watch: Watch, erasures: Path) -> None:
    bo = Client()
    visiting.sign_in(bo, "bo@example.test")
    visiting.apply(bo, make_library(), number="21000002", first_name="Bo", last_name="Claes")
    mo = sign_in(User.objects.create_superuser("mo@example.test", "x"))
    mo.post(reverse("admin:enrollment_enrollment_changelist"), {"look_for": "Claes"})
    erase(ada)
    kept = User.objects.get(email="bo@example.test")
    assert (kept.full_name, kept.cards.get().number) == ("Bo Claes", "21000002")
    assert bo.get("/en/my/").status_code == 200
    page = mo.get(reverse("admin:enrollment_enrollment_changelist"))
    assert "Bo Claes" in page.content.decode()


@pytest.mark.parametrize(
    "step", ["libraries.people.forget", "libraries.membership.forget", "libraries.sessions.forget"]
)
def test_erasure_that_broke_off_is_begun_again(
    step: str, ada: Client, watch: Watch, erasures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("forced")

    row = enrollment()
    now = timezone.now()
    erasing.ask(user_id=row.user_id, by=row.user, now=now)
    with monkeypatch.context() as patch:
        patch.setattr(step, failing)
        assert erasing.erase_due(now=now + timedelta(days=2)) == 0
    assert User.objects.get(pk=row.user_id).email == ADDRESS
    assert erasing.erase_due(now=now + timedelta(days=2)) == 1
    mail.outbox.clear()
    assert watch.found(CANARIES) == []
