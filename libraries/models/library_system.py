from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from libraries.secrets import NAME_VALIDATORS


class LibrarySystem(models.Model):
    """How an institution's library system is asked about cards. Secrets are named here, never kept.

    Which of these fields count depends on the institution's way of checking cards.
    """

    class Encoding(models.TextChoices):
        CP850 = "cp850", "CP850"
        UTF_8 = "utf-8", "UTF-8"

    class WhenDown(models.TextChoices):
        MEMBER = "member", _("the member is asked to come back with the PIN")
        LIBRARIAN = "librarian", _("a librarian looks at the card")

    institution = models.OneToOneField(
        "libraries.Institution", on_delete=models.CASCADE, related_name="system", verbose_name=_("institution")
    )
    address = models.CharField(
        _("address"),
        max_length=300,
        help_text=_("For SIP2 the name of the server; for Koha the address of its site, with https://."),
    )
    port = models.PositiveIntegerField(
        _("port"),
        default=6001,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
    )
    tls = models.BooleanField(
        _("the connection is encrypted (TLS)"),
        default=True,
        help_text=_("Without it, card numbers and PINs can be read on the way: only within a network of your own."),
    )
    encoding = models.CharField(_("letters are written in"), max_length=10, choices=Encoding, default=Encoding.CP850)
    checksums = models.BooleanField(_("messages carry a checksum"), default=True)
    institution_code = models.CharField(_("name of the institution there"), max_length=100, blank=True)
    location = models.CharField(_("name of this location there"), max_length=100, blank=True)
    login = models.CharField(_("login name"), max_length=100, blank=True)
    secret_name = models.CharField(
        _("name of the secret"),
        max_length=100,
        blank=True,
        validators=NAME_VALIDATORS,
        help_text=_("The environment variable that holds the password of the login; it is never stored here."),
    )
    terminal_secret_name = models.CharField(
        _("name of the terminal's secret"),
        max_length=100,
        blank=True,
        validators=NAME_VALIDATORS,
        help_text=_("Rarely needed: the environment variable that holds the terminal password."),
    )
    oauth = models.BooleanField(
        _("sign in with OAuth2 client credentials"),
        default=False,
        help_text=_("Otherwise with name and password (Basic)."),
    )
    asks_pin = models.BooleanField(
        _("ask the member for a PIN"),
        default=True,
        help_text=_("A number without a PIN proves nothing: then a librarian looks at every card."),
    )
    pin_name = models.CharField(
        _("what the PIN is called"),
        max_length=60,
        blank=True,
        help_text=_("As members know it, in the language of the library. Empty: PIN of your library card."),
    )
    asks_expiry = models.BooleanField(
        _("ask until when the card is valid"),
        default=False,
        help_text=_("The answer then holds more about the member, of which nothing is kept."),
    )
    when_down = models.CharField(
        _("when the system does not answer"), max_length=20, choices=WhenDown, default=WhenDown.MEMBER
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        _("seconds to wait for an answer"), default=3, validators=[MinValueValidator(1), MaxValueValidator(9)]
    )
    most_connections = models.PositiveSmallIntegerField(
        _("connections at once, of each web process"),
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
    )
    recheck_days = models.PositiveSmallIntegerField(
        _("ask again about proved cards after (days)"),
        default=30,
        validators=[MaxValueValidator(365)],
        help_text=_("Without a PIN, and only of cards that carry an application. 0: never."),
    )
    checks_per_minute = models.PositiveSmallIntegerField(
        _("proved cards asked about, at most each minute"),
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(600)],
    )
    # When it first did not answer, of those times since it last did.
    unanswered_since = models.DateTimeField(_("does not answer since"), null=True, editable=False)
    # Proved cards are asked about by one worker at a time, under a lease, and not before `recheck_at`.
    recheck_at = models.DateTimeField(null=True, editable=False)
    recheck_token = models.UUIDField(null=True, editable=False)
    recheck_lease_until = models.DateTimeField(null=True, editable=False)
    # The fuse: so many cards turned bad at once that nothing is believed until an operator has looked.
    rechecks_stopped_at = models.DateTimeField(_("stopped since"), null=True, editable=False)
    # The fuse counts answers from then on.
    fuse_from = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("library system")
        verbose_name_plural = _("library systems")
        ordering = ["institution__name"]
        constraints = [
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="system_port"),
            models.CheckConstraint(condition=Q(timeout_seconds__gte=1, timeout_seconds__lte=9), name="system_timeout"),
            models.CheckConstraint(condition=Q(most_connections__gte=1), name="system_connects"),
            models.CheckConstraint(condition=Q(checks_per_minute__gte=1), name="system_checks"),
        ]

    def __str__(self) -> str:
        return str(self.institution)

    @property
    def asks_back(self) -> bool:
        """Whether members come back with the PIN when it did not answer."""
        return self.asks_pin and self.when_down == self.WhenDown.MEMBER


class Rechecking(LibrarySystem):
    """The same row, as what is seen of asking again: how it goes, and whether the fuse has blown."""

    class Meta:
        proxy = True
        verbose_name = _("check of proved cards")
        verbose_name_plural = _("checks of proved cards")
