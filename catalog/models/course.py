from __future__ import annotations

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

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["provider", "code"], name="course_code_unique")]

    def __str__(self) -> str:
        return self.title
