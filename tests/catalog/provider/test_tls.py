"""Over TLS, where the certificate counts and a drip is a drip all the same."""

import ipaddress
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog.provider.client import Connection
from catalog.provider.errors import Unreachable
from catalog.provider.exchange import Exchange, new_session
from tests.catalog.provider.odd_server import odd_server, saying


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    hidden = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "certificate.pem"
    file.write_bytes(hidden + signed.public_bytes(encoding))
    return file


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def exchange_with(base_url: str, trusted: Path | None) -> Exchange:
    session = new_session()
    session.verify = str(trusted) if trusted else True
    return Exchange(Connection(base_url, "t", 0.5, 0.5, 0.5), session)


def test_trusted_server_is_spoken_to(tls: ssl.SSLContext, certificate: Path) -> None:
    with odd_server(saying("200 OK", b"{}"), tls) as odd:
        assert exchange_with(odd.base_url, certificate).send("GET", "/Users").document() == {}


def test_unknown_certificate_means_nothing_was_sent(tls: ssl.SSLContext) -> None:
    with odd_server(saying("200 OK"), tls) as odd, pytest.raises(Unreachable) as unreachable:
        exchange_with(odd.base_url, None).send("POST", "/Users", body=b"{}")
    assert (unreachable.value.code, odd.requests) == ("bad_certificate", [])


def test_dripping_server_is_left_at_the_deadline(tls: ssl.SSLContext, certificate: Path) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(40):
            time.sleep(0.05)
            connection.sendall(b"H")

    began = time.monotonic()
    with odd_server(drip, tls) as odd, pytest.raises(Unreachable) as unreachable:
        exchange_with(odd.base_url, certificate).send("GET", "/Users")
    assert unreachable.value.code == "timeout"
    assert time.monotonic() - began < 1.8  # the server drips for two seconds
