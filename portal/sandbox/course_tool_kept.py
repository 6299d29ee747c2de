"""What the sandbox's courses keep: their key, whoever is in a course, and how far. All of it can be forgotten."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pylti1p3.launch_data_storage.base import LaunchDataStorage

# The oldest go first.
MOST_STARTS, MOST_PASSING = 5000, 10_000
START = "lti1p3-launch-"

Claims = Mapping[str, Any]


@dataclass
class _Learners:
    """`starts`: the claims of each start by its number. `sessions`: who a browser belongs to (`sub`). `progress`: of
    each person (`sub`), in percent by the number of the course's link."""

    starts: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    progress: dict[str, dict[str, int]] = field(default_factory=dict)


class Kept:
    """In one file that is replaced as a whole at each change, so that a kill loses nothing; one that cannot be read is
    as good as none. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._learners = _read(file)

    def start(self, number: str) -> Claims | None:
        return self._learners.starts.get(number)

    def subject(self, session: str) -> str | None:
        return self._learners.sessions.get(session)

    def progress(self, subject: str, link: str) -> int | None:
        return self._learners.progress.get(subject, {}).get(link)

    def keep_start(self, number: str, claims: Claims) -> None:
        self._change(lambda now: now.starts.update({number: dict(claims)}))

    def keep_session(self, session: str, subject: str) -> None:
        self._change(lambda now: now.sessions.update({session: subject}))

    def keep_progress(self, subject: str, link: str, percent: int) -> None:
        self._change(lambda now: now.progress.setdefault(subject, {}).update({link: percent}))

    def forget(self, subject: str) -> None:
        """Everything that was ever told of this person."""

        def forget(now: _Learners) -> None:
            now.starts = {number: claims for number, claims in now.starts.items() if claims.get("sub") != subject}
            now.sessions = {session: whose for session, whose in now.sessions.items() if whose != subject}
            now.progress.pop(subject, None)

        self._change(forget)

    def _change(self, change: Callable[[_Learners], object]) -> None:
        with self._lock:
            change(self._learners)
            for kept in (self._learners.starts, self._learners.sessions):
                _shorten(kept, MOST_STARTS)
            _write(self._file, json.dumps(vars(self._learners)).encode())


class Passing(LaunchDataStorage[Any]):
    """What pylti1p3 keeps between the two halves of a start, in memory; a start that was granted goes to `Kept`."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self._kept = kept
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get_session_cookie_name(self) -> None:
        """A state is bound to its browser by a cookie of its own."""

    def can_set_keys_expiration(self) -> bool:
        return False

    def get_value(self, key: str) -> Any:
        return self._kept.start(key) if key.startswith(START) else self._values.get(key)

    def set_value(self, key: str, value: Any, exp: int | None = None) -> None:
        if key.startswith(START):
            self._kept.keep_start(key, value)
            return
        with self._lock:
            self._values[key] = value
            _shorten(self._values, MOST_PASSING)

    def check_value(self, key: str) -> bool:
        """Asked of a nonce, which is good for one start (OpenID Connect Core, 3.1.3.7)."""
        with self._lock:
            return self._values.pop(key, None) is not None


def private_key(file: Path) -> str:
    """In PEM; made at the first start, and the same ever after, so that who knows the public part still does."""
    if not file.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(file, pem)
    return file.read_text()


def public_key(private: str) -> str:
    key = serialization.load_pem_private_key(private.encode(), None).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _read(file: Path) -> _Learners:
    try:
        learners = _Learners(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return _Learners()
    return learners if all(isinstance(part, dict) for part in vars(learners).values()) else _Learners()


def _write(file: Path, content: bytes) -> None:
    """Readable by its owner alone."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    os.replace(new, file)


def _shorten(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
