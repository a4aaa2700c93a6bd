"""Filters that turn variables of the inventory into values of a chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Values = dict[str, Any]


def image_values(images: Mapping[str, str], places: Mapping[str, Mapping[str, Any]]) -> Values:
    """Puts images where a chart wants them; those of parts that another chart has are left out.

    Args:
        images: Part -> registry/repository:tag.
        places: Part -> `path` of its image among the values; `registry` when the chart takes that by itself.
    """
    values: Values = {}
    for part, image in images.items():
        if part not in places:
            continue
        repository, _, tag = image.rpartition(":")
        found = {"repository": repository, "tag": tag}
        if places[part].get("registry"):
            registry, _, rest = repository.partition("/")
            found = {"registry": registry, "repository": rest, "tag": tag}
        here = values
        *way, last = places[part]["path"]
        for key in way:
            here = here.setdefault(key, {})
        here[last] = found
    return values


def values_file(path: str) -> Values:
    """Reads a file of values that a chart brings."""
    values: Values = yaml.safe_load(Path(path).read_text())
    return values


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Values]]:
        """Name in a template -> function."""
        return {"image_values": image_values, "values_file": values_file}
