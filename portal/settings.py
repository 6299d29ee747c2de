"""Settings, from the environment alone; secure unless the environment says otherwise."""

from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from portal import environment

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = environment.flag("DEBUG")
SECRET_KEY = environment.secret_key()
# Those it had before: what they signed is still believed, what they hashed is still found.
SECRET_KEY_FALLBACKS = environment.earlier_secret_keys()
SITE_URL = environment.site_url()
HTTPS = SITE_URL.startswith("https://")
ALLOWED_HOSTS = environment.allowed_hosts(SITE_URL)
# The outside world in a box: a mailbox anyone may read and codes of demo staff. Never on in production.
SANDBOX = environment.flag("SANDBOX")
if SANDBOX and HTTPS:
    raise ImproperlyConfigured("SANDBOX is on, and SITE_URL is https: a site that people use must not show their mail")
if SANDBOX:
    SANDBOX_MAIL = Path(environment.required("SANDBOX_MAIL"))
    SANDBOX_PLATFORM_URL = environment.required("SANDBOX_PLATFORM_URL").rstrip("/")
    SANDBOX_LIBRARY_PORT = environment.positive("SANDBOX_LIBRARY_PORT", default=6001)
    SANDBOX_LIBRARY_FAULT = Path(environment.required("SANDBOX_LIBRARY_FAULT"))

INSTALLED_APPS = [
    "portal",
    "enrollment",
    "catalog",
    "libraries",
    "portal.workplace.WorkplaceAdminConfig",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.idp.oidc",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "portal.page_cache.PageCacheMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "portal.middleware.RememberedLanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["enrollment.templatetags.dates"],
        },
    }
]

# --- Data ---
DATABASES = {"default": environment.database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# allauth counts its limits on guessing in the cache: in PostgreSQL they hold across processes and without Redis.
# With Django's own limit of 300 entries somebody could push the count of their guesses out.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 14 * 24 * 3600
# An upload is refused by the form above this many bytes; a roster of 165,000 lines is about 6 MB.
ROSTER_MAX_BYTES = 32 * 1024 * 1024
# Where files of institutions' lists of cards are laid, such as <short name>.csv; empty: nowhere.
ROSTER_FOLDER = environment.optional("ROSTER_FOLDER")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# A file that no backup of the database brings back: who was erased, as keyed hashes (enrollment.erasure_list).
ERASURE_LIST = environment.optional("ERASURE_LIST")

# Each web process keeps the catalog's pages for visitors in memory, within so many megabytes; 0: it does not.
PAGE_CACHE_MB = environment.positive("PAGE_CACHE_MB", default=32)

# --- Work to do outside ---
# Library systems and lists of cards often stand in the same private network; requests to it are made only when allowed.
ALLOW_PRIVATE_ADDRESSES = environment.flag("ALLOW_PRIVATE_ADDRESSES")
REDIS_URL = environment.redis_url()

# --- Mail ---
vars().update(environment.email())
EMAIL_TIMEOUT = 7
DEFAULT_FROM_EMAIL = environment.optional("DEFAULT_FROM_EMAIL", default="Leerkaart <leerkaart@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- People ---
AUTH_USER_MODEL = "libraries.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "my_place"
ACCOUNT_ADAPTER = "libraries.accounts.AccountAdapter"
ACCOUNT_USER_DISPLAY = "libraries.accounts.display_of"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]  # sign-up is closed; with a password here, staff can sign in with one
ACCOUNT_FORMS = {
    "login": "enrollment.account_forms.LoginForm",
    "reauthenticate": "enrollment.account_forms.ReauthenticateForm",
    "change_password": "enrollment.account_forms.ChangePasswordForm",
    "set_password": "enrollment.account_forms.SetPasswordForm",
    "reset_password": "enrollment.account_forms.ResetPasswordForm",
    "reset_password_from_key": "enrollment.account_forms.ResetPasswordKeyForm",
}
ACCOUNT_EMAIL_VERIFICATION = "none"  # the code itself proves the address
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = 600
ACCOUNT_LOGIN_BY_CODE_MAX_ATTEMPTS = 5
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = False  # another code is asked for on our own page, under its limits
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "front"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if HTTPS else "http"
ALLAUTH_TRUSTED_PROXY_COUNT = environment.positive("TRUSTED_PROXY_COUNT", default=0)
SOCIALACCOUNT_ADAPTER = "libraries.openid.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {"APPS": environment.identity_providers(), "OAUTH_PKCE_ENABLED": True},
}
# The portal as an OpenID Connect provider, of platforms without LTI (enrollment.views.openid); off without a key.
IDP_OIDC_ADAPTER = "enrollment.openid_provider.OIDCAdapter"
IDP_OIDC_PRIVATE_KEYS = environment.sign_on_keys()
IDP_OIDC_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN = 600
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 30 * 24 * 3600
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # an address that another site calls verified opens no account here
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "enrollment.account_forms.AuthenticateForm",
    "reauthenticate": "enrollment.account_forms.ReauthenticateCodeForm",
    "activate_totp": "enrollment.account_forms.ActivateTOTPForm",
    "add_webauthn": "enrollment.account_forms.AddPasskeyForm",
    "edit_webauthn": "enrollment.account_forms.EditPasskeyForm",
}
MFA_TOTP_ISSUER = "Leerkaart"
MFA_TOTP_TOLERANCE = 1
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS

# --- Languages and times ---
LANGUAGE_CODE = "nl"
LANGUAGES = [("nl", _("Dutch")), ("fr", _("French")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
LANGUAGE_COOKIE_NAME = "__Host-language" if HTTPS else "language"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_TZ = True
TIME_ZONE = "Europe/Brussels"

# --- Static files ---
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Safety ---
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if ALLAUTH_TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "portal.errors.csrf_failure"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Reports of errors, to whoever is named in ADMINS ---
if not DEBUG:
    DEFAULT_EXCEPTION_REPORTER = "portal.error_reports.PlaceReporter"

# --- Logs: to standard output, for whoever runs the process to keep; ids only, never names, addresses or numbers ---
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "class": "portal.error_reports.RowlessFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": environment.log_level()},
    "loggers": {"django.server": {"handlers": ["console"], "propagate": False}},
}
