"""What the search reads. Triggers keep all of it but the synonyms (docs/adr/0025)."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


def at_least_two_words(words: str) -> None:
    if len({word.strip().casefold() for word in words.split(",")} - {""}) < 2:
        raise ValidationError(_("Give at least two words, with a comma between."))


class Synonym(models.Model):
    """Words that mean the same, in whatever language: who looks for one of them finds what has another."""

    words = models.TextField(
        _("words that mean the same"),
        max_length=500,
        validators=[at_least_two_words],
        help_text=_("In all languages, with commas between: Spaans, espagnol, Spanish."),
    )

    class Meta:
        verbose_name = _("synonyms")
        verbose_name_plural = _("synonyms")
        ordering = ["words"]

    def __str__(self) -> str:
        return self.words


class CourseDocument(models.Model):
    """A course as the search knows it, without accents and capitals: its title, and the words of the title and of all
    that is said of it, with those that mean the same, each as it is and by its stem. What courses are chosen by stands
    here too, so that the many that fit are not looked up one by one."""

    course = models.OneToOneField("catalog.Course", on_delete=models.CASCADE, primary_key=True, related_name="document")
    area = models.ForeignKey("catalog.Area", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    level = models.CharField(max_length=20)
    language = models.CharField(max_length=2)
    hours = models.PositiveSmallIntegerField()
    title = models.TextField()
    title_words = SearchVectorField()
    words = SearchVectorField()

    class Meta:
        indexes = [
            GinIndex(fields=["words"], name="document_words"),
            models.Index(fields=["title"], name="document_title"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class SearchWord(models.Model):
    """A word that some course has: what a word with a typing error may have meant."""

    word = models.CharField(max_length=50, primary_key=True)

    class Meta:
        indexes = [GinIndex(OpClass("word", "gin_trgm_ops"), name="searchword_letters")]

    def __str__(self) -> str:
        return self.word


class CatalogChange(models.Model):
    """A row for each statement that changed what the catalog's pages show. Their number and sum are its version: rows
    that are committed in another order than they were numbered change it too, and nobody waits for anybody."""

    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"#{self.pk}"
