"""What can go wrong when another system is asked, and how far it had come."""

from __future__ import annotations

import ssl
from enum import IntEnum, StrEnum

from outgoing.addresses import CannotConnect, Obstacle


class Failure(StrEnum):
    ADDRESS_UNUSABLE = "address_unusable"
    ADDRESS_FORBIDDEN = "address_forbidden"
    NAME_UNKNOWN = "name_unknown"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CLOSED = "closed"
    TLS_EXPIRED = "tls_expired"
    TLS_OTHER_NAME = "tls_other_name"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_FAILED = "tls_failed"
    GARBLED = "garbled"
    TOO_LARGE = "too_large"
    # Of a download alone: what the status of its answer means.
    REDIRECTED = "redirected"
    LOGIN_REFUSED = "login_refused"
    NOT_FOUND = "not_found"
    SYSTEM_ERROR = "system_error"


class Stage(IntEnum):
    """In this order; nothing of the request was sent before the last."""

    ADDRESS = 1
    RESOLVE = 2
    CONNECT = 3
    TLS = 4
    EXCHANGE = 5


class RequestFailed(OSError):
    """Holds nothing of what was asked or answered, nor of where: it may be shown and logged."""

    def __init__(self, code: Failure, stage: Stage = Stage.EXCHANGE) -> None:
        super().__init__(code.value)
        self.code = code
        self.stage = stage


_OBSTACLES = {
    Obstacle.UNUSABLE: (Failure.ADDRESS_UNUSABLE, Stage.ADDRESS),
    Obstacle.NAME_UNKNOWN: (Failure.NAME_UNKNOWN, Stage.RESOLVE),
    Obstacle.FORBIDDEN: (Failure.ADDRESS_FORBIDDEN, Stage.RESOLVE),
    Obstacle.REFUSED: (Failure.REFUSED, Stage.CONNECT),
    Obstacle.TIMED_OUT: (Failure.TIMED_OUT, Stage.CONNECT),
}
# OpenSSL's numbers, of X509_verify_cert_error_string(3).
_NOT_YET_VALID, _HAS_EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


def of_connecting(error: CannotConnect) -> RequestFailed:
    return RequestFailed(*_OBSTACLES[error.obstacle])


def of_handshake(error: OSError) -> RequestFailed:
    return RequestFailed(_handshake_failure(error), Stage.TLS)


def _handshake_failure(error: OSError) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_NOT_YET_VALID, _HAS_EXPIRED):
            return Failure.TLS_EXPIRED
        other = error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS)
        return Failure.TLS_OTHER_NAME if other else Failure.TLS_UNTRUSTED
    if isinstance(error, TimeoutError):
        return Failure.TIMED_OUT
    return Failure.TLS_FAILED if isinstance(error, ssl.SSLError) else Failure.CLOSED
