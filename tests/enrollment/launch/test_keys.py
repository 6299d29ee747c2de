"""The keys that sign starts: published before they are used and after, sealed, and made once."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from enrollment import noticing, signing_on, tasks
from enrollment.launch import addresses, keys, picking, starts, tokens, tool_keys
from enrollment.models import Event, SigningKey
from tests.factories import NOW

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
TOKEN = timedelta(minutes=5)


def kids(now: Any) -> list[str]:
    return [each["kid"] for each in keys.public_keyset(now=now)["keys"]]


def signer(now: Any) -> str:
    """Of a token that a tool believes which asks for our keys at that moment."""
    token = keys.sign({"iat": 1}, now=now)
    kid: str = jwt.get_unverified_header(token)["kid"]
    (public,) = [each for each in keys.public_keyset(now=now)["keys"] if each["kid"] == kid]
    assert jwt.decode(token, jwt.PyJWK(public), algorithms=["RS256"]) == {"iat": 1}
    return kid


def test_first_key_is_made_when_it_is_needed() -> None:
    (published,) = kids(NOW)
    assert signer(NOW) == published
    assert SigningKey.objects.count() == 1


def test_keyset_holds_public_numbers_only() -> None:
    (public,) = keys.public_keyset(now=NOW)["keys"]
    n, kid = public.pop("n"), public.pop("kid")
    assert public == {"kty": "RSA", "e": "AQAB", "use": "sig", "alg": "RS256"}
    assert len(n) == 342  # 2048 bits
    assert kid == keys._thumbprint({"e": "AQAB", "kty": "RSA", "n": n})


def test_key_is_named_as_the_standard_names_it() -> None:
    """The example of RFC 7638, 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    named = keys._thumbprint({"n": n, "kty": "RSA", "e": "AQAB"})
    assert named == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_new_key_is_published_first_and_signs_later() -> None:
    old = signer(NOW)
    new = keys.rotate(now=NOW).kid
    for hours in (0, 1, 2.99):
        assert (signer(NOW + hours * HOUR), kids(NOW + hours * HOUR)) == (old, [old, new])
    turn = NOW + keys.PUBLISHED_BEFORE
    assert (signer(turn), kids(turn)) == (new, [old, new])


def test_old_key_stays_until_its_tokens_are_dead() -> None:
    old = signer(NOW)
    new = keys.rotate(now=NOW).kid
    turn = NOW + keys.PUBLISHED_BEFORE
    assert kids(turn + TOKEN) == [old, new]
    assert kids(turn + keys.PUBLISHED_AFTER - HOUR) == [old, new]
    assert kids(turn + keys.PUBLISHED_AFTER) == [new]
    assert keys.forget(now=turn + keys.PUBLISHED_AFTER - HOUR) == 0
    assert keys.forget(now=turn + keys.PUBLISHED_AFTER) == 1
    assert [each.kid for each in SigningKey.objects.all()] == [new]


def test_only_key_is_never_forgotten() -> None:
    old = signer(NOW)
    assert keys.forget(now=NOW + 1000 * HOUR) == 0
    assert signer(NOW + 1000 * HOUR) == old


def test_two_new_keys_in_a_row_take_their_turns() -> None:
    first = signer(NOW)
    second = keys.rotate(now=NOW).kid
    third = keys.rotate(now=NOW + HOUR).kid
    assert [signer(NOW + hours * HOUR) for hours in (2, 3, 4)] == [first, second, third]
    assert kids(NOW + 4 * HOUR) == [first, second, third]


def test_keys_that_strangers_know_are_gone_at_once() -> None:
    signer(NOW)
    keys.rotate(now=NOW)
    new = keys.rotate(now=NOW + HOUR, at_once=True).kid
    assert (signer(NOW + HOUR), kids(NOW + HOUR)) == (new, [new])


