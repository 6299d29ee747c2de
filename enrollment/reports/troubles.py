"""What went wrong with an account at the provider, in words a librarian understands."""

from django.utils.translation import gettext_lazy

# Codes of the provider's adapter (catalog.provider) and of our own work with it.
TROUBLES = {
    "answer_too_large": gettext_lazy("The provider's answer is far too long to be right."),
    "bad_answer": gettext_lazy("The provider's answer cannot be understood."),
    "bad_address": gettext_lazy("The provider's address is not usable. Look at it under “Providers”."),
    "bad_certificate": gettext_lazy("The provider's certificate is not valid."),
    "bad_request": gettext_lazy("The provider does not accept what we send."),
    "bad_token": gettext_lazy("The provider does not accept our secret."),
    "changed_meanwhile": gettext_lazy("Somebody else changed the account at the same moment."),
    "conflict": gettext_lazy("The provider says that this account clashes with another: somebody must look there."),
    "connection_lost": gettext_lazy("The connection to the provider broke."),
    "crashed": gettext_lazy("The work stopped again and again before it was done."),
    "filter_ignored": gettext_lazy("The provider answers with accounts we did not ask for."),
    "gone": gettext_lazy("The account is no longer at the provider."),
    "limit_reached": gettext_lazy(
        "The provider opens no more accounts: it has reached the number that was agreed with it. Agree on more, or"
        " close accounts there; then try again."
    ),
    "name_taken": gettext_lazy("Another account at the provider has this user name: somebody must look there."),
    "no_turn": gettext_lazy("The provider had no room for another call yet."),
    "not_erased_yet": gettext_lazy("The provider still has the account, although it was asked to erase it."),
    "no_secret": gettext_lazy("The secret of this provider is not set."),
    "not_found": gettext_lazy("The provider does not know the address we ask for."),
    "not_ours": gettext_lazy("The account at the provider is not one of ours: somebody must look there."),
    "rate_limited": gettext_lazy("The provider asks us to wait."),
    "redirected": gettext_lazy("The provider sends us to another address."),
    "same_id": gettext_lazy("The provider gives two of our accounts the same number: somebody must look there."),
    "server_error": gettext_lazy("Something went wrong at the provider."),
    "timeout": gettext_lazy("The provider did not answer in time."),
    "two_matches": gettext_lazy("Two accounts at the provider carry our id: somebody must look there."),
    "unknown_kind": gettext_lazy("We do not know this kind of provider."),
    "unreachable": gettext_lazy("The provider cannot be reached."),
}


def in_words(code: str) -> str:
    """Of a trouble, or of its first 20 letters, which an event keeps; one nobody has words for is shown as it is."""
    return str(next((text for key, text in TROUBLES.items() if code and code in (key, key[:20])), code))
