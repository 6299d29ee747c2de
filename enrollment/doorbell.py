"""Ring the workers from a web request without ever waiting for the broker."""

import threading
import time
from collections.abc import Callable

# A ring costs more than an answer from memory; the workers look at all that is owed anyway.
PAUSE = 0.5


class Doorbell:
    """Many rings while one is under way become one more: what has to be done stands in the rows, not in the ring.

    The thread is started by the first ring in each process, so it survives a fork of the server.
    """

    def __init__(self, publish: Callable[[], object]) -> None:
        self._publish = publish
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        self._wanted.set()
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="doorbell", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            self._publish()
            time.sleep(PAUSE)
