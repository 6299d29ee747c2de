"""Seats that count in the share of another institution than their person's card: when may they move to their own?

Plain arithmetic on counts, so that the preview of a change and the change itself come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Counts:
    """Of one share; `kept` says that its unused floor is kept free for it, and not lent to others."""

    taken: int
    floor: int
    ceiling: int | None
    kept: bool

    @property
    def unused(self) -> int:
        return max(self.floor - self.taken, 0) if self.kept else 0

    @property
    def has_room(self) -> bool:
        return self.ceiling is None or self.taken < self.ceiling


@dataclass(frozen=True)
class Mover:
    """An enrollment with a seat in one share that is to count in another."""

    enrollment_id: int
    source: int
    target: int


def carry_out(counts: Mapping[int, Counts], free: int, movers: Iterable[Mover]) -> Sequence[Mover]:
    """Those that can move, in the order given; `counts`, by the shares' ids, are then as after the moves.

    The target must have room, and what is guaranteed to the institution that the seat leaves must still be there.
    """
    return [mover for mover in movers if _move(counts, free, mover)]


def _move(counts: Mapping[int, Counts], free: int, mover: Mover) -> bool:
    source, target = counts[mover.source], counts[mover.target]
    if not target.has_room:
        return False
    before = sum(each.unused for each in counts.values())
    source.taken, target.taken = source.taken - 1, target.taken + 1
    after = sum(each.unused for each in counts.values())
    if after <= max(before, free):
        return True
    source.taken, target.taken = source.taken + 1, target.taken - 1
    return False
