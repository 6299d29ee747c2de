#!/usr/bin/env python
"""Django's command line. While the demo of this clone runs, every command finds its servers by itself."""

import contextlib
import os
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent / ".demo"


def demo_runs() -> bool:
    try:
        os.kill(int((DEMO / "pid").read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def use_the_demo() -> None:
    if "DATABASE_URL" in os.environ or not demo_runs():
        return
    with contextlib.suppress(OSError):
        for line in (DEMO / "environment").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            os.environ.setdefault(name, value)


def main() -> None:
    use_the_demo()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
