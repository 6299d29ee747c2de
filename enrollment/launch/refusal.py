"""What a tool is told in place of a message."""


class Refusal(Exception):
    """`error` is a code of OpenID Connect core, 3.1.2.6, or of RFC 6749, 4.2.2.1; `why` is for the tool's makers."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(error)
        self.error, self.why = error, why
