"""What a catalog server promises of OAuth2 tokens."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import httpx
import pytest

from catalog_contract import assert_error


class TestTokens:
    def test_client_credentials_as_a_form(self, server: Any) -> None:
        client_id, secret = server.root
        answer = server.request_token(
            client_id=client_id, client_secret=secret, scope="PRINCIPAL_ROLE:ALL"
        ).json()
        assert answer["token_type"].lower() == "bearer"
        assert answer["expires_in"] > 0

    def test_client_credentials_in_a_basic_header(self, server: Any) -> None:
        form = {"grant_type": "client_credentials", "scope": "PRINCIPAL_ROLE:ALL"}
        answer = httpx.post(f"{server.uri}/v1/oauth/tokens", data=form, auth=server.root)
        assert answer.status_code == 200
        assert answer.json()["access_token"]

    @pytest.mark.parametrize("client_id", ["", "nobody"], ids=["wrong secret", "unknown client"])
    def test_wrong_credentials(self, server: Any, client_id: str) -> None:
        answer = server.request_token(
            client_id=client_id or server.root[0], client_secret="wrong", scope="PRINCIPAL_ROLE:ALL"
        )
        assert answer.status_code == 401
        assert answer.json()["error"] == "unauthorized_client"

    def test_json_body_is_refused(self, server: Any) -> None:
        client_id, secret = server.root
        body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        answer = httpx.post(f"{server.uri}/v1/oauth/tokens", json=body)
        assert answer.status_code in (400, 415)

    @pytest.mark.parametrize("scope", ["catalog", "", "PRINCIPAL_ROLE:", "PRINCIPAL_ROLE:ALL catalog"])
    def test_unknown_scope_is_refused(self, server: Any, scope: str) -> None:
        client_id, secret = server.root
        answer = server.request_token(client_id=client_id, client_secret=secret, scope=scope)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_scope"

    def test_unknown_grant_type_is_refused(self, server: Any) -> None:
        answer = server.request_token(grant_type="password", client_id="a", client_secret="b")
        assert answer.status_code == 400
        assert answer.json()["error"] == "unsupported_grant_type"

    def test_no_token_and_forged_tokens(self, server: Any) -> None:
        url = f"{server.uri}/v1/config?warehouse=x"
        assert httpx.get(url).status_code == 401
        header, payload, signature = server.token(server.root).split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["exp"] + 9}).encode()).decode()
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        for token in (
            f"{header}.{forged.rstrip('=')}.{signature}",
            f"{unsigned}.{payload}.",
            f"{header}.{payload}",
            "nonsense",
        ):
            answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, token

    def test_scope_narrows_to_the_named_role(self, lake: Any, namespace: str) -> None:
        name = lake.add_principal({"type": "catalog", "privilege": "NAMESPACE_LIST"})
        creator = f"{name}_creator"
        lake.add_role(name, creator, {"type": "catalog", "privilege": "NAMESPACE_CREATE"})
        url, body = lake.path("namespaces"), {"namespace": [f"n{secrets.token_hex(4)}"]}
        assert_error(
            lake.client(name, f"PRINCIPAL_ROLE:{name}_role").post(url, json=body), 403, "ForbiddenException"
        )
        assert lake.client(name, f"PRINCIPAL_ROLE:{creator}").post(url, json=body).status_code == 200

    def test_scope_of_a_role_not_assigned(self, lake: Any) -> None:
        client = lake.client("writer", "PRINCIPAL_ROLE:service_admin")
        assert client.get(lake.path("namespaces")).status_code == 401

    def test_token_exchange_keeps_the_principal(self, lake: Any) -> None:
        token = lake.server.token(lake.credentials["writer"])
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "PRINCIPAL_ROLE:ALL",
        }
        bearer = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(f"{lake.server.uri}/v1/oauth/tokens", data=form, headers=bearer)
        assert answer.status_code == 200, answer.text
        renewed = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert httpx.get(lake.path("namespaces"), headers=renewed).status_code == 200
