"""Who is calling and what they may do: client credentials, signed tokens, privilege checks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from floe_catalog.database import Database
from floe_catalog.errors import ForbiddenError, NotAuthorizedError, OAuthError
from floe_catalog.principals import (
    SERVICE_ADMIN,
    Access,
    load_access,
    principal_and_roles,
    verify_credentials,
)
from floe_catalog.privileges import SERVICE_MANAGE_ACCESS, missing
from floe_catalog.store import CatalogRow, NamespaceRow, TableRow

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 (names of the protocol)
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
ROLE_PREFIX = "PRINCIPAL_ROLE:"
ROLE_ALL = "PRINCIPAL_ROLE:ALL"
_ISSUER = "polaris"
_HEADER = {"alg": "HS256", "typ": "JWT"}

Securable = CatalogRow | NamespaceRow | TableRow
_KIND = {CatalogRow: "catalog", NamespaceRow: "namespace", TableRow: "table"}


@dataclass(frozen=True)
class Caller:
    """An authenticated principal with the roles its token activates."""

    name: str
    roles: frozenset[str]


class Authorizer:
    """A caller's rights in one catalog (or, without one, in the service)."""

    def __init__(self, caller: Caller, access: Access | None = None) -> None:
        self._caller = caller
        self._access = access or Access(frozenset(), frozenset())

    @classmethod
    def load(cls, db: sa.Connection, caller: Caller, catalog: CatalogRow) -> Authorizer:
        """Read the caller's grants in a catalog."""
        return cls(caller, load_access(db, catalog, caller.roles))

    def may(self, operation: str, path: Iterable[Securable] = ()) -> bool:
        """Whether grants on the path (catalog, then namespaces, then table) allow the operation."""
        securables = {(_KIND[type(securable)], securable.id) for securable in path}
        held = {
            grant.privilege
            for grant in self._access.grants
            if (grant.securable, grant.securable_id) in securables
        }
        if SERVICE_ADMIN in self._caller.roles:
            held.add(SERVICE_MANAGE_ACCESS)
        return not missing(operation, frozenset(held))

    def require(self, operation: str, path: Iterable[Securable] = ()) -> None:
        """Raise ForbiddenError, worded as Polaris does, unless the operation is allowed."""
        if not self.may(operation, path):
            activated = self._caller.roles | self._access.catalog_roles
            message = (
                f"Principal '{self._caller.name}' with activated PrincipalRoles "
                f"'[{', '.join(sorted(self._caller.roles))}]' and activated grants via "
                f"'[{', '.join(sorted(activated))}]' is not authorized for op {operation}"
            )
            raise ForbiddenError(message)


