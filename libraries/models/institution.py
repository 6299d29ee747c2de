from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Institution(models.Model):
    """A partner that takes part and pays: a city, a network of libraries."""

    class CardCheck(models.TextChoices):
        BY_HAND = "by_hand", _("a librarian looks")
        ROSTER = "roster", _("a list of valid cards")

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

    class Meta:
        verbose_name = _("institution")
        verbose_name_plural = _("institutions")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


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
