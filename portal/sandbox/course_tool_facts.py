"""What the portal and the sandbox's courses know of each other (LTI 1.3): where the courses are, and who they are."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

# Below the training platform's address.
LOGIN = "/courses/lti/login"
LAUNCH = "/courses/lti/launch"
DEEP_LINKING = "/courses/lti/deep"
KEYSET = "/courses/lti/keys.json"
# Given by the portal when a tool is registered; here the same in every demo.
CLIENT_ID, DEPLOYMENT_ID = "sandbox-courses", "1"

# Courses that the portal does not know before somebody picks them there.
NEW = {"ST-1101": "Podcasts maken voor beginners", "ST-1102": "Een moestuin op je balkon"}
DATA = Path(__file__).parent / "demo_data" / "courses.csv"


@cache
def titles() -> dict[str, str]:
    """Of all the courses that the platform has, by their codes."""
    with DATA.open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["title"] for row in csv.DictReader(file)} | NEW
