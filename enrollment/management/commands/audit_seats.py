"""Check that the seats agree with themselves; see enrollment.reports.audit for what is checked."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, no_translations
from django.utils import timezone

from enrollment import seats
from enrollment.models import SeatPool
from enrollment.reports.audit import UNANSWERED_DAYS, Finding, audit, counters_of


class Command(BaseCommand):
    help = "Check that the seats agree with themselves. Exit status 0 when every rule holds, 1 when one does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="for a machine: one object")
        parser.add_argument(
            "--unanswered-days",
            type=int,
            default=UNANSWERED_DAYS,
            metavar="N",
            help="an application whose card waits longer for its check is named (default: %(default)s)",
        )
        parser.add_argument(
            "--repair", action="store_true", help="count again what is counted wrong, after printing what changes"
        )

    @no_translations
    def handle(self, **options: Any) -> None:
        findings = audit(now=timezone.now(), unanswered_days=options["unanswered_days"])
        if options["repair"] and counters_of(findings):
            self._repair()
            findings = audit(now=timezone.now(), unanswered_days=options["unanswered_days"])
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(findings)))
        else:
            self._tell(findings)
        if not all(finding.holds for finding in findings):
            sys.exit(1)

    def _repair(self) -> None:
        """Printed before it is written, so that a failure in between leaves the plan on the screen."""
        for pool_id in SeatPool.objects.order_by("pk").values_list("pk", flat=True):
            for change in seats.recount(pool_id, now=timezone.now(), tell=self._tell_change):
                self.stderr.write(f"done: {change}")

    def _tell_change(self, change: seats.Recount) -> None:
        self.stderr.write(f"plan: {change}")

    def _tell(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.stdout.write(f"{'ok  ' if finding.holds else 'NOT '} {finding.check.name}: {finding.check.words}")
            if not finding.holds:
                left = len(finding.rows) - len(finding.named)
                names = ", ".join(map(str, finding.named)) + (f" and {left} more" if left else "")
                self.stdout.write(f"     {finding.check.of} {names}")


def _as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    checks = [
        {"name": each.check.name, "holds": each.holds, "of": each.check.of, "count": len(each.rows), "ids": each.named}
        for each in findings
    ]
    return {"holds": all(each.holds for each in findings), "checks": checks}
