"""Polaris' management API as root: make, look, grant; with time limits, and errors that say what to do."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

import httpx

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.settings import Settings, variable

Json = dict[str, Any]

SECONDS: Final = 20.0
TRIES: Final = 4  # two bootstraps at once may meet on one role: Polaris then refuses the slower for a moment
CONFLICT: Final = 409


def fetch_token(client: httpx.Client, settings: Settings, client_id: str, secret: str) -> httpx.Response:
    """Ask for an access token with client credentials, form-encoded as Polaris wants it."""
    return client.post(
        f"{settings.catalog_uri}/v1/oauth/tokens",
        data={
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": "PRINCIPAL_ROLE:ALL",
        },
    )


def http_client() -> httpx.Client:
    """A client that gives up in time, and that tries a connection again which could not be made."""
    return httpx.Client(timeout=SECONDS, transport=httpx.HTTPTransport(retries=3))


class Management:
    """The management API and the namespaces of the catalog server, as root."""

    def __init__(self, client: httpx.Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    @classmethod
    def log_in(cls, settings: Settings) -> Management:
        """Get root's token.

        Raises:
            LakeError: When the server does not answer or refuses the credentials.
        """
        client = http_client()
        where = f"{variable('catalog_uri')}={settings.catalog_uri}"
        try:
            answer = fetch_token(
                client, settings, settings.root_client_id, settings.root_client_secret.get_secret_value()
            )
        except httpx.HTTPError as error:
            client.close()
            raise LakeError(
                f"{where} does not answer: is the catalog running? ({type(error).__name__})"
            ) from error
        if answer.status_code != httpx.codes.OK:
            client.close()
            raise LakeError(
                f"{where} refused root ({answer.status_code}): check {variable('root_client_id')} and"
                f" {variable('root_client_secret')}"
            )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return cls(client, settings)

    def __enter__(self) -> Management:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def create(self, path: str, body: Json) -> bool:
        """Create an entity.

        Returns:
            True when it was made now, False when it was there.

        Raises:
            LakeError: When it could be neither made nor found there.
        """
        return self._request("POST", self._url(path), body, allowed=CONFLICT).status_code != CONFLICT

    def create_namespace(self, catalog: str, namespace: str) -> bool:
        """Create a namespace; True when it was made now, False when it was there."""
        url = f"{self._settings.catalog_uri}/v1/{catalog}/namespaces"
        body: Json = {"namespace": [namespace], "properties": {}}
        return self._request("POST", url, body, allowed=CONFLICT).status_code != CONFLICT

    def send(self, method: str, path: str, body: Json) -> None:
        """Make a change that may be made any number of times."""
        for _ in range(TRIES - 1):
            if self._request(method, self._url(path), body, allowed=CONFLICT).status_code != CONFLICT:
                return
        self._request(method, self._url(path), body)

    def get(self, path: str) -> Json:
        """An entity or a list, as the server shows it."""
        found: Json = self._request("GET", self._url(path)).json()
        return found

    def names(self, path: str) -> set[str]:
        """Names of the roles in a list."""
        return {str(role["name"]) for role in self.get(path)["roles"]}

    def accepts(self, client_id: str, secret: str) -> bool:
        """Whether these credentials get a token already."""
        try:
            return fetch_token(self._client, self._settings, client_id, secret).status_code == httpx.codes.OK
        except httpx.HTTPError as error:
            raise LakeError(
                f"{self._settings.catalog_uri}: no answer ({type(error).__name__}); run it again"
            ) from error

    def _url(self, path: str) -> str:
        return self._settings.management_uri + path

    def _request(
        self, method: str, url: str, body: Json | None = None, *, allowed: int | None = None
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise LakeError(
                f"{method} {url}: no answer ({type(error).__name__}); run it again when the catalog is up"
            ) from error
        if answer.is_success or answer.status_code == allowed:
            return answer
        raise LakeError(f"{method} {url}: {answer.status_code}: {_message(answer)}")


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
