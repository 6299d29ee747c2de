"""How a library's system is reached, for the checks that ask one; rows and secrets are read elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SystemFacts:
    """`address` is a host name for SIP2, and the address of the site for REST (https://…). Names and secrets are
    empty where there are none. `missing_secrets`: a secret is named and not there, so nothing can be asked.
    `looks_up`: it is asked about proved cards too, without a PIN."""

    institution_id: int
    address: str
    port: int = 0
    tls: bool = True
    encoding: str = "cp850"
    checksums: bool = True
    institution_code: str = ""
    location: str = ""
    login: str = field(default="", repr=False)
    login_secret: str = field(default="", repr=False)
    terminal_secret: str = field(default="", repr=False)
    oauth: bool = False
    missing_secrets: bool = False
    asks_pin: bool = True
    asks_expiry: bool = False
    looks_up: bool = False
    tells_unknown_cards: bool = False
    timeout_seconds: int = 3
    most_connections: int = 4
    # Whether addresses of a private network may be asked.
    private: bool = False
