"""Polaris' settings where Quarkus finds them: the environment first, then config/application.properties."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

TOKEN_LIFETIME = "polaris.authentication.token-broker.max-token-generation"  # noqa: S105 - the name of a setting
_FILE = Path("config/application.properties")  # from /deployments, where the server is started
_DURATION = TypeAdapter(timedelta)


def setting(name: str, environment: Mapping[str, str], file: Path = _FILE) -> str | None:
    """A setting, or None where it is left to Polaris' own default.

    Args:
        name: of the property; its variable is in capitals, with `_` for all that is no letter or digit.
        environment: of the container.
        file: lines of `name=value` and comments; it need not be there.
    """
    variable = environment.get(re.sub(r"[^A-Z0-9]", "_", name.upper()))
    if variable:
        return variable
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = [line.partition("=") for line in lines if not line.lstrip().startswith("#")]
    return {key.strip(): value.strip() for key, _, value in pairs}.get(name)


def seconds(name: str, text: str) -> int:
    """Whole seconds of an ISO 8601 duration such as PT1H.

    Args:
        name: of the property, for the error.
        text: its value.

    Raises:
        ValueError: it is no such duration, or less than a second.
    """
    try:
        found = int(_DURATION.validate_strings(text).total_seconds())
    except ValidationError:
        found = 0
    if found < 1:
        raise ValueError(f"{name}={text} must be an ISO 8601 duration of at least a second, such as PT1H")
    return found
