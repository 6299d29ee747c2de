"""The registration of single sign-on at a provider's platform: a secret that is shown once, and who may."""

from __future__ import annotations

import html
from typing import Any

import pytest
from allauth.idp.oidc.models import Client as OidcClient
from allauth.idp.oidc.models import Token
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from catalog.models import Provider
from enrollment import signing_on
from enrollment.models import Event, SignOnClient
from libraries.models import StaffRole
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_provider, make_staff, make_user
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/signonclient/"


@pytest.fixture
def provider() -> Provider:
    return make_provider("spring", name="Spring")


@pytest.fixture(autouse=True)
def _as_in_production(settings: Any) -> None:
    settings.SANDBOX = settings.DEBUG = False


def filled_in(**fields: Any) -> dict[str, Any]:
    return {"redirect_uris": "https://spring.example/callback", "needs_pkce": "on", "is_on": "on", **fields}


def register(ops: Client, provider: Provider, **fields: Any) -> Any:
    return ops.post(f"{LIST}add/", filled_in(provider=provider.pk, **fields))


def secret_in(page: Any) -> str:
    return str(next(value for _ours, theirs, value in page.context["told"] if theirs == "client secret"))


def test_secret_is_shown_once(ops: Client, provider: Provider) -> None:
    page = register(ops, provider)
    secret, row = secret_in(page), SignOnClient.objects.get()
    assert secret in html.unescape(page.content.decode())
    assert "no-store" in page["Cache-Control"]
    assert row.client.check_secret(secret)
    assert secret not in row.client.secret
    told = words_of(ops.get(f"{LIST}{row.pk}/change/"))
    assert row.client_id in told
    assert "/.well-known/openid-configuration" in told
    assert "no key to sign with" in told
    assert "Members are signed in there" in words_of(ops.get(f"/en/admin/catalog/provider/{provider.pk}/change/"))
    for address in (f"{LIST}{row.pk}/change/", LIST):
        assert all("client secret" not in str(each) for each in ops.get(address).context.get("told", []))
    client = row.client
    told_of = (client.skip_consent, client.get_redirect_uris(), client.get_response_types(), client.allow_uri_wildcards)
    assert told_of == (True, ["https://spring.example/callback"], ["code"], False)
    event = Event.objects.get()
    assert (event.kind, event.reason, event.provider_id) == ("provider_changed", "sign_on", provider.pk)


def test_another_secret_ends_what_was_given_for_the_one_before(ops: Client, provider: Provider) -> None:
    first = secret_in(register(ops, provider))
    row = SignOnClient.objects.get()
    Token.objects.create(client=row.client, user=make_user(), type="rt", hash="x")
    assert ops.get(f"{LIST}{row.pk}/secret/").status_code == 302
    second = secret_in(ops.post(f"{LIST}{row.pk}/secret/"))
    row.client.refresh_from_db()
    assert (row.client.check_secret(first), row.client.check_secret(second)) == (False, True)
    assert Token.objects.count() == 0
    assert Event.objects.latest("id").note.words == "secret"


def test_change_reaches_the_library_and_turning_off_ends_what_was_given(ops: Client, provider: Provider) -> None:
    register(ops, provider)
    row = SignOnClient.objects.get()
    Token.objects.create(client=row.client, user=make_user(), type="at", hash="x")
    more = "https://spring.example/a\nhttps://spring.example/b"
    assert ops.post(f"{LIST}{row.pk}/change/", filled_in(redirect_uris=more)).status_code == 302
    row.refresh_from_db()
    assert row.redirect_uris == row.client.get_redirect_uris() == more.split("\n")
    assert Token.objects.count() == 1
    ops.post(f"{LIST}{row.pk}/change/", filled_in(redirect_uris=more, is_on=""))
    assert Token.objects.count() == 0
    assert [event.note.words for event in Event.objects.order_by("id")[1:]] == ["redirect_uris", "is_on"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "http://spring.example/callback",
        "https://*.spring.example/callback",
        "https://spring.example/callback#x",
        "https://me:secret@spring.example/callback",
        "javascript:alert(1)",
        "spring://callback",
        "\n".join(f"https://spring.example/{number}" for number in range(21)),
    ],
)
def test_addresses_are_checked(ops: Client, provider: Provider, given: str) -> None:
    page = register(ops, provider, redirect_uris=given)
    assert list(page.context["adminform"].form.errors) == ["redirect_uris"]
    assert (SignOnClient.objects.count(), OidcClient.objects.count(), Event.objects.count()) == (0, 0, 0)


def test_provider_has_one_and_keeps_it(ops: Client, provider: Provider) -> None:
    register(ops, provider)
    assert "provider" in register(ops, provider).context["adminform"].form.errors
    row, other = SignOnClient.objects.get(), make_provider("autumn")
    ops.post(f"{LIST}{row.pk}/change/", filled_in(provider=other.pk, client="x", is_on="on"))
    assert SignOnClient.objects.get().provider == provider
    assert ops.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_others_see_no_secret_and_change_nothing(ops: Client, provider: Provider) -> None:
    register(ops, provider)
    row = SignOnClient.objects.get()
    kept = row.client.secret
    for role in (StaffRole.Role.COORDINATOR, StaffRole.Role.AUDITOR):
        client = sign_in(make_staff(f"{role}@example.test", role))
        page = client.get(f"{LIST}{row.pk}/change/")
        assert row.client_id in words_of(page)
        assert "Make another secret" not in words_of(page)
        assert client.post(f"{LIST}{row.pk}/secret/").status_code == 403
        assert client.post(f"{LIST}{row.pk}/change/", filled_in(is_on="")).status_code == 403
        assert client.get(f"{LIST}add/").status_code == 403
    lin = sign_in(make_librarian())
    assert [lin.get(each).status_code for each in (LIST, f"{LIST}{row.pk}/secret/")] == [403, 403]
    row.client.refresh_from_db()
    assert (row.client.secret, Event.objects.count()) == (kept, 1)


def test_operation_itself_asks_who_does_it_and_what(provider: Provider) -> None:
    row, now = SignOnClient(provider=provider, redirect_uris=["https://spring.example/x"]), timezone.now()
    with pytest.raises(signing_on.Refused):
        signing_on.register(row, by=make_coordinator(), now=now)
    row.redirect_uris = ["http://spring.example/x"]
    with pytest.raises(signing_on.Refused):
        signing_on.register(row, by=make_staff("o@example.test", StaffRole.Role.OPERATOR), now=now)
    assert (SignOnClient.objects.count(), OidcClient.objects.count()) == (0, 0)


def test_rows_of_the_library_stand_in_no_list_of_the_workplace() -> None:
    assert not {OidcClient, Token} & set(admin.site._registry)
