"""Tokens and sealed values: what is made of a value with the key, and how it is had back.

A token is the same each time within a call, and says nothing without the key; two calls' tokens of one value can't be
told to be alike. A sealed value opens only as the one of its call and token.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trunkline.agents.sensitive import Kind
from trunkline.proto.errors import BadSettings

VARIABLE = "TRUNKLINE_VAULT_KEY"
KEY_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D
TOKEN_CHARACTERS = 8  # of base 32, the last a digit: 37 bits, for the few values of one call
_LAST = "234567"


def key_of(setting: str) -> bytes:
    """Raises BadSettings."""
    try:
        key = base64.b64decode(setting.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadSettings(VARIABLE, "is no key" if setting else "is not set", "32 random bytes in base64")
    return key


class Seal:
    """key: of KEY_BYTES. For tokens and for values a key of its own is derived from it."""

    def __init__(self, key: bytes) -> None:
        self._names = hmac.digest(key, b"trunkline token", hashlib.sha256)
        self._values = AESGCM(hmac.digest(key, b"trunkline value", hashlib.sha256))

    def token(self, call: str, kind: Kind, value: str) -> str:
        digest = hmac.digest(self._names, f"{call}\0{kind}\0{value}".encode(), hashlib.sha256)
        letters = base64.b32encode(digest[:5]).decode().lower()[: TOKEN_CHARACTERS - 1]
        return f"{kind}_{letters}{_LAST[digest[5] % len(_LAST)]}"

    def close(self, call: str, token: str, value: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._values.encrypt(nonce, value.encode(), _bound_to(call, token))

    def open(self, call: str, token: str, sealed: bytes) -> str | None:
        """None for what was sealed with another key, for another call or token, or changed since."""
        try:
            nonce, data = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._values.decrypt(nonce, data, _bound_to(call, token)).decode()
        except (InvalidTag, ValueError):
            return None


def _bound_to(call: str, token: str) -> bytes:
    return f"{call}\0{token}".encode()
