"""Replace an institution's list of valid cards by a CSV file's."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, no_translations
from django.utils import timezone

from enrollment import roster_uploading
from libraries.models import Institution
from libraries.rosters import RejectionReason, Report, RosterRefused


class Command(BaseCommand):
    help = (
        "Replace an institution's list of valid cards by a CSV file's; the whole file, or nothing when it is refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("institution", metavar="INSTITUTION_SLUG")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
        parser.add_argument(
            "--report",
            metavar="FILE",
            type=Path,
            help="write the rejected lines to a CSV file: line, code, reason",
        )

    @no_translations
    def handle(self, **options: Any) -> None:
        institution = _institution(options["institution"])
        with ExitStack() as files:
            source = files.enter_context(_opened(options["file"], "rb"))
            report_file = None
            if options["report"]:
                _require_apart(options["report"], options["file"])
                report_file = files.enter_context(_opened(options["report"], "w"))
            self._import(institution, source, report_file, dry_run=options["dry_run"])

    def _import(self, institution: Institution, source: Any, report_file: IO[str] | None, *, dry_run: bool) -> None:
        try:
            report = roster_uploading.take_in(
                institution=institution,
                source=source,
                by=None,
                now=timezone.now(),
                dry_run=dry_run,
                progress=self._tell_progress,
            )
        except RosterRefused as refused:
            self._tell_rejected(refused.rejected, report_file)
            raise CommandError(f"Nothing was changed. {refused.message}") from None
        self._tell_rejected(report.rejected, report_file)
        self._tell_result(report)

    def _tell_progress(self, lines: int) -> None:
        self.stderr.write(f"{lines} lines read", self.style.NOTICE)

    def _tell_rejected(self, rejected: list[tuple[int, str]], report_file: IO[str] | None) -> None:
        if report_file is None:
            for line, code in rejected:
                self.stdout.write(f"line {line}: {code}: {RejectionReason(code).label}")
            return
        writer = csv.writer(report_file)
        writer.writerow(["line", "code", "reason"])
        writer.writerows((line, code, RejectionReason(code).label) for line, code in rejected)

    def _tell_result(self, report: Report) -> None:
        for warning in report.warnings:
            self.stdout.write(f"Note: {warning.label}")
        done = "Imported" if report.roster else "Dry run, nothing was changed"
        self.stdout.write(
            f"{done}: {report.lines} lines, {report.accepted} accepted, {len(report.rejected)} rejected; "
            f"{report.added} added, {report.changed} changed, {report.removed} removed."
        )


def _institution(slug: str) -> Institution:
    try:
        return Institution.objects.get(slug=slug)
    except Institution.DoesNotExist:
        known = ", ".join(Institution.objects.order_by("slug").values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"No institution is called {slug}. Known: {known}.") from None


def _opened(path: Path, mode: str) -> IO[Any]:
    as_text = "b" not in mode
    try:
        return path.open(mode, encoding="utf-8" if as_text else None, newline="" if as_text else None)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _require_apart(report: Path, source: Path) -> None:
    if report.exists() and report.samefile(source):
        raise CommandError(f"{report}: the report would overwrite the list itself")
