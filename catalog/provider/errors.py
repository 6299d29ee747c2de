"""What can go wrong at a provider, named by what the caller must do next.

The texts hold no secrets, no personal data and nothing the provider wrote: they may be logged and shown.
"""


class ProviderError(Exception):
    """`code` is a short machine word; `after` the seconds the provider asked us to wait, if it said so."""

    def __init__(self, code: str, text: str = "", after: float | None = None) -> None:
        super().__init__(code, text, after)
        self.code = code
        self.text = text
        self.after = after

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.text else self.code


class Unreachable(ProviderError):
    """Try later: nothing was sent, or only a read failed."""


class RateLimited(ProviderError):
    """Wait `after` seconds, then try again: nothing was done."""

    after: float

    def __init__(self, after: float) -> None:
        super().__init__("rate_limited", f"the provider asks us to wait {after:.0f} s", after)
        self.args = (after,)


class Refused(ProviderError):
    """Permanent: trying again changes nothing, a person must look."""


class Unclear(ProviderError):
    """A write may have happened: look (`find`) before acting again."""
