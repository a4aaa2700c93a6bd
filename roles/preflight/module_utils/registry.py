"""Asks a container registry whether it has an image, without pulling it."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request

_ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1", "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2",
    )
)  # fmt: skip
_SECONDS = 8


def missing(image: str) -> str:
    """Returns why an image cannot be pulled, as far as can be seen from here; empty when it can.

    Args:
        image: With its registry and tag.
    """
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    host = "registry-1.docker.io" if registry == "docker.io" else registry
    scheme = "http" if re.match(r"(localhost|127\.0\.0\.1)(:|$)", host) else "https"
    url = f"{scheme}://{host}/v2/{repository}/manifests/{tag}"
    try:
        status, challenge = _head(url, {})
        if status == 401 and "bearer" in challenge.lower():
            status, _ = _head(url, {"Authorization": f"Bearer {_token(challenge)}"})
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"its registry {host} cannot be reached from here ({getattr(error, 'reason', error)})"
    if status == 200:
        return ""
    return f"its registry {host} does not have it, or not for everybody (HTTP {status})"


def _head(url: str, headers: dict[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(  # noqa: S310 - http(s) by construction
        url, method="HEAD", headers={"Accept": _ACCEPT, **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("WWW-Authenticate", "")


def _token(challenge: str) -> str:
    """Fetches the token that a registry gives to anybody; the challenge says where."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        raise ValueError(f"it sends for tokens to {realm!r}")
    with urllib.request.urlopen(f"{realm}?{query}", timeout=_SECONDS) as answer:  # noqa: S310 - looked at above
        found = json.load(answer)
    return str(found.get("token") or found.get("access_token"))
