"""The registration of a provider's tool: what is told, what is refused, what is on record, what a test says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Provider, Tool
from enrollment import tool_checks
from enrollment.launch import addresses, keys
from enrollment.models import Event
from libraries.models import StaffRole
from tests.catalog.provider.odd_server import odd_server, saying
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_provider, make_staff
from tests.tools import make_tool, public_ec_jwk, public_jwk
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/catalog/tool/"


def kept(jwk: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a key."""
    return {name: value for name, value in jwk.items() if name != "key_ops"}


JWKS = {"keys": [kept(public_jwk())]}


@pytest.fixture
def provider() -> Provider:
    return make_provider("spring", name="Spring")


@pytest.fixture(autouse=True)
def _as_in_production(settings: Any) -> None:
    settings.SANDBOX = settings.DEBUG = settings.ALLOW_PRIVATE_ADDRESSES = False


def page_of(tool: Tool) -> str:
    return f"{LIST}{tool.pk}/change/"


def filled_in(**fields: Any) -> dict[str, Any]:
    return {
        "is_on": "on",
        "login_url": "https://tool.spring.example/login",
        "launch_url": "https://tool.spring.example/launch",
        "redirect_uris": "https://tool.spring.example/launch\r\n https://tool.spring.example/picked ",
        "deep_linking_url": "",
        "keyset_url": "https://tool.spring.example/jwks.json",
        "keyset": "",
        "_continue": "1",
        **fields,
    }


def errors_of(answer: Any) -> dict[str, list[str]]:
    if not answer.context:
        return {}
    return {name: list(words) for name, words in answer.context["adminform"].form.errors.items()}


def register(ops: Client, provider: Provider, **fields: Any) -> dict[str, list[str]]:
    return errors_of(ops.post(f"{LIST}add/", filled_in(provider=provider.pk, **fields)))


def test_tool_is_registered_and_what_to_tell_the_provider_stands_there(ops: Client, provider: Provider) -> None:
    before = words_of(ops.get(f"{LIST}add/?provider={provider.pk}"))
    assert addresses.keyset() in before
    assert register(ops, provider) == {}
    tool = Tool.objects.get()
    assert tool.redirect_uris == ["https://tool.spring.example/launch", "https://tool.spring.example/picked"]
    assert (tool.keyset, tool.is_on, tool.provider) == (None, True, provider)
    page = ops.get(page_of(tool))
    words = words_of(page)
    assert "null" not in page.content.decode()
    assert "The tool “ Spring ” was added" in words
    for told in (tool.client_id, "/lti/authorize", "/lti/keys.json", "/lti/token", "deployment id"):
        assert told in words
    event = Event.objects.get()
    assert (event.kind, event.provider_id, hasattr(event, "note")) == ("tool_changed", provider.pk, False)


def test_change_is_on_record_with_the_names_of_what_was_changed(ops: Client, provider: Provider) -> None:
    register(ops, provider)
    tool = Tool.objects.get()
    assert errors_of(ops.post(page_of(tool), filled_in())) == {}
    assert Event.objects.count() == 1
    changes = {"keyset_url": "", "keyset": json.dumps(JWKS), "login_url": "https://tool.spring.example/begin"}
    assert errors_of(ops.post(page_of(tool), filled_in(**changes))) == {}
    tool.refresh_from_db()
    assert (tool.keyset_url, tool.keyset) == ("", JWKS)
    assert Event.objects.latest("id").note.words == "keyset, keyset_url, login_url"
    told = words_of(ops.get(reverse("admin:catalog_provider_change", args=[provider.pk])))
    assert "Registration of the provider's tool changed" in told
    assert "the tool's keys, address of the tool's keys, address where a start begins" in told


