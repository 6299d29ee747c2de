"""Sign somebody up at the desk, with their card in hand and the person beside the librarian.

The card is confirmed by hand at once. The address is only told, and may be mistyped: until a code proves it, no account
is opened, and no letter about the person leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import applying, card_checking, eligibility, history, moving, rivalry, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool
from libraries import address_codes, identities, limits, membership, people, scoping
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Library, User

# By one member of staff: far more than there are minutes for, and too few to try out who has an account.
SIGN_UPS, SIGN_UPS_PERIOD = 60, timedelta(hours=1)


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", card_checking.Obstacle.NOT_YOURS.label
    YOURSELF = "yourself", _("You cannot sign yourself up here. Apply on the site, as members do.")
    # The same words for every reason: they do not say whether somebody has an account.
    ADDRESS_TAKEN = (
        "address_taken",
        _("This address cannot be used here. Check it with the person. Each person needs an address of their own."),
    )
    CONFIRMED_RIVAL = "confirmed_rival", card_checking.Obstacle.CONFIRMED_RIVAL.label
    RIVAL_HAS_PLACE = "rival_has_place", card_checking.Obstacle.RIVAL_HAS_PLACE.label
    NO_SUCH_NUMBER = "no_such_number", moving.Obstacle.NO_SUCH_NUMBER.label
    PROVED = "proved", _("This address is proved. Only its owner can change it.")
    CLOSED = "closed", _("This account is closed, or is not there any more.")
    TOO_MANY = "too_many", _("You have signed up very many people. Please wait an hour and try again.")


class CannotSignUp(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def fits(library: Library, number: str) -> bool:
    """Whether a normalized number can be that of a card of the library's institution."""
    return membership.fits(library.institution, number)


def sign_up(*, pool: SeatPool, application: applying.Application, email: str, by: User, now: datetime) -> Enrollment:
    """The application as it stands then: a seat at once if there is one, else a place in the queue. The same person
    with the same card twice gives back the first, with its card confirmed.

    Raises CannotSignUp or applying.Ineligible, and has then changed nothing. An account that exists is used where its
    names are the same, and keeps what it says; `email` is proved only if such an account had proved it before.
    """
    if not scoping.may_decide_on(by, application.library.institution_id):
        raise CannotSignUp(Obstacle.NOT_YOURS)
    if not fits(application.library, application.number):
        raise CannotSignUp(Obstacle.NO_SUCH_NUMBER)
    _count(by, now=now)
    return _enter(pool_id=pool.pk, application=application, email=email.strip().lower(), by=by, now=now)


def _count(by: User, *, now: datetime) -> None:
    """Every address that is tried, whatever comes of it."""
    if not limits.allow("desk sign-ups by", str(by.pk), limit=SIGN_UPS, per=SIGN_UPS_PERIOD, now=now):
        raise CannotSignUp(Obstacle.TOO_MANY)


@seats.transition
def _enter(*, pool_id: int, application: applying.Application, email: str, by: User, now: datetime) -> Enrollment:
    institution_id, number = application.library.institution_id, application.number
    pools, cards = rivalry.lock_number(institution_id, number, and_pools=[pool_id])
    pool, user = pools[pool_id], _person(email, application, by=by)
    earlier = Enrollment.objects.open().filter(user=user, pool=pool).select_related("card", "share").first()
    same = earlier is not None and rivalry.number_of(earlier.card) == (institution_id, number)
    share = pool.shares.filter(institution_id=institution_id).first()
    applied = earlier is not None and not same
    reasons = eligibility.reasons_against(user, pool, share, applied=applied, proved=True, now=now)
    if share is None or (reasons and not same):
        raise applying.Ineligible(reasons)
    card = _confirmed_card(pools, cards, application, user, by=by, now=now)
    if earlier is not None:
        rivalry.allocate(pools, now=now)
        earlier.refresh_from_db()
        return earlier
    enrollment = applying.take_in(pools, share, card, application, now=now, at_desk_by=by)
    if user.address_proved_at is None:
        _owe_link(enrollment, now=now)
    return enrollment


def _person(email: str, application: applying.Application, *, by: User) -> User:
    """Who has this address, locked; made when there is nobody yet. Whoever has an account under another name is
    somebody else: the address was mistyped, or is shared. An account without names may be anybody's: it has to be
    proved again that it is this person's."""
    told = {"first_name": application.first_name, "last_name": application.last_name, "language": application.language}
    user = User.objects.select_for_update(no_key=True).filter(email=email).first()
    if user is None:
        return User.objects.create_user(email, address_proved_at=None, **told)
    if user.pk == by.pk:
        raise CannotSignUp(Obstacle.YOURSELF)
    if user.is_active and not user.full_name and not identities.is_staff(user):
        people.doubt(user)
        User.objects.filter(pk=user.pk).update(**told)
        user.refresh_from_db()
    if not user.is_active or not people.is_called(user, application.first_name, application.last_name):
        raise CannotSignUp(Obstacle.ADDRESS_TAKEN)
    return user


