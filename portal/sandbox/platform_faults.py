"""What can be made to go wrong at the platform, and the count of what was asked of it."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 3600
REMEMBERED_SECONDS = 900


class Kind(StrEnum):
    DOWN = "down"
    SLOW = "slow"
    TOO_MANY = "too_many"
    REFUSE = "refuse"
    ERROR_AFTER_CREATING = "error_after_creating"
    DROPPED_REPLY = "dropped_reply"


@dataclass
class Fault:
    kind: Kind
    seconds: float
    times: int | None  # None: until it is switched off


class Faults:
    """Thread-safe. `change` raises ValueError, saying what is wrong with the wish."""

    def __init__(self) -> None:
        self._on: dict[Kind, Fault] = {}
        self._lock = threading.Lock()

    def change(self, wish: Mapping[str, object]) -> None:
        """{"clear": true}, {"kind": …, "on": false}, or {"kind": …, "times": 3, "seconds": 2}."""
        if wish.get("clear"):
            with self._lock:
                self._on.clear()
            return
        kind = Kind(str(wish.get("kind")))
        off = str(wish.get("on", "true")).lower() in ("false", "0", "no")
        fault = Fault(kind, _seconds(wish.get("seconds")), _times(wish.get("times")))
        with self._lock:
            self._on.pop(kind, None)
            if not off:
                self._on[kind] = fault

    def take(self, kind: Kind) -> Fault | None:
        """The fault if it is switched on; uses up one of its times."""
        with self._lock:
            fault = self._on.get(kind)
            if fault is not None and fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._on[kind]
            return fault

    def listing(self) -> list[dict[str, object]]:
        with self._lock:
            return [{"kind": f.kind, "seconds": f.seconds, "times": f.times} for f in self._on.values()]


class Calls:
    """Requests to the API by method, and by second for the last quarter of an hour. Thread-safe."""

    def __init__(self) -> None:
        self._by_method: Counter[str] = Counter()
        self._per_second: dict[int, int] = {}
        self._lock = threading.Lock()

    def count(self, method: str) -> None:
        second = int(time.time())
        with self._lock:
            self._by_method[method] += 1
            self._per_second[second] = self._per_second.get(second, 0) + 1
            while len(self._per_second) > REMEMBERED_SECONDS:
                del self._per_second[next(iter(self._per_second))]

    def listing(self) -> dict[str, dict[str, int]]:
        with self._lock:
            per_second = {str(second): count for second, count in self._per_second.items()}
            return {"by_method": dict(self._by_method), "per_second": per_second}


def _seconds(wish: object) -> float:
    seconds = float(str(wish)) if wish not in (None, "") else 2.0
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"seconds must be between 0 and {LONGEST}")
    return seconds


def _times(wish: object) -> int | None:
    if wish in (None, ""):
        return None
    times = int(str(wish))
    if times < 1:
        raise ValueError("times must be 1 or more")
    return times
