"""One guard, and what stands there when it is taken out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file`, `guard` stands exactly once; without it, `mutation` does. `tests` are arguments for pytest."""

    name: str
    promise: int
    file: str
    guard: str
    mutation: str
    tests: tuple[str, ...]
