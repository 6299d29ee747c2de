"""What an identity provider says somebody is, believed only when every check of OpenID Connect Core §3.1.3.7 holds."""

from __future__ import annotations

from secrets import compare_digest
from typing import Any

import jwt

# No symmetric ones: with those, whoever knows the public key could sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# Seconds that the provider's clock may differ from ours.
LEEWAY = 60
# What allauth's table takes.
LONGEST_SUBJECT = 191


class NotBelieved(Exception):
    """The token is not for us, not of this provider or this sign-in, or not valid now. The text names the check."""


def claims_of(token: object, keys: dict[str, Any], *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """The claims of an ID token, signed by one of the provider's keys (a JWKS). Raises NotBelieved.

    The signature is checked although the token comes straight from the provider: it costs one request more, and holds
    where something stands between that ends TLS.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,  # type: ignore[arg-type] # what is no text is refused
            _key(token, keys),
            algorithms=ALGORITHMS,
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
        )
    except (jwt.PyJWTError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise NotBelieved(type(error).__name__) from None
    holds = {
        "nonce": bool(nonce) and compare_digest(str(claims["nonce"]).encode(), nonce.encode()),
        "azp": claims.get("azp", client_id) == client_id,
        "sub": _is_subject(claims["sub"]),
    }
    if wrong := [name for name, is_right in holds.items() if not is_right]:
        raise NotBelieved(wrong[0])
    return claims


def _key(token: Any, keys: dict[str, Any]) -> jwt.PyJWK:
    """The key that the token names; one that names none is taken when there is only one key."""
    wanted, known = jwt.get_unverified_header(token).get("kid"), jwt.PyJWKSet.from_dict(keys).keys
    (key,) = (each for each in known if wanted is None or each.key_id == wanted)
    return key


def _is_subject(subject: object) -> bool:
    is_text = isinstance(subject, str) and subject.isascii() and subject.isprintable()
    return is_text and 0 < len(str(subject)) <= LONGEST_SUBJECT