@pytest.mark.parametrize("make", [signer, lambda now: keys.rotate(now=now, at_once=True).kid], ids=["sign", "rotate"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_key_that_others_made_a_moment_later_stays(
    settings: LazySettings, make: Callable[[datetime], str], is_lost: bool
) -> None:
    """Whoever came first may be the last to get the lock."""
    if is_lost:
        signer(NOW - HOUR)
        settings.SECRET_KEY = "another-secret-0123456789-0123456789-0123456789-0123456789"
    made = make(NOW + timedelta(seconds=1))
    assert signer(NOW) == made
    planned = keys.rotate(now=NOW).kid
    assert (signer(NOW), kids(NOW)[-2:]) == (made, [made, planned])


def test_each_new_key_is_an_event() -> None:
    made = keys.rotate(now=NOW)
    event = Event.objects.get(kind="key_changed")
    assert (event.new_value, event.actor_id) == (made.pk, None)


# --- Sealed ---


def test_private_part_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    made = keys.rotate(now=NOW)
    private = keys._opened(made)
    assert private is not None
    prime = private.private_numbers().p.to_bytes(128, "big")
    assert prime not in made.sealed.encode()
    assert made.sealed.startswith("gAAAA")  # Fernet
    for text in (caplog.text, str(made), repr(made), str(made.public)):
        assert made.sealed not in text
        assert str(private.private_numbers().d) not in text


def test_key_is_opened_with_the_secret_from_before_and_sealed_anew(settings: LazySettings) -> None:
    old = signer(NOW)
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another-secret-0123456789-0123456789-0123456789-0123456789"
    settings.SECRET_KEY_FALLBACKS = [before]
    assert signer(NOW) == old
    keys.rotate(now=NOW)
    settings.SECRET_KEY_FALLBACKS = []
    assert signer(NOW) == old


def test_without_the_secret_from_before_another_key_is_made(
    settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    lost = signer(NOW)
    planned = keys.rotate(now=NOW).kid
    settings.SECRET_KEY = "another-secret-0123456789-0123456789-0123456789-0123456789"
    made = signer(NOW + HOUR)
    assert made not in (lost, planned)
    assert kids(NOW + HOUR) == [lost, made]
    assert "cannot be opened: SECRET_KEY has changed, and SECRET_KEY_FALLBACKS does not name" in caplog.text
    assert settings.SECRET_KEY not in caplog.text
    assert (signer(NOW + 9 * HOUR), kids(NOW + 48 * HOUR)) == (made, [made])


def test_key_that_is_not_published_any_more_signs_nothing() -> None:
    """Although it is the only one that can be opened."""
    old, new = signer(NOW), keys.rotate(now=NOW)
    SigningKey.objects.filter(pk=new.pk).update(sealed="garbled")
    soon, later = NOW + 5 * HOUR, NOW + 48 * HOUR
    assert signer(soon) == old
    assert signer(later) not in (old, new.kid)


def test_new_key_signs_at_once_where_none_can_be_opened(settings: LazySettings) -> None:
    lost = signer(NOW)
    settings.SECRET_KEY = "another-secret-0123456789-0123456789-0123456789-0123456789"
    made = keys.rotate(now=NOW + HOUR)
    assert (made.signs_from, signer(NOW + HOUR), lost in kids(NOW + HOUR)) == (NOW + HOUR, made.kid, True)


# --- As tools and operators see them ---


def test_anybody_may_read_the_public_keys(client: Client) -> None:
    answer = client.get(f"/{addresses.KEYSET}")
    assert answer.json() == keys.public_keyset(now=timezone.now())
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "public, max-age=600")
    assert answer.cookies == {}
    assert client.post(f"/{addresses.KEYSET}").status_code == 405


def test_keyset_costs_one_query(client: Client, django_assert_num_queries: Any) -> None:
    keys.rotate(now=timezone.now())
    with django_assert_num_queries(1):
        client.get(f"/{addresses.KEYSET}")


def test_command_says_from_when_the_new_key_signs() -> None:
    old, out = signer(timezone.now()), io.StringIO()
    call_command("rotate_keys", stdout=out)
    made = SigningKey.objects.exclude(kid=old).get()
    since = timezone.localtime(made.signs_from)
    assert out.getvalue() == f"Key {made.kid} is published, and signs from {since:%Y-%m-%d %H:%M}.\n"
    assert signer(timezone.now()) == old


def test_command_replaces_all_keys_at_once() -> None:
    old = signer(timezone.now())
    call_command("rotate_keys", "--at-once", stdout=io.StringIO())
    assert old not in kids(timezone.now())


def test_sweep_forgets_all_that_launches_leave_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[str] = []
    every = (keys, noticing, picking, signing_on, starts, tokens, tool_keys)
    for each in every:
        monkeypatch.setattr(each, "forget", lambda *, now, name=each.__name__: swept.append(name))
    tasks.sweep_people()
    assert sorted(swept) == sorted(each.__name__ for each in every)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ask", [kids, lambda now: [signer(now)]], ids=["for keys", "for a signature"])
def test_of_many_who_ask_first_one_makes_the_key(ask: Callable[[datetime], list[str]]) -> None:
    found: list[str] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        found.extend(ask(NOW))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SigningKey.objects.get().kid] * 4
