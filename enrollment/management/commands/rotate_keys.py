"""A new key for the messages to providers' tools: published now, in use once the tools can have fetched it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from enrollment.launch import keys


class Command(BaseCommand):
    help = "Make a new key that signs the starts of courses. See docs/lti.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="strangers may know the keys: the new one signs now, and the others are not published any more",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        made = keys.rotate(now=timezone.now(), at_once=options["at_once"])
        since = timezone.localtime(made.signs_from)
        self.stdout.write(f"Key {made.kid} is published, and signs from {since:%Y-%m-%d %H:%M}.")
