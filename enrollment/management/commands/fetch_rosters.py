"""Fetch the lists of valid cards that are fetched at night, now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations
from django.utils import timezone

from enrollment import roster_fetching
from libraries.models import RosterSource


class Command(BaseCommand):
    help = "Fetch the lists of cards of all institutions that have a source, or of those named; says how each ended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("institutions", metavar="INSTITUTION_SLUG", nargs="*")
        parser.add_argument("--again", action="store_true", help="take the list that is in force once more")

    @no_translations
    def handle(self, **options: Any) -> None:
        named = options["institutions"]
        sources = roster_fetching.sources().select_related("institution").order_by("institution__slug")
        chosen = [source for source in sources if not named or source.institution.slug in named]
        if unknown := sorted(set(named) - {source.institution.slug for source in chosen}):
            raise CommandError(f"No list is fetched for: {', '.join(unknown)}.")
        bad = [source.institution.slug for source in chosen if not self._fetch(source, again=options["again"])]
        if bad:
            raise CommandError(f"Not in order: {', '.join(bad)}.")

    def _fetch(self, source: RosterSource, *, again: bool) -> bool:
        taken = roster_fetching.fetch(source.pk, now=timezone.now, again=again)
        source.refresh_from_db()
        outcome = "taken" if taken else "nothing new"
        if source.stopped_at:
            outcome = "not taken: it would take away too much"
        if source.trouble:
            outcome = roster_fetching.trouble_in_words(source.trouble)
        self.stdout.write(f"{source.institution.slug}: {outcome}")
        return not (source.trouble or source.stopped_at)
