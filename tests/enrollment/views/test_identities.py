"""Sign in with an identity that the operator connected: who gets in, whose account it is, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client

from libraries.models import Library, User
from tests.enrollment.views.identity_visits import MAIL, START, come, press
from tests.enrollment.views.visiting import CARD, CONFIRM, apply, card_page, heading_of, newest_code, sign_in, words_of
from tests.factories import make_librarian, make_user
from tests.identity_provider import ADA, IdentityProvider, running_provider, settings_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def uitid(settings: LazySettings) -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(provider)
        yield provider


def who(client: Client) -> str:
    """The address of who is signed in."""
    pk = client.session.get("_auth_user_id")
    return User.objects.get(pk=pk).email if pk else ""


def attached() -> list[tuple[str, str]]:
    return list(SocialAccount.objects.order_by("pk").values_list("user__email", "uid"))


def prove(client: Client, email: str, then: str = "") -> None:
    """The code of the page for the address, right at once."""
    assert client.post(MAIL, {"email": email, "next": then})["Location"].startswith(CONFIRM)
    assert client.post(CONFIRM, {"code": newest_code(), "next": then}).status_code == 302


# --- Newcomers ---


def test_newcomer_with_a_verified_address_is_signed_in_and_goes_on_to_the_card(
    client: Client, uitid: IdentityProvider
) -> None:
    uitid.person["email"] = " Ada@Example.test"
    answer = come(client)
    assert (answer.status_code, answer["Location"]) == (302, CARD)
    ada = User.objects.get()
    assert (who(client), ada.has_usable_password(), ada.is_staff, ada.language) == (
        "ada@example.test",
        False,
        False,
        "en",
    )
    assert ada.last_login is not None
    assert mail.outbox == []


def test_nothing_is_kept_but_who_it_is_at_which_provider(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    kept = SocialAccount.objects.get()
    assert (kept.provider, kept.uid, kept.extra_data) == (uitid.address, ADA["sub"], {})
    assert (SocialToken.objects.count(), SocialApp.objects.count(), EmailAddress.objects.count()) == (0, 0, 0)
    assert User.objects.get().full_name == ""
    for session in Session.objects.all():
        assert "the-access-token" not in str(session.get_decoded())


def test_names_are_proposed_on_the_card_form_and_then_forgotten(
    client: Client, uitid: IdentityProvider, programme: object, permeke: Library
) -> None:
    come(client)
    page = client.get(card_page(permeke))
    assert (page.context["form"]["first_name"].value(), page.context["form"]["last_name"].value()) == ("Ada", "Peeters")
    apply(client, permeke)
    again = Client()
    come(again)
    assert "Peeters" not in f"{dict(client.session)} {dict(again.session)}"


def test_second_time_the_identity_signs_in_at_once(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    again = Client()
    assert come(again)["Location"] == "/en/my/"
    assert (who(again), User.objects.count(), SocialAccount.objects.count()) == ("ada@example.test", 1, 1)


def test_destination_is_kept_on_the_way_when_it_is_a_page_of_ours(client: Client, uitid: IdentityProvider) -> None:
    make_user()
    come(client)
    prove(client, "ada@example.test", then="/en/courses/")
    assert come(Client(), then="/en/courses/?q=spaans")["Location"] == "/en/courses/?q=spaans"
    assert come(Client(), then="https://evil.test/")["Location"] == "/en/my/"
    assert come(Client(), then="//evil.test/")["Location"] == "/en/my/"


def test_person_comes_back_to_the_language_of_the_page(client: Client, uitid: IdentityProvider) -> None:
    answer = come(client, start="/fr/accounts/oidc/uitid/login/")
    assert (answer["Location"], User.objects.get().language) == ("/fr/join/card/", "fr")
    assert uitid.authorization["ui_locales"] == "fr"


# --- An address that somebody has ---


def test_account_with_the_same_verified_address_is_joined_after_a_code_only(
    client: Client, uitid: IdentityProvider
) -> None:
    make_user(first_name="Ada")
    assert come(client)["Location"] == MAIL
    page = client.get(MAIL)
    assert (who(client), attached(), mail.outbox) == ("", [], [])
    assert page.context["form"]["email"].value() == "ada@example.test"
    prove(client, "ada@example.test")
    assert (who(client), attached()) == ("ada@example.test", [("ada@example.test", ADA["sub"])])
    assert come(Client())["Location"] == "/en/my/"


def test_wrong_code_attaches_nothing(client: Client, uitid: IdentityProvider) -> None:
    make_user()
    come(client)
    client.post(MAIL, {"email": "ada@example.test"})
    for _ in range(5):
        answer = client.post(CONFIRM, {"code": "00000000"})
    assert answer["Location"] == MAIL
    assert client.post(CONFIRM, {"code": newest_code()}).status_code == 302
    assert (who(client), attached()) == ("", [])


@pytest.mark.parametrize("said", [{"email_verified": False}, {"email_verified": "false"}, {"email_verified": None}])
def test_unverified_address_is_proved_by_a_code(
    client: Client, uitid: IdentityProvider, said: dict[str, object]
) -> None:
    uitid.person |= said
    assert come(client)["Location"] == MAIL
    assert User.objects.count() == 0
    prove(client, "ada@example.test")
    assert attached() == [("ada@example.test", ADA["sub"])]


@pytest.mark.parametrize("email", [None, "", "ada", "a" * 250 + "@example.test", ["ada@example.test"]])
def test_missing_or_unusable_address_is_asked(client: Client, uitid: IdentityProvider, email: object) -> None:
    uitid.person["email"] = email
    assert come(client)["Location"] == MAIL
    assert client.get(MAIL).context["form"]["email"].value() == ""
    prove(client, "bo@example.test")
    assert (who(client), attached()) == ("bo@example.test", [("bo@example.test", ADA["sub"])])


def test_known_and_unknown_addresses_read_the_same(uitid: IdentityProvider) -> None:
    make_user("known@example.test", first_name="Ada", language="fr")
    uitid.person["email"] = None
    read = []
    for email in ("known@example.test", "stranger@example.test"):
        visitor = Client()
        came = come(visitor)
        sent = visitor.post(MAIL, {"email": email})
        page = re.sub(r"\d\d:\d\d", "…", words_of(visitor.get(sent["Location"])).replace(email, "…"))
        read.append((came["Location"], sent.status_code, sent["Location"], page))
    assert read[0] == read[1]


def test_code_that_is_asked_for_without_an_identity_attaches_none(client: Client, uitid: IdentityProvider) -> None:
    """Bo sits down at the computer where Ada went away before her code."""
    make_user()
    come(client)
    client.post(MAIL, {"email": "ada@example.test"})
    sign_in(client, "bo@example.test")
    assert (who(client), attached()) == ("bo@example.test", [])


def kept_of(client: Client) -> list[str]:
    return [told for told in (str(ADA["sub"]), "Peeters", "ada@example.test") if told in str(dict(client.session))]


def test_what_was_told_goes_when_a_code_is_asked_for_without_it(client: Client, uitid: IdentityProvider) -> None:
    make_user()
    come(client)
    assert len(kept_of(client)) == 3
    client.post("/en/accounts/login/code/", {"email": "bo@example.test"})
    assert kept_of(client) == []


def test_what_was_told_goes_when_somebody_signs_in(client: Client, uitid: IdentityProvider) -> None:
    make_user()
    come(client)
    make_user("bo@example.test", password="a password of his")
    client.post("/en/accounts/login/", {"login": "bo@example.test", "password": "a password of his"})
    assert (who(client), kept_of(client)) == ("bo@example.test", [])


def test_new_code_is_asked_for_with_the_identity(client: Client, uitid: IdentityProvider) -> None:
    make_user()
    come(client, then=CARD)
    answer = client.post(MAIL, {"email": "ada@example.test", "next": CARD})
    start = client.get(answer["Location"]).context["start"]
    assert start == f"{MAIL}?next=%2Fen%2Fjoin%2Fcard%2F"
    client.post(start, {"email": "ada@example.test"})
    assert client.post(CONFIRM, {"code": newest_code(), "next": CARD})["Location"] == CARD
    assert attached() == [("ada@example.test", ADA["sub"])]


def test_codes_for_an_identity_are_limited_like_all_others(
    client: Client, uitid: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user()
    monkeypatch.setattr("libraries.accounts.CODES_PER_EMAIL", 2)
    come(client)
    answers = [client.post(MAIL, {"email": "ada@example.test"}).status_code for _ in range(3)]
    assert answers == [302, 302, 429]


def test_page_for_the_address_is_there_only_for_who_came_from_a_provider(
    client: Client, uitid: IdentityProvider
) -> None:
    assert client.get(MAIL)["Location"] == "/en/accounts/login/code/"
    make_user()
    come(client)
    session = client.session
    session["identity_waiting"]["since"] -= 601
    session.save()
    assert client.get(MAIL)["Location"] == "/en/accounts/login/code/"


# --- Two of the same ---


def test_account_may_have_several_identities(client: Client, uitid: IdentityProvider, settings: LazySettings) -> None:
    with running_provider() as other:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(uitid, other)
        come(client)
        second = Client()
        assert come(second, start="/en/accounts/oidc/bibkaart/login/")["Location"] == MAIL
        prove(second, "ada@example.test")
        kept = SocialAccount.objects.order_by("pk").values_list("user__email", "provider", "uid")
        assert list(kept) == [
            ("ada@example.test", uitid.address, ADA["sub"]),
            ("ada@example.test", other.address, ADA["sub"]),
        ]


def test_equal_subjects_of_two_providers_are_two_people(
    client: Client, uitid: IdentityProvider, settings: LazySettings
) -> None:
    """Also when one name of a provider is given to another one later."""
    come(client)
    with running_provider() as other:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(other)
        other.person["email"] = "bo@example.test"
        bo = Client()
        come(bo)
        assert who(bo) == "bo@example.test"


def test_identity_of_another_account_is_not_attached_to_a_second(client: Client, uitid: IdentityProvider) -> None:
    """Ada opens two pages, and proves another address on each."""
    uitid.person["email"] = None
    slow = Client()
    come(slow)
    slow.post(MAIL, {"email": "other@example.test"})
    code = newest_code()
    come(client)
    prove(client, "ada@example.test")
    answer = slow.post(CONFIRM, {"code": code})
    assert (answer.status_code, heading_of(answer)) == (409, "You are not signed in")
    assert (who(slow), attached()) == ("", [("ada@example.test", ADA["sub"])])


def test_new_address_at_the_provider_leaves_the_account_its_own(client: Client, uitid: IdentityProvider) -> None:
    make_user("new@example.test")
    come(client)
    uitid.person["email"] = "new@example.test"
    again = Client()
    come(again)
    assert who(again) == "ada@example.test"


# --- Staff, and accounts that are closed ---


def test_staff_are_refused_after_the_code_and_get_no_identity(client: Client, uitid: IdentityProvider) -> None:
    make_librarian()
    uitid.person["email"] = "lin@example.test"
    assert come(client)["Location"] == MAIL
    client.post(MAIL, {"email": "lin@example.test"})
    answer = client.post(CONFIRM, {"code": newest_code()})
    assert (answer.status_code, heading_of(answer)) == (403, "Sign in with your password")
    assert (who(client), attached()) == ("", [])
    assert client.post(CONFIRM, {"code": newest_code()}).status_code == 302
    assert who(client) == ""


def test_member_who_becomes_staff_signs_in_with_the_identity_no_more(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    User.objects.update(is_staff=True)
    again = Client()
    answer = come(again)
    assert (answer.status_code, who(again)) == (403, "")
    assert "only with a password and a second step" in words_of(answer)


def test_closed_account_stays_closed(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    User.objects.update(is_active=False)
    again = Client()
    assert come(again)["Location"] == "/en/accounts/inactive/"
    assert who(again) == ""


def test_identity_is_not_attached_to_a_closed_account(client: Client, uitid: IdentityProvider) -> None:
    make_user(is_active=False)
    come(client)
    client.post(MAIL, {"email": "ada@example.test"})
    assert client.post(CONFIRM, {"code": newest_code()})["Location"] == "/en/accounts/inactive/"
    assert (who(client), attached()) == ("", [])


# --- Where it is offered ---


@pytest.mark.parametrize("page", ["/en/join/", "/en/accounts/login/code/", "/en/accounts/login/code/?next=/en/my/"])
def test_button_is_on_the_pages_that_ask_for_an_address(client: Client, uitid: IdentityProvider, page: str) -> None:
    answer = client.get(page)
    assert f'<form method="post" action="{START}">' in answer.content.decode()
    assert "Sign in with UiTiD" in words_of(answer)
    policy = answer["Content-Security-Policy"].split("; ")
    assert f"form-action 'self' {uitid.address}" in policy


def test_pages_may_lead_to_a_provider_only_where_its_button_is(client: Client, uitid: IdentityProvider) -> None:
    for page in ("/en/", "/en/accounts/login/", "/en/help/"):
        assert "form-action 'self'" in client.get(page)["Content-Security-Policy"].split("; ")


def test_joining_with_an_identity_goes_to_the_card_of_the_programme(client: Client, uitid: IdentityProvider) -> None:
    page = client.get("/en/join/?programme=leren")
    assert '<input type="hidden" name="next" value="/en/join/card/?programme=leren">' in page.content.decode()
    assert come(client, then="/en/join/card/?programme=leren")["Location"] == "/en/join/card/?programme=leren"


def test_without_a_provider_nothing_is_offered_and_nothing_is_there(client: Client) -> None:
    for page in ("/en/join/", "/en/accounts/login/code/"):
        answer = client.get(page)
        assert "/oidc/" not in answer.content.decode()
        assert "form-action 'self'" in answer["Content-Security-Policy"].split("; ")
    assert "account of another site" not in words_of(client.get("/en/privacy/"))
    assert client.post(START).status_code == 404
    assert client.get("/accounts/oidc/uitid/login/callback/?code=x&state=y").status_code == 404
    assert client.get("/en/accounts/social/connections/").status_code == 404


def test_link_signs_nobody_in(client: Client, uitid: IdentityProvider) -> None:
    assert client.get(START)["Location"] == "/en/accounts/login/code/"
    assert uitid.asked == []
    assert Client(enforce_csrf_checks=True).post(START).status_code == 403


def test_who_is_signed_in_stays_who_they_are(client: Client, uitid: IdentityProvider) -> None:
    sign_in(client, "bo@example.test")
    assert press(client)["Location"] == "/en/my/"
    assert (uitid.asked, who(client)) == ([], "bo@example.test")


# --- My place ---


def test_identity_is_shown_at_my_place_and_can_be_disconnected(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    assert "You sign in with UiTiD" in words_of(client.get("/en/my/"))
    address = f"/en/my/identities/{SocialAccount.objects.get().pk}/disconnect/"
    assert client.get(address).status_code == 405
    page = client.post(address, follow=True)
    assert "You cannot sign in with it any more." in page.content.decode()
    assert ("You sign in with" in words_of(page), attached(), who(client)) == (False, [], "ada@example.test")
    assert come(Client())["Location"] == MAIL


def test_nobody_disconnects_the_identity_of_another(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    bo = Client()
    sign_in(bo, "bo@example.test")
    bo.post(f"/en/my/identities/{SocialAccount.objects.get().pk}/disconnect/")
    assert len(attached()) == 1


def test_identity_of_a_provider_that_is_gone_is_shown_by_its_host(
    client: Client, uitid: IdentityProvider, settings: LazySettings
) -> None:
    come(client)
    settings.SOCIALACCOUNT_PROVIDERS = settings_for()
    assert "You sign in with 127.0.0.1" in words_of(client.get("/en/my/"))