def _confirmed_card(
    pools: rivalry.Pools,
    cards: Sequence[Card],
    application: applying.Application,
    user: User,
    *,
    by: User,
    now: datetime,
) -> Card:
    """Seen in the right hands. Somebody else's confirmed card is for the page of disputes, where both are in sight, and
    a place in its time of grace does not end unseen."""
    rivals = [card for card in cards if card.user_id != user.pk]
    if found := card_checking.rival_obstacle(rivals):
        raise CannotSignUp(Obstacle(found.value))
    card_checking.refuse_each(pools, rivals, by=by, now=now)
    library, number, answer = application.library, application.number, Answer(Outcome.BY_HAND)
    card = card_checking.claim(pools, cards, user=user, library=library, number=number, answer=answer, now=now)
    if not card.is_proved_on(timezone.localdate(now)):
        card_checking.confirm_by_hand(pools, card, by=by, now=now)
    return card


def _owe_link(enrollment: Enrollment, *, now: datetime) -> None:
    """It leaves when the code of the desk no longer works: who has proved the address by then needs no link."""
    Letter.objects.owe(Letter.Kind.ADDRESS_TO_PROVE, enrollment, now=now)
    _links(enrollment).update(due_at=now + address_codes.LASTS)


def _links(enrollment: Enrollment) -> models.QuerySet[Letter]:
    return Letter.objects.owed().filter(kind=Letter.Kind.ADDRESS_TO_PROVE, enrollment=enrollment)


# --- The address ---


def prove_address(*, enrollment_id: int, typed: str, by: User, now: datetime) -> bool:
    """Whether this is the code that the person read out; what waited for the address is due at once then.

    Raises CannotSignUp, or address_codes.NoLongerValid when a new code is needed: every try counts, exactly.
    """
    user = _theirs(enrollment_id, by).user
    if not address_codes.may_guess(user, now=now):
        raise address_codes.NoLongerValid
    return _prove(enrollment_id=enrollment_id, typed=typed, by=by, now=now)


@transaction.atomic
def _prove(*, enrollment_id: int, typed: str, by: User, now: datetime) -> bool:
    enrollment = _theirs(enrollment_id, by)
    if not address_codes.prove(enrollment.user_id, typed, now=now):
        return False
    history.record(Event.Kind.ADDRESS_PROVED, now=now, by=by, enrollment=enrollment)
    return True


def prove_later(*, enrollment_id: int, by: User, now: datetime) -> None:
    """From home: the letter with the link leaves now. Raises CannotSignUp."""
    _links(_theirs(enrollment_id, by)).filter(due_at__gt=now).update(due_at=now)


def correct_address(*, enrollment_id: int, email: str, by: User, now: datetime) -> User:
    """The person as they are then. A code that was sent to the address before proves nothing any more, and a link that
    has not left is sent to the new one. Raises CannotSignUp."""
    _count(by, now=now)
    return _correct(enrollment_id=enrollment_id, email=email.strip().lower(), by=by, now=now)


@seats.transition
def _correct(*, enrollment_id: int, email: str, by: User, now: datetime) -> User:
    enrollment = _theirs(enrollment_id, by)
    user = User.objects.select_for_update(no_key=True).get(pk=enrollment.user_id)
    if not user.is_active:
        raise CannotSignUp(Obstacle.CLOSED)
    if user.address_proved_at is not None:
        raise CannotSignUp(Obstacle.PROVED)
    if not all(scoping.may_decide_on(by, card.institution_id) for card in user.cards.all()):
        raise CannotSignUp(Obstacle.NOT_YOURS)
    if email == user.email:
        return user
    people.drop_stranger(email)
    if User.objects.filter(email=email).exists():
        raise CannotSignUp(Obstacle.ADDRESS_TAKEN)
    user.email = email
    user.save(update_fields=["email"])
    address_codes.forget(user)
    _links(enrollment).filter(models.Q(lease_until=None) | models.Q(lease_until__lte=now)).update(
        due_at=None, dropped_at=now, stuck_at=None, lease_token=None, lease_until=None
    )
    _owe_link(enrollment, now=now)
    history.record(Event.Kind.ADDRESS_CORRECTED, now=now, by=by, enrollment=enrollment)
    return user


def _theirs(enrollment_id: int, by: User) -> Enrollment:
    enrollment = Enrollment.objects.select_related("share", "user", "card").get(pk=enrollment_id)
    if not scoping.may_decide_on(by, enrollment.share.institution_id):
        raise CannotSignUp(Obstacle.NOT_YOURS)
    return enrollment