@pytest.mark.parametrize(
    ("told", "errors"),
    [
        ({"login_url": "http://tool.spring.example/login"}, {"login_url"}),
        ({"login_url": "https://10.0.0.5/login"}, {"login_url"}),
        ({"login_url": "https://169.254.169.254/login"}, {"login_url"}),
        ({"login_url": "https://tool.spring.example/login?tenant=3"}, set()),
        ({"launch_url": "javascript:alert(1)"}, {"launch_url"}),
        ({"launch_url": "https://me:secret@tool.spring.example/launch"}, {"launch_url"}),
        ({"launch_url": "https://tool.spring.example/launch#here"}, {"launch_url"}),
        ({"launch_url": ""}, {"launch_url"}),
        ({"redirect_uris": "  \n "}, {"redirect_uris"}),
        ({"redirect_uris": "https://*.spring.example/launch"}, {"redirect_uris"}),
        ({"redirect_uris": "https://tool.spring.example/*"}, {"redirect_uris"}),
        ({"redirect_uris": "https://tool.spring.example/launch\nhttp://tool.spring.example/x"}, {"redirect_uris"}),
        ({"redirect_uris": "https://tool.spring.example/launch#x"}, {"redirect_uris"}),
        ({"redirect_uris": "https://tool.spring.example/a b"}, {"redirect_uris"}),
        ({"redirect_uris": "//tool.spring.example/launch"}, {"redirect_uris"}),
        ({"redirect_uris": "\n".join(f"https://tool.spring.example/{n}" for n in range(21))}, {"redirect_uris"}),
        ({"redirect_uris": "https://tool.spring.example/" + "x" * 500}, {"redirect_uris"}),
        ({"deep_linking_url": "https://tool.spring.example/pick"}, set()),
        ({"deep_linking_url": "http://tool.spring.example/pick"}, {"deep_linking_url"}),
        ({"keyset_url": ""}, {"keyset_url"}),
        ({"keyset_url": "https://127.0.0.1/jwks.json"}, {"keyset_url"}),
        ({"keyset": json.dumps(JWKS)}, {"keyset"}),
    ],
)
def test_addresses_are_checked(ops: Client, provider: Provider, told: dict[str, str], errors: set[str]) -> None:
    assert set(register(ops, provider, **told)) == errors
    assert (Tool.objects.count(), Event.objects.count()) == ((0, 0) if errors else (1, 1))


def test_address_without_encryption_only_in_the_sandbox(ops: Client, provider: Provider, settings: Any) -> None:
    settings.SANDBOX = settings.ALLOW_PRIVATE_ADDRESSES = True
    near = {name: f"http://localhost:8155/{name}" for name in ("login_url", "launch_url", "redirect_uris")}
    assert register(ops, provider, **near, keyset_url="http://localhost:8155/jwks.json") == {}


def private_jwk() -> dict[str, Any]:
    return {**public_jwk(), "d": "AQAB"}


def test_pasted_keys_keep_their_public_part_alone(ops: Client, provider: Provider) -> None:
    given = {"keys": [public_jwk(x5c=["MIIB"], evil="<script>"), public_ec_jwk(kid="two"), {"kty": "OKP"}]}
    assert register(ops, provider, keyset_url="", keyset=json.dumps(given)) == {}
    assert Tool.objects.get().keyset == {"keys": [kept(public_jwk()), kept(public_ec_jwk(kid="two"))]}


