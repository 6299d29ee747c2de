"""What can go wrong at a provider, named by what the caller must do next.

The texts hold no secrets, no personal data and nothing the provider wrote: they may be logged and shown.
"""

from outgoing.failures import RequestFailed

# Every code that an error of a provider can have, for whoever has words for them.
CODES = frozenset(
    {
        "answer_too_large",
        "bad_address",
        "bad_answer",
        "bad_certificate",
        "bad_request",
        "bad_token",
        "changed_meanwhile",
        "conflict",
        "connection_lost",
        "course_closed",
        "filter_ignored",
        "gone",
        "limit_reached",
        "name_taken",
        "no_list",
        "no_secret",
        "no_turn",
        "not_allowed",
        "not_found",
        "not_ours",
        "not_supported",
        "paging_ignored",
        "rate_limited",
        "redirected",
        "server_error",
        "timeout",
        "two_matches",
        "unknown_course",
        "unknown_kind",
        "unreachable",
    }
)
# Refusals that every account of the provider would meet: it is the line that is down, not the account that is stuck.
PROVIDER_WIDE = frozenset({"bad_address", "bad_token", "no_secret", "redirected", "unknown_kind"})
# Refusals of which one alone does not tell: of one account, or of one kind of call, or of every call. Several in a row
# take the line down; an account that goes on meeting one while others are answered is stuck.
PERHAPS_WIDE = frozenset({"filter_ignored", "not_allowed", "not_found"})


class ProviderError(Exception):
    """`code` is a short machine word (`CODES`); `after` the seconds the provider asked us to wait, if it said so.

    `answer` is what the provider said, for the operator alone: without secrets and, as far as a program can tell,
    without personal data (`catalog.provider.redaction`). It is in no text form of the error. `cause` is what failed
    on the way there.
    """

    def __init__(
        self,
        code: str,
        text: str = "",
        after: float | None = None,
        *,
        answer: str = "",
        cause: RequestFailed | None = None,
    ) -> None:
        super().__init__(code, text, after)
        self.code = code
        self.text = text
        self.after = after
        self.answer = answer
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.text else self.code


class Unreachable(ProviderError):
    """Try later: nothing was sent, or only a read failed."""


class RateLimited(ProviderError):
    """Wait `after` seconds, then try again: nothing was done."""

    after: float

    def __init__(self, after: float, *, answer: str = "") -> None:
        super().__init__("rate_limited", f"the provider asks us to wait {after:.0f} s", after, answer=answer)
        self.args = (after,)


class Refused(ProviderError):
    """Permanent: trying again changes nothing, a person must look."""


class Unclear(ProviderError):
    """A write may have happened: look (`find`) before acting again."""
