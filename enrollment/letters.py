from collections.abc import Callable
from datetime import datetime


def send_next(*, now: Callable[[], datetime]) -> bool:
    raise NotImplementedError
