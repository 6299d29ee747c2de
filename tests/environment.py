"""What the tests and the type checker put in place of a deployment's environment."""

import os

TEST_ENVIRONMENT = {
    "SECRET_KEY": "not-a-secret-only-for-tests-0123456789-0123456789-0123456789",
    "DEBUG": "off",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "SITE_URL": "http://testserver",
    "EMAIL_URL": "memorymail://",
    "DEFAULT_FROM_EMAIL": "Leerkaart <leerkaart@library.test>",
    # The servers that tests ask stand on this machine.
    "ALLOW_PRIVATE_ADDRESSES": "on",
    # What a test has just changed is seen at once; tests of the cache switch it on.
    "PAGE_CACHE_MB": "0",
    # Tests that erase name one of their own.
    "ERASURE_LIST": "/nonexistent/erasures",
    "SANDBOX": "on",
    "SANDBOX_MAIL": "/nonexistent/mail",
    "SANDBOX_PLATFORM_URL": "http://127.0.0.1:9",
    "SANDBOX_PLATFORM_TOKEN": "not-a-secret-only-for-tests",
    "SANDBOX_LIBRARY_PORT": "9",
    "SANDBOX_LIBRARY_FAULT": "/nonexistent/fault",
    "SANDBOX_LIBRARY_PASSWORD": "not-a-secret-only-for-tests",
    # Playwright leaves an event loop running in the tests' thread; Django must not take it for an async view.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}


def use_test_environment() -> None:
    """Settings of the machine give way: a test may not depend on where it runs. Given servers stay."""
    os.environ.update(TEST_ENVIRONMENT)
