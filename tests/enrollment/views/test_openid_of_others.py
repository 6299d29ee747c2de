"""What another project's client makes of the portal as an OpenID Connect provider: Authlib finds, asks and checks."""

from __future__ import annotations

from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from django.utils import timezone
from joserfc.errors import JoseError
from pytest_django.live_server_helper import LiveServer

from enrollment import signing_on
from enrollment.models import Enrollment, SignOnClient
from libraries.models import StaffRole
from tests import relying_party
from tests.factories import make_librarian, make_library, make_programme, make_staff
from tests.launches import at, make_ready, subject_of
from tests.openid import CALLBACK, ask, end_seat, register, told_in
from tests.tools import private_pem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def site(settings: Any, live_server: LiveServer) -> str:
    settings.IDP_OIDC_PRIVATE_KEYS = [{"pem": private_pem("sign-on")}]
    settings.SITE_URL = live_server.url
    return live_server.url


@pytest.fixture
def ada(transactional_db: None) -> Enrollment:
    make_librarian(make_library().institution)
    return make_ready(make_programme(name="Leren", tells="name_and_mail"))


@pytest.fixture
def row(ada: Enrollment) -> SignOnClient:
    return register(ada.pool.programme.provider)[0]


@pytest.fixture
def secret(row: SignOnClient) -> str:
    ops = make_staff("renewer@example.test", StaffRole.Role.OPERATOR)
    return signing_on.renew_secret(row, by=ops, now=timezone.now())


@pytest.fixture
def client(site: str, row: SignOnClient, secret: str) -> Any:
    return relying_party.client_of(site, row.client_id, secret)


def begin(client: Any, ada: Enrollment) -> dict[str, str]:
    """What is shown for a token, and the nonce that is expected in it."""
    asked = client.create_authorization_url(CALLBACK)
    told = told_in(ask(at(ada), asked["url"].partition("?")[2]))
    assert told["state"] == asked["state"]
    return {"code": told["code"], "nonce": asked["nonce"], "code_verifier": asked["code_verifier"]}


def redeem(client: Any, begun: dict[str, str], **changes: str) -> Any:
    shown = {"code": begun["code"], "code_verifier": begun["code_verifier"], "redirect_uri": CALLBACK, **changes}
    return client.fetch_access_token(**shown)


def refusal(client: Any, begun: dict[str, str], **changes: str) -> str:
    with pytest.raises(OAuthError) as refused:
        redeem(client, begun, **changes)
    return str(refused.value.error)


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_library_signs_a_member_in(site: str, ada: Enrollment, row: SignOnClient, secret: str, way: str) -> None:
    client = relying_party.client_of(site, row.client_id, secret, token_endpoint_auth_method=way)
    begun = begin(client, ada)
    token = redeem(client, begun)
    told = client.parse_id_token(token, nonce=begun["nonce"])
    assert (told["iss"], told["aud"], told["sub"]) == (site, row.client_id, subject_of(ada))
    found = client.userinfo(token=token)
    assert (found["sub"], found["email"], found["name"]) == (told["sub"], "ada@example.test", ada.user.full_name)
    with client._get_oauth_client(**client.load_server_metadata()) as session:
        again = session.refresh_token(client.server_metadata["token_endpoint"], token["refresh_token"])
    assert client.userinfo(token=again)["sub"] == subject_of(ada)


def test_library_believes_no_answer_to_another_question(client: Any, ada: Enrollment) -> None:
    begun = begin(client, ada)
    token = redeem(client, begun)
    with pytest.raises(JoseError):
        client.parse_id_token(token, nonce="another")


def test_library_believes_what_is_signed_with_a_published_key_alone(
    client: Any, ada: Enrollment, settings: Any
) -> None:
    """Through a change of keys: the one before is published for as long as it stands among them."""
    begun = begin(client, ada)
    token = redeem(client, begun)
    settings.IDP_OIDC_PRIVATE_KEYS = [{"pem": private_pem("next")}, {"pem": private_pem("sign-on")}]
    client.parse_id_token(token, nonce=begun["nonce"])
    settings.IDP_OIDC_PRIVATE_KEYS = [{"pem": private_pem("next")}]
    client.fetch_jwk_set(force=True)
    with pytest.raises(JoseError):
        client.parse_id_token(token, nonce=begun["nonce"])


def test_library_is_told_that_the_place_ended_on_the_way(client: Any, ada: Enrollment) -> None:
    token, begun = redeem(client, begin(client, ada)), begin(client, ada)
    end_seat(ada)
    assert refusal(client, begun) == "invalid_grant"
    answer = client.get(client.server_metadata["userinfo_endpoint"], token=token)
    assert answer.status_code == 401


def test_library_is_told_that_there_is_no_place(client: Any, ada: Enrollment) -> None:
    end_seat(ada)
    asked = client.create_authorization_url(CALLBACK, prompt="none")
    told = told_in(ask(at(ada), asked["url"].partition("?")[2]))
    assert (told["error"], told["state"]) == ("access_denied", asked["state"])


def test_code_is_redeemed_once_by_whom_it_was_given_to(client: Any, site: str, ada: Enrollment) -> None:
    begun = begin(client, ada)
    redeem(client, begun)
    assert refusal(client, begun) == "invalid_grant"
    assert refusal(client, begin(client, ada), code_verifier="w" * 48) == "invalid_grant"
    assert refusal(client, begin(client, ada), redirect_uri="https://platform.test/other") == "invalid_request"
    impostor = relying_party.client_of(site, client.client_id, "another secret")
    assert refusal(impostor, begin(client, ada)) == "invalid_client"


def test_address_that_nobody_registered_is_sent_nobody(client: Any, ada: Enrollment) -> None:
    asked = client.create_authorization_url("https://platform.test/elsewhere")
    answer = ask(at(ada), asked["url"].partition("?")[2])
    assert (answer.status_code, answer.has_header("Location")) == (400, False)
