"""What our adapter adds to allauth, apart from the pages."""

from __future__ import annotations

import re

import pytest
from allauth.account.adapter import get_adapter
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from libraries import accounts
from tests.factories import make_librarian, make_user


def network(**meta: str) -> str:
    request = RequestFactory().get("/")
    request.META.update(meta)
    return accounts.network_of(request)


def test_network_is_the_address_of_ipv4_and_the_half_of_ipv6() -> None:
    assert network(REMOTE_ADDR="192.0.2.7") == "192.0.2.7"
    assert (
        network(REMOTE_ADDR="2001:db8:1:2:aaaa::1") == network(REMOTE_ADDR="2001:db8:1:2:bbbb::9") == "2001:db8:1:2::"
    )


def test_forwarding_header_counts_only_as_far_as_proxies_are_trusted(settings: LazySettings) -> None:
    forged = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.1, 192.0.2.7"}
    assert network(**forged) == "10.0.0.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert network(**forged) == "192.0.2.7"


def test_code_has_eight_digits_in_two_groups() -> None:
    codes = {get_adapter().generate_login_code() for _ in range(50)}
    assert len(codes) > 45
    assert all(re.fullmatch(r"\d{4}-\d{4}", code) for code in codes)


def test_sign_up_is_closed() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert get_adapter().is_open_for_signup(request) is False


@pytest.mark.django_db
def test_password_is_set_for_staff_only() -> None:
    with pytest.raises(PermissionDenied):
        get_adapter().set_password(make_user(), "correct horse battery")
    lin = make_librarian()
    get_adapter().set_password(lin, "correct horse battery")
    assert lin.check_password("correct horse battery")


@pytest.mark.django_db
def test_passkey_names_its_owner() -> None:
    assert accounts.display_of(make_user(first_name="Ada", last_name="Peeters")) == "Ada Peeters"
    assert accounts.display_of(make_user("bo@example.test")) == "bo@example.test"
