from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class Area(models.Model):
    """A subject: languages, digital safety, … with its name in the three languages and the color of its spines."""

    slug = models.SlugField(max_length=50, unique=True)
    name_nl = models.CharField(_("name in Dutch"), max_length=100)
    name_fr = models.CharField(_("name in French"), max_length=100)
    name_en = models.CharField(_("name in English"), max_length=100)
    position = models.PositiveSmallIntegerField(_("order"), default=0)

    class Meta:
        verbose_name = _("area")
        verbose_name_plural = _("areas")
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return {"fr": self.name_fr, "en": self.name_en}.get((get_language() or "nl")[:2], self.name_nl)


def names_and_values(told: object) -> None:
    """They come along in a signed message at each start."""
    if not isinstance(told, dict):
        raise ValidationError(_('Write names and values: {"name": "value"}.'))


class Course(models.Model):
    """One title of a provider."""

    class Level(models.TextChoices):
        STARTER = "starter", _("starter")
        ADVANCED = "advanced", _("advanced")
        A1 = "A1", "A1"
        A2 = "A2", "A2"
        B1 = "B1", "B1"
        B2 = "B2", "B2"

    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="courses", verbose_name=_("provider")
    )
    code = models.CharField(_("the provider's code"), max_length=50)
    slug = models.SlugField(max_length=120, unique=True)
    area = models.ForeignKey("catalog.Area", on_delete=models.PROTECT, related_name="courses", verbose_name=_("area"))
    title = models.CharField(_("title"), max_length=200)
    language = models.CharField(
        _("language"), max_length=2, choices=[("nl", _("Dutch")), ("fr", _("French")), ("en", _("English"))]
    )
    level = models.CharField(_("level"), max_length=20, choices=Level)
    hours = models.PositiveSmallIntegerField(_("length in hours"))
    description_nl = models.TextField(_("description in Dutch"), max_length=2000, blank=True, default="", db_default="")
    description_fr = models.TextField(
        _("description in French"), max_length=2000, blank=True, default="", db_default=""
    )
    description_en = models.TextField(
        _("description in English"), max_length=2000, blank=True, default="", db_default=""
    )
    # How the provider's tool names it (LTI 1.3): an address of its own, and parameters that come along at each start.
    launch_url = models.URLField(
        _("address at the provider"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text=_("Empty: the tool's own address."),
    )
    launch_custom = models.JSONField(
        _("parameters for the provider"), default=dict, db_default={}, blank=True, validators=[names_and_values]
    )

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["provider", "code"], name="course_code_unique")]

    def __str__(self) -> str:
        return self.title

    @property
    def description(self) -> str:
        """In the reader's language, or else in the first there is."""
        return self._described[1]

    @property
    def description_language(self) -> str:
        """Of `description`; empty when there is none."""
        return self._described[0]

    @property
    def _described(self) -> tuple[str, str]:
        described = {"nl": self.description_nl, "fr": self.description_fr, "en": self.description_en}
        own = (get_language() or "nl")[:2]
        if described.get(own):
            return own, described[own]
        return next(((language, text) for language, text in described.items() if text), ("", ""))
