"""Health checks of containers, cheap enough for every few seconds: `python -m portal.alive web` (or worker).

They load no settings and no apps. Whether work gets done is for /readyz to say: it tells the age of the oldest work
that is owed.
"""

import http.client
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from portal import environment

CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def web(address: str = "127.0.0.1:8000") -> bool:
    """The process answers at /healthz, asked under the site's own name as any visitor would."""
    connection = http.client.HTTPConnection(address, timeout=4)
    try:
        connection.request("GET", "/healthz", headers={"Host": urlsplit(environment.site_url()).netloc})
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def worker(tables: tuple[Path, ...] = CONNECTIONS) -> bool:
    """A worker (or beat) of this container has an open connection to the broker: Linux' table tells without asking."""
    port = urlsplit(environment.redis_url()).port or 6379
    established = re.compile(rf"^ *\d+: [0-9A-F]+:[0-9A-F]{{4}} [0-9A-F]+:{port:04X} 01 ", re.MULTILINE)
    return any(established.search(table.read_text()) for table in tables if table.exists())


if __name__ == "__main__":
    sys.exit(not (web() if sys.argv[1] == "web" else worker()))
