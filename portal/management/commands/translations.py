import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

SOURCE_LANGUAGE = "en"


class Command(BaseCommand):
    help = "Compare the texts in the source with their translations; with --update, bring the catalogs up to date."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="say what is missing or wrong (this is the default)")
        what.add_argument("--update", action="store_true", help="add new texts, drop old ones, compile the catalogs")

    def handle(self, *args: Any, update: bool, **options: Any) -> None:
        try:
            from portal import translations
        except ImportError as error:
            raise CommandError(f"{error}: this needs the dev dependencies, which `make test` installs") from error
        found = translations.extracted(settings.BASE_DIR)
        problems: list[str] = []
        for language in [code for code, _name in settings.LANGUAGES if code != SOURCE_LANGUAGE]:
            if update:
                translations.update(settings.BASE_DIR, language, found)
            problems += translations.problems(settings.BASE_DIR, language, found)
        if problems and not update:
            raise CommandError("\n".join([*problems, f"{len(problems)} problems"]))
        self.stdout.write("\n".join([*problems, f"{len(found)} texts, {len(problems)} problems"]))
