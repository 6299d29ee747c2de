"""Compare with a provider's own list now; see enrollment.reconciling. Nothing is repaired by it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations
from django.utils import timezone

from catalog.models import Provider
from enrollment import reconciling
from enrollment.models import Difference, Reconciliation
from enrollment.reports import differences
from libraries.secrets import secret_of


class Command(BaseCommand):
    help = "Compare with a provider's own list now, and print what differs. Exit status 1 when it could not be done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the provider's short name")

    @no_translations
    def handle(self, slug: str, **options: Any) -> None:
        provider = Provider.objects.filter(slug=slug).first()
        if provider is None:
            raise CommandError(f"There is no provider {slug}.")
        run = self._run_of(provider)
        reconciling.compare_next(secret_of=secret_of, now=timezone.now, only=run)
        run.refresh_from_db()
        if run.finished_at is None:
            raise CommandError(f"Comparison {run.pk} waits, and is tried again: {run.trouble or 'provider is down'}")
        self.stdout.write(f"comparison {run.pk}: {run.listed} on the list, of which {run.ours} ours")
        for kind, number in differences.totals(run).items():
            self.stdout.write(f"{number:8} {Difference.Kind(kind).value}")
        self.stdout.write(f"NOT trusted: {run.doubt}" if run.doubt else "trusted")

    def _run_of(self, provider: Provider) -> Reconciliation:
        """The one that is owed already, or a new one."""
        now = timezone.now()
        run = reconciling.ask(provider_id=provider.pk, by=None, now=now)
        return run or Reconciliation.objects.owed().get(provider=provider, stuck_at=None)
