"""What a member of staff may see and do. Librarians see their own institutions; the other roles see all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from libraries.models import Institution, StaffRole, User

Role = StaffRole.Role


def roles_of(user: User) -> frozenset[str]:
    return frozenset(role for role, _ in _pairs(user))


def institutions_of(user: User) -> Collection[int] | None:
    """The ids of the institutions whose people the user may see, or None for all."""
    pairs = _pairs(user)
    if user.is_superuser or any(role != Role.LIBRARIAN for role, _ in pairs):
        return None
    return frozenset(institution for _, institution in pairs if institution is not None)


def may(user: User, *roles: str) -> bool:
    """Whether the user is active staff and has one of the roles; a superuser has every one."""
    return user.is_active and user.is_staff and (user.is_superuser or bool(roles_of(user) & set(roles)))


def may_see(user: User, institution_id: int) -> bool:
    ids = institutions_of(user)
    return ids is None or institution_id in ids


def may_decide_on(user: User, institution_id: int) -> bool:
    """Whether the user may check cards of this institution: its librarians, and coordinators for all."""
    return may(user, Role.COORDINATOR) or is_librarian_of(user, institution_id)


def is_librarian_of(user: User, institution_id: int) -> bool:
    return (Role.LIBRARIAN, institution_id) in _pairs(user) and user.is_active and user.is_staff


def staff_with(role: str, institution_id: int | None = None) -> Collection[int]:
    """The ids of those who are at work in this role (of a librarian: at this institution)."""
    people = User.objects.filter(is_active=True, is_staff=True)
    roles = StaffRole.objects.filter(role=role, institution=institution_id, user__in=people)
    return list(roles.order_by("user_id").values_list("user_id", flat=True))


def institutions_visible_to(user: User) -> Any:
    ids = institutions_of(user)
    return Institution.objects.all() if ids is None else Institution.objects.filter(pk__in=ids)


def _pairs(user: User) -> frozenset[tuple[str, int | None]]:
    """Read once for each user object, so that a page of many rows asks once."""
    known = getattr(user, "_staff_pairs", None)
    if known is None:
        known = frozenset(StaffRole.objects.filter(user_id=user.pk).values_list("role", "institution_id"))
        user._staff_pairs = known  # type: ignore[attr-defined]
    return known
