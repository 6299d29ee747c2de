"""After a restore from a backup, before the workers start: erase again whoever was erased since."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, no_translations
from django.utils import timezone

from enrollment import erasing_again, erasure_list
from enrollment.models import ProviderAccount


class Command(BaseCommand):
    help = "After a restore: erase again whoever is on the list of erasures and there again. Prints counts alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be done")

    @no_translations
    def handle(self, **options: Any) -> None:
        try:
            found = erasing_again.look()
            self._tell(found)
            left = len(found.again) if options["dry_run"] else self._erase(found)
        except erasure_list.ListTrouble as error:
            raise CommandError(f"the list of erasures (ERASURE_LIST) cannot be used: {error}") from None
        if found.unreadable or found.foreign or (left and not options["dry_run"]):
            sys.exit(1)

    def _tell(self, found: erasing_again.Found) -> None:
        self.stdout.write(f"on the list: {found.entries}")
        for number in found.unreadable:
            self.stderr.write(f"line {number} of the list cannot be read")
        if found.foreign:
            told = "lines that were written under another SECRET_KEY, and so lead to nobody"
            self.stderr.write(f"{told}: {found.foreign}")
        self.stdout.write(f"there again, to be erased: {len(found.again)}")
        unlooked = ProviderAccount.objects.filter(first_claimed_at=None).count()
        self.stdout.write(f"accounts that would be opened without a look: {unlooked}")

    def _erase(self, found: erasing_again.Found) -> int:
        """Says how many are left."""
        now = timezone.now()
        erasing_again.look_before_creating(now=now)
        left = erasing_again.erase(found, now=now)
        for pk, obstacle in left.items():
            self.stderr.write(f"person {pk} is not erased: {obstacle}")
        owed = ProviderAccount.objects.filter(must_be_erased=True, erased_at=None).count()
        self.stdout.write(f"erased: {len(found.again) - len(left)}; owed to providers: {owed} accounts")
        return len(left)
