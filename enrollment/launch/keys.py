"""The keys the portal signs its messages to tools with: RS256, found by tools at one address (`addresses.keyset`).

A new key is published first, and signs once tools can have fetched it. The one before stays published for as long as
anything it signed may be believed, or a tool may still hold a list without the new one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import jwt
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection, transaction
from jwt.algorithms import RSAAlgorithm

from enrollment import history
from enrollment.models import Event, SigningKey

logger = logging.getLogger(__name__)

ALGORITHM, BITS = "RS256", 2048
# What tools are told (`Cache-Control`); some keep a list for two hours whatever they are told.
FRESH_FOR = timedelta(minutes=10)
PUBLISHED_BEFORE = timedelta(hours=3)
# After the last signature: far longer than a token lives (`messages.LIVES`).
PUBLISHED_AFTER = timedelta(days=1)

_LOCK = 1_280_460_000  # of the advisory lock under which keys are made


def sign(claims: Mapping[str, Any], *, now: datetime) -> str:
    """A signed token (JWS) of these claims; with one query. Makes a key where none can be used."""
    for key in reversed(_signing(_published(_keys(), now), now)):
        private = _opened(key)
        if private is not None:
            return jwt.encode(dict(claims), private, ALGORITHM, headers={"kid": key.kid})
    return _sign_with_a_new_key(claims, now)


def public_keyset(*, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """What tools check signatures with (RFC 7517, 5); with one query. Makes the first key."""
    published = _published(_keys(), now) or [_first(now)]
    return {"keys": [each.public for each in published]}


def forget(*, now: datetime) -> int:
    """The keys that are not published any more; says how many."""
    keys = _keys()
    kept = {each.pk for each in _published(keys, now)}
    gone = [each.pk for each in keys if each.pk not in kept]
    return SigningKey.objects.filter(pk__in=gone).delete()[0] if gone else 0


@transaction.atomic
def rotate(*, now: datetime, at_once: bool = False) -> SigningKey:
    """A new key, which signs in `PUBLISHED_BEFORE`. `at_once`, because the others are known to strangers: it signs now,
    and nothing the others have signed is believed once tools ask again."""
    keys, now = _after_others(now)
    keep = [] if at_once else _published(keys, now)
    SigningKey.objects.exclude(pk__in=[each.pk for each in keep]).delete()
    for each in keep:
        _seal_anew(each)
    usable = any(_opened(each) for each in _signing(keep, now))
    return _make(now, signs_from=now + PUBLISHED_BEFORE if usable else now)


def _sign_with_a_new_key(claims: Mapping[str, Any], now: datetime) -> str:
    with transaction.atomic():
        keys, now = _after_others(now)
        usable = [each for each in _signing(_published(keys, now), now) if _opened(each)]
        key = usable[-1] if usable else _make(now, signs_from=now)
    private = _opened(key)
    assert private is not None
    return jwt.encode(dict(claims), private, ALGORITHM, headers={"kid": key.kid})


@transaction.atomic
def _first(now: datetime) -> SigningKey:
    keys, now = _after_others(now)
    published = _published(keys, now)
    return published[-1] if published else _make(now, signs_from=now)


def _make(now: datetime, *, signs_from: datetime) -> SigningKey:
    """Where it signs at once, those that were to follow never do: nobody could tell any more which is whose turn."""
    if signs_from <= now:
        SigningKey.objects.filter(signs_from__gt=now).delete()
    private = generate_private_key(public_exponent=65537, key_size=BITS)
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    numbers = {name: jwk[name] for name in ("e", "kty", "n")}
    kid = _thumbprint(numbers)
    public = numbers | {"kid": kid, "use": "sig", "alg": ALGORITHM}
    made = SigningKey.objects.create(kid=kid, public=public, sealed=_seal(private), made_at=now, signs_from=signs_from)
    history.record(Event.Kind.KEY_CHANGED, now=now, new_value=made.pk)
    logger.info("signing key %s is made and signs from %s", made.pk, signs_from)
    return made


def _thumbprint(numbers: Mapping[str, str]) -> str:
    """RFC 7638, 3: of these members in the order of the alphabet, without spaces."""
    content = json.dumps(numbers, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _keys() -> list[SigningKey]:
    return list(SigningKey.objects.order_by("signs_from", "pk"))


def _signing(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """Those whose moment has come, the one whose turn it is last."""
    return [each for each in keys if each.signs_from <= now]


def _published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """Each until long after the next one has begun to sign."""
    followed = zip_longest(keys, keys[1:])
    return [key for key, following in followed if following is None or now < following.signs_from + PUBLISHED_AFTER]


def _after_others(now: datetime) -> tuple[list[SigningKey], datetime]:
    """The keys once nobody else makes any, and the moment that holds for them: whoever made the last may have come
    later than this one, and a key whose moment has not come could be taken away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    keys = _keys()
    return keys, max([now, *(each.made_at for each in keys)])


# --- The private part ---


def _seal(private: RSAPrivateKey) -> str:
    content = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _vault().encrypt(content).decode()


def _seal_anew(key: SigningKey) -> None:
    """With the SECRET_KEY of today, so that one from before can be forgotten."""
    if _opened(key) is not None:
        key.sealed = _vault().rotate(key.sealed.encode()).decode()
        key.save(update_fields=["sealed"])


def _opened(key: SigningKey) -> RSAPrivateKey | None:
    """None, and an error in the log, where it was sealed with a SECRET_KEY that is not known any more."""
    try:
        return _open(key.sealed, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
    except InvalidToken:
        logger.error(
            "signing key %s cannot be opened: SECRET_KEY has changed, and SECRET_KEY_FALLBACKS does not name the one"
            " from before; another key takes its place",
            key.pk,
        )
        return None


@lru_cache(maxsize=8)
def _open(sealed: str, secrets: tuple[str, ...]) -> RSAPrivateKey:
    """Its numbers are not checked again, which takes as long as a hundred signatures: it was sealed by us."""
    content = _vault_of(secrets).decrypt(sealed.encode())
    private = serialization.load_der_private_key(content, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, RSAPrivateKey)
    return private


def _vault() -> MultiFernet:
    return _vault_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=2)
def _vault_of(secrets: tuple[str, ...]) -> MultiFernet:
    """The first encrypts, each may decrypt."""
    return MultiFernet([Fernet(_key_from(each)) for each in secrets])


def _key_from(secret: str) -> bytes:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"leerkaart: signing keys")
    return base64.urlsafe_b64encode(derived.derive(secret.encode()))
