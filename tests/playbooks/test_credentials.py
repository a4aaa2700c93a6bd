"""Secrets are drawn whole, and principals are tried for what they may and may not."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from .conftest import CHECKOUT

ALLOWED = {"pipeline": ("bronze", "gold"), "cube": ("gold",)}


def test_each_drawn_anew(secret_values: ModuleType) -> None:
    parts = [
        {"kind": "password", "key": "a"},
        {"kind": "password", "key": "b"},
        {"kind": "text", "key": "u", "text": "root"},
    ]
    first, second = (secret_values.draw(parts, {"a", "b", "u"}) for _ in range(2))
    assert first["u"] == second["u"] == "root"
    drawn = {first["a"], first["b"], second["a"], second["b"]}
    assert len(drawn) == 4
    assert all(len(value) == 32 and value.isalnum() for value in drawn)


def test_only_what_is_missing(secret_values: ModuleType) -> None:
    parts = [{"kind": "password", "key": "a"}, {"kind": "password", "key": "b"}]
    assert secret_values.draw(parts, {"b"}).keys() == {"b"}


def test_a_key_pair_fits(secret_values: ModuleType) -> None:
    parts = [{"kind": "key_pair", "key": "private.pem", "public_key": "public.pem"}]
    pair = secret_values.draw(parts, {"public.pem"})  # half a pair is no use
    private = serialization.load_pem_private_key(pair["private.pem"].encode(), None)
    public: Any = serialization.load_pem_public_key(pair["public.pem"].encode())
    assert pair["private.pem"].startswith("-----BEGIN PRIVATE KEY-----")
    signature = private.sign(b"token", padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr,call-arg]
    public.verify(signature, b"token", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([{"kind": "pasword", "key": "a"}], "floe-x: kind 'pasword' is none of password, text, key_pair"),
        ([{"kind": "text", "key": "a"}], "floe-x: a part of kind text needs text"),
        ([{"kind": "password"}], "floe-x: a part of kind password needs key"),
        (
            [{"kind": "password", "key": "a"}, {"kind": "text", "key": "a", "text": "b"}],
            "floe-x: key a is given twice",
        ),
    ],
)
def test_wrong_descriptions(secret_values: ModuleType, parts: list[dict[str, str]], says: str) -> None:
    with pytest.raises(secret_values.SpecificationError, match=says):
        secret_values.keys_of("floe-x", parts)


def test_every_secret_of_the_role_is_described_well(secret_values: ModuleType) -> None:
    secrets = yaml.safe_load((CHECKOUT / "roles/credentials/vars/main.yml").read_text())[
        "_credentials_secrets"
    ]
    assert {name: secret_values.keys_of(name, parts) for name, parts in secrets.items()}["floe-cube"] == {
        "api-secret", "sql-user", "sql-password"
    }  # fmt: skip


class Catalog:
    """Answers as Polaris does."""

    def __init__(self, allowed: dict[str, tuple[str, ...]], secret: str = "s") -> None:
        self.allowed, self.secret = allowed, secret

    def __call__(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            client_id = body.split("client_id=")[1].split("&")[0]
            ok = f"client_secret={self.secret}" in body and "scope=PRINCIPAL_ROLE%3AALL" in body
            return (200, {"access_token": client_id}) if ok else (401, {})
        who = headers["Authorization"].removeprefix("Bearer ")
        return (200 if path.split("/")[-2] in self.allowed[who] else 403), {}


def try_them(catalog_access: ModuleType, catalog: Catalog) -> list[str]:
    known = {"one": ("pipeline", "s"), "two": ("cube", "s")}
    seen: list[str] = catalog_access.try_principals(
        catalog, "floe", known, {"one": ["bronze", "gold"], "two": ["gold"]}
    )
    return seen


def test_principals_as_they_should_be(catalog_access: ModuleType) -> None:
    seen = try_them(catalog_access, Catalog(ALLOWED))
    assert len(seen) == 4
    assert "cube lists tables of bronze: 403" in seen


def test_a_reader_that_sees_too_much(catalog_access: ModuleType) -> None:
    with pytest.raises(catalog_access.AccessError, match="cube lists tables of bronze: 200 instead of 403"):
        try_them(catalog_access, Catalog(ALLOWED | {"cube": ("bronze", "gold")}))


def test_credentials_that_are_not_known(catalog_access: ModuleType) -> None:
    with pytest.raises(
        catalog_access.AccessError, match=r"pipeline gets no token \(401\).*Secret one; cube gets no token"
    ):
        try_them(catalog_access, Catalog(ALLOWED, secret="other"))
