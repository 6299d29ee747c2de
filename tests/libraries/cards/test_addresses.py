from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libraries.cards.addresses import Flaw, flaw_of_host, flaw_of_site, is_site


@pytest.mark.parametrize(
    ("address", "flaw"),
    [
        ("sip.library.example", None),
        ("sip", None),
        ("sip.library.example.", None),
        ("203.0.113.1", Flaw.FORBIDDEN),  # of examples: nobody's
        ("8.8.8.8", None),
        ("2001:4860:4860::8888", None),
        ("10.0.0.5", Flaw.FORBIDDEN),
        ("127.0.0.1", Flaw.FORBIDDEN),
        ("::1", Flaw.FORBIDDEN),
        ("::ffff:10.0.0.5", Flaw.FORBIDDEN),
        ("169.254.169.254", Flaw.FORBIDDEN),
        ("fe80::1%eth0", Flaw.FORBIDDEN),
        ("", Flaw.NOT_A_HOST),
        ("https://sip.library.example", Flaw.NOT_A_HOST),
        ("sip.library.example:6001", Flaw.NOT_A_HOST),
        ("sip.library.example/path", Flaw.NOT_A_HOST),
        ("user@sip.library.example", Flaw.NOT_A_HOST),
        ("[::1]", Flaw.NOT_A_HOST),
        ("sip library example", Flaw.NOT_A_HOST),
        ("sip.library.example\r\n", Flaw.NOT_A_HOST),
        ("-sip.library.example", Flaw.NOT_A_HOST),
        ("sip..example", Flaw.NOT_A_HOST),
        # This machine, for an operating system that reads numbers as addresses.
        ("2130706433", Flaw.NOT_A_HOST),
        ("0x7f000001", Flaw.NOT_A_HOST),
        ("127.1", Flaw.NOT_A_HOST),
        ("0177.0.0.1", Flaw.NOT_A_HOST),
        ("a" * 64, Flaw.NOT_A_HOST),
        ("a." * 130 + "a", Flaw.NOT_A_HOST),
    ],
)
def test_server_is_a_name_or_an_address_that_may_be_asked(address: str, flaw: Flaw | None) -> None:
    assert flaw_of_host(address, private=False) == flaw


@pytest.mark.parametrize(
    ("address", "flaw"),
    [
        ("https://koha.library.example", None),
        ("https://koha.library.example:8443/staff/", None),
        ("https://[2001:4860:4860::8888]/", None),
        ("http://koha.library.example", Flaw.NOT_ENCRYPTED),
        ("https://api:secret@koha.library.example", Flaw.CREDENTIALS),
        ("https://@koha.library.example", Flaw.CREDENTIALS),
        ("https://koha.library.example/?q=1", Flaw.QUERY),
        ("https://koha.library.example/#top", Flaw.QUERY),
        ("https://koha.library.example/?", Flaw.QUERY),
        ("https://10.0.0.5/", Flaw.FORBIDDEN),
        ("https://[::1]/", Flaw.FORBIDDEN),
        ("https://169.254.169.254/latest/", Flaw.FORBIDDEN),
        ("koha.library.example", Flaw.NOT_A_SITE),
        ("ftp://koha.library.example", Flaw.NOT_A_SITE),
        ("javascript:alert(1)", Flaw.NOT_A_SITE),
        ("https://", Flaw.NOT_A_SITE),
        ("https:///path", Flaw.NOT_A_SITE),
        ("https://koha.library.example:0/", Flaw.NOT_A_SITE),
        ("https://koha.library.example:99999/", Flaw.NOT_A_SITE),
        ("https://koha.library.example\\@evil.example/", Flaw.NOT_A_SITE),
        ("https://koha.library\t.example/", Flaw.NOT_A_SITE),
        ("https://2130706433/", Flaw.NOT_A_SITE),
        ("https://[koha/", Flaw.NOT_A_SITE),
    ],
)
def test_site_is_encrypted_and_holds_no_secret(address: str, flaw: Flaw | None) -> None:
    assert flaw_of_site(address, private=False) == flaw


def test_private_networks_may_be_asked_where_the_operator_allows_them() -> None:
    assert [flaw_of_host(address, private=True) for address in ("10.0.0.5", "127.0.0.1", "::1")] == [None] * 3
    assert flaw_of_site("http://10.0.0.5:8080/", private=True) is None
    assert flaw_of_host("169.254.169.254", private=True) == Flaw.FORBIDDEN
    assert flaw_of_site("http://169.254.169.254/", private=True) == Flaw.FORBIDDEN


@given(st.text(max_size=100), st.booleans())
def test_any_text_is_answered(text: str, private: bool) -> None:
    assert flaw_of_host(text, private=private) in (None, *Flaw)
    assert flaw_of_site(f"https://{text}", private=private) in (None, *Flaw)


def test_what_was_meant_is_seen_by_the_scheme() -> None:
    assert [is_site(each) for each in ("https://koha.example", "sip.example", "ftp://x")] == [True, False, True]
