"""Draws the values of a Secret."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PASSWORD_LENGTH = 32  # letters and digits: 190 bits; needs no quoting in a URL, a shell or SQL
KEY_BITS = 2048
KINDS = ("password", "text", "key_pair")


class SpecificationError(Exception):
    """What is wrong with the description of a Secret."""


def keys_of(secret: str, parts: Iterable[Mapping[str, Any]]) -> set[str]:
    """Returns the keys that a Secret should have.

    Raises:
        SpecificationError: naming the Secret, the part and what it lacks.
    """
    keys: list[str] = []
    for part in parts:
        kind = part.get("kind")
        needed = {"password": ["key"], "text": ["key", "text"], "key_pair": ["key", "public_key"]}.get(
            str(kind)
        )
        if needed is None:
            raise SpecificationError(f"{secret}: kind {kind!r} is none of {', '.join(KINDS)}")
        missing = [name for name in needed if not part.get(name)]
        if missing:
            raise SpecificationError(f"{secret}: a part of kind {kind} needs {' and '.join(missing)}")
        keys += [str(part["key"]), *([str(part["public_key"])] if kind == "key_pair" else [])]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise SpecificationError(f"{secret}: key {', '.join(twice)} is given twice")
    return set(keys)


def draw(parts: Iterable[Mapping[str, Any]], missing: set[str]) -> dict[str, str]:
    """Returns values for the keys that are missing; a key pair is drawn whole or not at all."""
    values: dict[str, str] = {}
    for part in parts:
        if part["kind"] == "key_pair":
            if {part["key"], part["public_key"]} & missing:
                values |= dict(zip((part["key"], part["public_key"]), key_pair(), strict=True))
        elif part["key"] in missing:
            values[part["key"]] = part["text"] if part["kind"] == "text" else password()
    return values


def password() -> str:
    """Returns random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_LENGTH))


def key_pair() -> tuple[str, str]:
    """Returns an RSA private key (PKCS#8) and its public key, both PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = serialization.Encoding.PEM
    return (
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
    )
