"""The values of secrets that rows only name."""

import os
from pathlib import Path


def secret_of(name: str) -> str:
    """From the environment, or from the file that NAME_FILE names. Raises LookupError when neither is there."""
    path = os.environ.get(f"{name}_FILE")
    value = (
        Path(path).read_text(encoding="utf-8").strip() if path and Path(path).is_file() else os.environ.get(name, "")
    )
    if not value:
        raise LookupError(name)
    return value
