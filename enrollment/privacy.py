"""Which text about personal data a member was shown; raise it with every change of what the text says."""

PRIVACY_TEXT_VERSION = "2026-12.3"