class Tokens:
    """Issues and verifies HMAC-SHA256 JSON web tokens."""

    def __init__(self, signing_key: str, seconds: int) -> None:
        self._key = signing_key.encode()
        self._seconds = seconds

    def issue(self, *, principal_id: int, name: str, client_id: str, scope: str) -> dict[str, object]:
        """The OAuth2 response with a new token."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": name,
            "iat": now,
            "exp": now + self._seconds,
            "jti": str(uuid.uuid4()),
            "active": True,
            "client_id": client_id,
            "principalId": principal_id,
            "scope": scope,
        }
        signed = f"{_encode(_HEADER)}.{_encode(claims)}"
        return {
            "access_token": f"{signed}.{self._signature(signed)}",
            "token_type": "bearer",
            "issued_token_type": ACCESS_TOKEN,
            "expires_in": self._seconds,
        }

    def verify(self, token: str) -> dict[str, object]:
        """The claims of a token that this server signed and that has not expired.

        Raises:
            NotAuthorizedError: Forged, malformed or expired.
        """
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            raise NotAuthorizedError("Failed to verify the token")
        header, _, payload = signed.partition(".")
        if _decode(header) != _HEADER:
            raise NotAuthorizedError("Failed to verify the token")
        claims = _decode(payload)
        expires = claims.get("exp")
        if claims.get("iss") != _ISSUER or not isinstance(expires, int) or expires <= time.time():
            raise NotAuthorizedError("Failed to verify the token: it has expired")
        return claims

    def _signature(self, signed: str) -> str:
        digest = hmac.new(self._key, signed.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Authenticator:
    """The OAuth2 token endpoint and the check of bearer tokens."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens

    def token(self, form: Mapping[str, str], authorization: str | None) -> dict[str, object]:
        """Answer a token request (form fields, Authorization header).

        Raises:
            OAuthError: As Polaris refuses: 401 for wrong credentials, 400 for anything else wrong.
        """
        grant_type = form.get("grant_type", "")
        if grant_type not in ("client_credentials", TOKEN_EXCHANGE):
            raise OAuthError(400, "unsupported_grant_type", f"grant_type {grant_type!r} is not supported")
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if secret is None and authorization is not None and authorization.startswith("Basic "):
            client_id, secret = _basic_credentials(authorization)
        if secret is not None:
            return self._from_credentials(client_id or "", secret, form.get("scope", ""))
        if grant_type == TOKEN_EXCHANGE and authorization is not None:
            return self._from_token(form)
        raise OAuthError(400, "invalid_client", "client_id and client_secret are needed")

    def _from_credentials(self, client_id: str, secret: str, scope: str) -> dict[str, object]:
        if not client_id or not secret:
            raise OAuthError(400, "invalid_client", "client_id and client_secret are needed")
        _check_scope(scope)
        with self._database.read() as db:
            principal = verify_credentials(db, client_id, secret)
        if principal is None:
            raise OAuthError(401, "unauthorized_client", "The client is not authorized")
        return self._tokens.issue(
            principal_id=principal.id, name=principal.name, client_id=client_id, scope=scope
        )

    def _from_token(self, form: Mapping[str, str]) -> dict[str, object]:
        if form.get("subject_token_type") != ACCESS_TOKEN or not form.get("subject_token"):
            raise OAuthError(400, "invalid_request", f"subject_token of type {ACCESS_TOKEN} is needed")
        try:
            claims = self._tokens.verify(form["subject_token"])
        except NotAuthorizedError as error:
            raise OAuthError(400, "invalid_client", error.message) from error
        held = str(claims["scope"])
        scope = form.get("scope", held)
        roles = _check_scope(scope)
        if ROLE_ALL not in held.split() and not roles <= set(held.split()):
            raise OAuthError(400, "invalid_scope", f"scope {scope!r} is wider than the token's {held!r}")
        principal_id = int(str(claims["principalId"]))
        with self._database.read() as db:
            if principal_and_roles(db, principal_id) is None:
                raise OAuthError(401, "unauthorized_client", "The client is not authorized")
        return self._tokens.issue(
            principal_id=principal_id,
            name=str(claims["sub"]),
            client_id=str(claims["client_id"]),
            scope=scope,
        )

    def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind an Authorization header.

        Raises:
            NotAuthorizedError: No valid token, principal gone, or a role it asks for not assigned.
        """
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise NotAuthorizedError("Unable to authenticate: a bearer token is needed")
        claims = self._tokens.verify(token.strip())
        with self._database.read() as db:
            found = principal_and_roles(db, int(str(claims["principalId"])))
        if found is None:
            raise NotAuthorizedError("Unable to authenticate")
        name, assigned = found
        asked = str(claims["scope"]).split()
        if ROLE_ALL in asked:
            return Caller(name, assigned)
        roles = frozenset(scope.removeprefix(ROLE_PREFIX) for scope in asked)
        if not roles <= assigned:
            raise NotAuthorizedError("Unable to authenticate")
        return Caller(name, roles)


def _check_scope(scope: str) -> set[str]:
    scopes = set(scope.split())
    if not scopes or any(not s.startswith(ROLE_PREFIX) or s == ROLE_PREFIX for s in scopes):
        expected = f"expected {ROLE_ALL} or {ROLE_PREFIX}<role>"
        raise OAuthError(400, "invalid_scope", f"scope {scope!r} is invalid: {expected}")
    return scopes


def _basic_credentials(authorization: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthError(400, "invalid_request", "Authorization header is not valid Basic") from error
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise OAuthError(400, "invalid_request", "Authorization header is not valid Basic")
    return client_id, secret


def _encode(part: Mapping[str, object]) -> str:
    packed = json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _decode(part: str) -> dict[str, object]:
    try:
        decoded = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError) as error:
        raise NotAuthorizedError("Failed to verify the token") from error
    if not isinstance(decoded, dict):
        raise NotAuthorizedError("Failed to verify the token")
    return decoded
