"""Where a shop's history stands: all that the generator has to know of the batches before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

_COUNTS: Final = ("customers", "products", "orders", "order_items")


@dataclass(frozen=True)
class GeneratorState:
    """How many rows of each table exist (ids are 1 to that), and up to which moment (UTC).

    Raises:
        ValueError: when a count is not a whole number >= 0, or `until` has no time zone.
    """

    customers: int
    products: int
    orders: int
    order_items: int
    until: datetime

    def __post_init__(self) -> None:
        for name in _COUNTS:
            require_count(f"state.{name}", getattr(self, name))
        object.__setattr__(self, "until", in_utc("state.until", self.until))

    def to_json(self) -> dict[str, int | str]:
        """The state as a JSON object; `until` in ISO 8601 with microseconds."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return counts | {"until": self.until.isoformat(timespec="microseconds")}

    @classmethod
    def from_json(cls, values: Mapping[str, int | str]) -> Self:
        """The state that `to_json` wrote.

        Raises:
            ValueError: naming the field that is missing, unknown or of the wrong kind.
        """
        if set(values) != {*_COUNTS, "until"}:
            raise ValueError(f"state: has {sorted(values)}; it must have {sorted([*_COUNTS, 'until'])}")
        try:
            until = datetime.fromisoformat(str(values["until"]))
        except ValueError as error:
            raise ValueError(f"state.until: {values['until']!r} is not an ISO 8601 time") from error
        counts = {name: require_count(f"state.{name}", values[name]) for name in _COUNTS}
        return cls(**counts, until=until)


def in_utc(name: str, moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: when it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{name}: {moment.isoformat()} has no time zone; give it one, e.g. UTC")
    return moment.astimezone(UTC)


def require_count(name: str, value: object) -> int:
    """The value, if it is a whole number that fits 63 bits.

    Raises:
        ValueError: when it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{name}: {value!r}; it must be a whole number from 0 to 2**63 - 1")
    return value
