from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.sandbox.accounts import DEMO_ACCOUNTS, DEMO_CARDS


class Command(BaseCommand):
    help = "Make the demo's data, unless it is there already. Only in the sandbox."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--accounts", action="store_true", help="show the demo's staff and library cards too")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("The demo's data is for the sandbox, and SANDBOX is off.")
        from portal.sandbox import demo_world  # it refuses to be imported outside the sandbox

        made = demo_world.load(now=timezone.now())
        self.stdout.write("The demo's data is made." if made else "The demo's data is there already.")
        if options["accounts"]:
            self._show()

    def _show(self) -> None:
        for account in DEMO_ACCOUNTS:
            self.stdout.write(f"{account.role:<14}{account.email:<26}{account.password}  {account.totp_secret}")
        for card in DEMO_CARDS:
            valid = "" if card.valid else "  (expired)"
            self.stdout.write(f"card {card.number}  born {card.born or 'unknown: a librarian looks'}{valid}")
