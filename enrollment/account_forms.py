"""allauth's forms in our own words, so that each is there in every language, without grey examples in the fields."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account
from allauth.mfa.base import forms as mfa
from allauth.mfa.totp import forms as totp
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from django.utils.translation import gettext_lazy as _

_LABELS = {
    "login": _("Email address"),
    "email": _("Email address"),
    "password": _("Password"),
    "oldpassword": _("Password that you have now"),
    "password1": _("New password"),
    "password2": _("The new password once more"),
    "code": _("Code"),
    "name": _("Name"),
    "passwordless": _("Sign in with this passkey alone, without a password"),
}


class _OwnWords(forms.Form):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = _LABELS.get(name, field.label)
            field.help_text = field.help_text if name == "password1" else ""
            field.widget.attrs.pop("placeholder", None)


class LoginForm(_OwnWords, account.LoginForm):
    pass


class ReauthenticateForm(_OwnWords, account.ReauthenticateForm):
    pass


class ChangePasswordForm(_OwnWords, account.ChangePasswordForm):
    pass


class SetPasswordForm(_OwnWords, account.SetPasswordForm):
    pass


class ResetPasswordForm(_OwnWords, account.ResetPasswordForm):
    pass


class ResetPasswordKeyForm(_OwnWords, account.ResetPasswordKeyForm):
    pass


class AuthenticateForm(_OwnWords, mfa.AuthenticateForm):
    pass


class ReauthenticateCodeForm(_OwnWords, mfa.ReauthenticateForm):
    pass


class ActivateTOTPForm(_OwnWords, totp.ActivateTOTPForm):
    pass


class AddPasskeyForm(_OwnWords, webauthn.AddWebAuthnForm):
    pass


class EditPasskeyForm(_OwnWords, webauthn.EditWebAuthnForm):
    pass
