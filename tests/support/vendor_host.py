"""The vendor's host name on this machine: TLS under a certificate of a test's own authority, in front of a gateway.

Only bytes pass; whoever connects must have been told to trust the authority and that the name means loopback.
"""

import asyncio
import base64
import datetime
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "api.openai.com"
PIECE_BYTES = 65_536
Key = ec.EllipticCurvePrivateKey


class VendorHost(NamedTuple):
    """port: on loopback. authority: PEM file. fingerprint: base64 of the SHA-256 of the server's public key."""

    port: int
    authority: Path
    fingerprint: str


@contextmanager
def running(directory: Path, upstream_port: int) -> Iterator[VendorHost]:
    """In a thread of its own. directory: for the authority's file."""
    context, authority, fingerprint = _certify(directory)
    ready = threading.Event()
    said: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(
            lambda reader, writer: _pass(reader, writer, upstream_port), "127.0.0.1", 0, ssl=context
        )
        said.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over))
        ready.set()
        async with server:
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="vendor-host", daemon=True)
    thread.start()
    assert ready.wait(10), "the vendor's host didn't start"
    port, loop, over = said[0]
    try:
        yield VendorHost(port, authority, fingerprint)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, upstream), _copy(upstream_reader, writer))
    except OSError:
        pass  # either side is gone: so is the other
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def _certify(directory: Path) -> tuple[ssl.SSLContext, Path, str]:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _name("Trunkline tests")
    authority = _builder(authority_name, authority_name, authority_key)
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    signed = authority.sign(authority_key, hashes.SHA256())
    server = _builder(_name(NAME), authority_name, key)
    server = server.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    certificate = server.sign(authority_key, hashes.SHA256())
    public, private = directory / "authority.pem", directory / "server.pem"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(private)
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return context, public, base64.b64encode(hashlib.sha256(spki).digest()).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