@pytest.mark.parametrize(
    ("pasted", "flaw"),
    [
        ("nothing", tool_checks.Flaw.UNREADABLE_KEYS),
        ("[]", tool_checks.Flaw.UNREADABLE_KEYS),
        ('{"keys": {}}', tool_checks.Flaw.UNREADABLE_KEYS),
        ("[" * 50_000, tool_checks.Flaw.UNREADABLE_KEYS),
        (json.dumps({"keys": [public_jwk()] * 51}), tool_checks.Flaw.UNREADABLE_KEYS),
        (json.dumps({"keys": [public_jwk()], "more": "x" * 70_000}), tool_checks.Flaw.UNREADABLE_KEYS),
        ('{"keys": []}', tool_checks.Flaw.WEAK_KEYS),
        ('{"keys": ["x", null, {"kty": 1}]}', tool_checks.Flaw.WEAK_KEYS),
        (json.dumps({"keys": [public_jwk(use="enc")]}), tool_checks.Flaw.WEAK_KEYS),
        (json.dumps({"keys": [public_jwk(alg="HS256")]}), tool_checks.Flaw.WEAK_KEYS),
        (json.dumps({"keys": [public_jwk(n="AQAB")]}), tool_checks.Flaw.WEAK_KEYS),
        (json.dumps({"keys": [public_jwk(kid="a\x00b")]}), tool_checks.Flaw.WEAK_KEYS),
        (json.dumps({"keys": [private_jwk()]}), tool_checks.Flaw.PRIVATE_KEYS),
        (json.dumps({"keys": [public_jwk(), {"kty": "oct", "k": "c2VjcmV0"}]}), tool_checks.Flaw.PRIVATE_KEYS),
    ],
)
def test_pasted_keys_are_checked(ops: Client, provider: Provider, pasted: str, flaw: tool_checks.Flaw) -> None:
    assert register(ops, provider, keyset_url="", keyset=pasted).get("keyset") == [str(flaw.label)]
    assert Tool.objects.count() == 0


def test_provider_has_one_tool_and_keeps_it(ops: Client, provider: Provider) -> None:
    register(ops, provider)
    assert set(register(ops, provider)) == {"provider"}
    tool, other = Tool.objects.get(), make_provider("autumn")
    ops.post(page_of(tool), filled_in(provider=other.pk, client_id="mine", deployment_id="9", is_on=""))
    told = Tool.objects.get()
    assert (told.provider, told.client_id, told.deployment_id) == (provider, tool.client_id, "1")
    assert not told.is_on
    assert ops.post(f"{LIST}{tool.pk}/delete/", {"post": "yes"}).status_code == 403


def test_tool_can_be_turned_off_whatever_its_addresses_are(ops: Client, provider: Provider) -> None:
    told = {
        "login_url": "http://10.0.0.5/login",
        "launch_url": "http://10.0.0.5/l",
        "redirect_uris": ["http://10.0.0.5/l"],
    }
    tool = make_tool(provider, **told, keyset=None, keyset_url="http://10.0.0.5/jwks")
    same = {**told, "redirect_uris": "http://10.0.0.5/l", "keyset_url": "http://10.0.0.5/jwks", "is_on": ""}
    assert errors_of(ops.post(page_of(tool), filled_in(**same))) == {}
    assert not Tool.objects.get().is_on
    assert set(errors_of(ops.post(page_of(tool), filled_in(**same | {"launch_url": "http://10.0.0.5/m"})))) == {
        "launch_url"
    }


# --- Who ---


def test_others_see_it_and_cannot_change_it(provider: Provider) -> None:
    tool = make_tool(provider)
    for role in (StaffRole.Role.COORDINATOR, StaffRole.Role.AUDITOR):
        client = sign_in(make_staff(f"{role}@example.test", role))
        assert tool.client_id in words_of(client.get(page_of(tool)))
        assert client.post(page_of(tool), filled_in(login_url="https://evil.example")).status_code == 403
        assert client.get(f"{LIST}add/").status_code == 403
    lin = sign_in(make_librarian())
    assert [lin.get(address).status_code for address in (LIST, f"{LIST}{tool.pk}/test/")] == [403, 403]
    assert lin.get(page_of(tool), follow=True).status_code in (403, 404) or tool.client_id not in words_of(
        lin.get(page_of(tool), follow=True)
    )
    assert Event.objects.count() == 0


