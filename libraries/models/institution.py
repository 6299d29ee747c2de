from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from libraries.models.library_system import LibrarySystem


class Institution(models.Model):
    """A partner that takes part and pays: a city, a network of libraries."""

    class CardCheck(models.TextChoices):
        BY_HAND = "by_hand", _("a librarian looks")
        ROSTER = "roster", _("a list of valid cards")
        SIP2 = "sip2", _("ask the library system (SIP2)")
        KOHA = "koha", _("ask the library system (Koha)")

    # The ways that ask another system, each with a row of settings.
    ASKED = (CardCheck.SIP2, CardCheck.KOHA)

    class CheckDigit(models.TextChoices):
        NONE = "", _("none")
        LUHN = "luhn", _("Luhn (mod 10)")

    class SecondFact(models.TextChoices):
        BIRTH_DATE = "birth_date", _("date of birth")
        LAST_NAME = "last_name", _("last name")

    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=50, blank=True)
    postal_code = models.CharField(_("postal code"), max_length=4)
    city = models.CharField(_("place"), max_length=100)
    active_members = models.PositiveIntegerField(_("active members"), default=0)
    languages = models.CharField(_("languages"), max_length=20, default="nl")
    color = models.CharField(
        _("color"),
        max_length=7,
        default="#a3262a",
        validators=[RegexValidator(r"^#[0-9a-f]{6}$", _("Write #rrggbb."))],
    )
    card_check = models.CharField(
        _("how cards are checked"), max_length=20, choices=CardCheck, default=CardCheck.BY_HAND
    )
    second_fact = models.CharField(
        _("second fact on the list of cards"),
        max_length=20,
        choices=SecondFact,
        default=SecondFact.BIRTH_DATE,
    )
    tells_unknown_cards = models.BooleanField(
        _("say when a card is unknown"),
        default=False,
        help_text=_("Otherwise an unknown card and a wrong second fact read alike, so that nobody can guess."),
    )

    number_patterns = models.TextField(
        _("patterns of its card numbers"),
        max_length=1000,
        blank=True,
        help_text=_("One a line: # is a digit, @ a letter, * any more of both. Empty: every number may be theirs."),
    )
    check_digit = models.CharField(
        _("check digit of its card numbers"), max_length=10, choices=CheckDigit, default=CheckDigit.NONE, blank=True
    )

    class Meta:
        verbose_name = _("institution")
        verbose_name_plural = _("institutions")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_asked(self) -> bool:
        """Whether its cards are proved by asking another system."""
        return self.card_check in self.ASKED

    @property
    def asked_system(self) -> LibrarySystem | None:
        """None where no system is asked, or nobody has said how it is reached."""
        return getattr(self, "system", None) if self.is_asked else None


class Library(models.Model):
    """A place that issues cards."""

    institution = models.ForeignKey(
        "libraries.Institution",
        on_delete=models.PROTECT,
        related_name="libraries",
        verbose_name=_("institution"),
    )
    name = models.CharField(_("name"), max_length=100)
    postal_code = models.CharField(_("postal code"), max_length=4)
    city = models.CharField(_("place"), max_length=100)

    class Meta:
        verbose_name = _("library")
        verbose_name_plural = _("libraries")
        ordering = ["city", "name"]
        constraints = [
            models.UniqueConstraint(fields=["institution", "name"], name="library_name_unique"),
            # The target of the card's double foreign key: a card's institution is its library's.
            models.UniqueConstraint(fields=["id", "institution"], name="library_of_institution"),
        ]

    def __str__(self) -> str:
        return self.name