def test_operation_itself_asks_who_does_it_and_what(provider: Provider) -> None:
    tool, now = make_tool(provider), timezone.now()
    with pytest.raises(tool_checks.Refused):
        tool_checks.save(tool, by=make_coordinator(), now=now, fields=["is_on"])
    tool.redirect_uris = ["http://evil.example"]
    with pytest.raises(tool_checks.Refused):
        tool_checks.save(
            tool, by=make_staff("o@example.test", StaffRole.Role.OPERATOR), now=now, fields=["redirect_uris"]
        )
    with pytest.raises(tool_checks.Refused):
        tool_checks.try_out(tool, by=make_staff("a@example.test", StaffRole.Role.AUDITOR), now=now)
    assert Event.objects.count() == 0


# --- The test ---


@pytest.fixture
def mo() -> Client:
    return sign_in(make_coordinator())


def try_out(client: Client, tool: Tool) -> str:
    return words_of(client.post(f"{LIST}{tool.pk}/test/"))


def test_tool_that_works(mo: Client, provider: Provider, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    with odd_server(saying("200 OK", json.dumps(JWKS).encode())) as keys_there, odd_server(saying("400 No")) as login:
        places = {"login_url": login.base_url, "keyset_url": f"{keys_there.base_url}/jwks", "keyset": None}
        tool = make_tool(provider, **places, deep_linking_url="https://tool.test/pick")
        assert f"{LIST}{tool.pk}/test/" in mo.get(page_of(tool)).content.decode()
        words = try_out(mo, tool)
    assert "Everything works." in words
    assert words.count(" works ") == 5
    assert (len(login.requests), login.requests[0].startswith(b"GET")) == (1, True)
    event = Event.objects.latest("id")
    assert (event.kind, event.reason, event.provider_id) == ("tool_tested", "good", provider.pk)


def test_tool_that_does_not(mo: Client, provider: Provider, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    with odd_server(saying("404 Gone")) as there:
        places = {"keyset_url": f"{there.base_url}/jwks", "keyset": None, "launch_url": "https://tool.test/other"}
        tool = make_tool(provider, login_url="http://127.0.0.1:9/login", **places)
        words = try_out(mo, tool)
    assert "Everything works." not in words
    for told in (
        "Nothing stands at this address.",
        "nothing listens at this port",
        "is not among those an answer may go to",
        "courses can be started, and not be picked at the provider",
    ):
        assert told in words
    event = Event.objects.filter(kind="tool_tested").latest("id")
    assert event.reason == "not_found"
    provider_page = words_of(mo.get(reverse("admin:catalog_provider_change", args=[provider.pk])))
    assert "Nothing stands at this address." in provider_page


@pytest.mark.parametrize("status", ["404 No", "410 Gone"])
def test_login_address_at_which_nothing_stands(mo: Client, provider: Provider, settings: Any, status: str) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    with odd_server(saying(status)) as there:
        assert "Nothing stands at this address." in try_out(mo, make_tool(provider, login_url=there.base_url))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>", "The answer cannot be read"),
        (b'{"keys": []}', "There is no key among them"),
        (b'{"keys": [' + b" " * 300_000, "far too long to be right"),
    ],
)
def test_keys_that_cannot_be_used(mo: Client, provider: Provider, settings: Any, body: bytes, told: str) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True
    with odd_server(saying("200 OK", body)) as there:
        tool = make_tool(provider, keyset=None, keyset_url=there.base_url, login_url=there.base_url)
        assert told in try_out(mo, tool)


def test_own_keys_that_are_not_published(mo: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "public_keyset", lambda now: {"keys": []})
    assert "cannot be checked with the keys that it publishes" in try_out(mo, make_tool(provider))


def test_tests_are_limited(mo: Client, provider: Provider) -> None:
    tool = make_tool(provider, login_url="http://127.0.0.1:9/login")
    answers = [mo.post(f"{LIST}{tool.pk}/test/").status_code for _ in range(tool_checks.TESTS + 1)]
    assert answers == [200] * tool_checks.TESTS + [429]
    assert mo.get(f"{LIST}999999/test/").status_code == 404
