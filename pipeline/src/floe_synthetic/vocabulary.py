"""The words of the data: people's names by country, brands, colours and kinds of goods.

Faker is their source, but it is asked once, by `python -m floe_synthetic.vocabulary`, and its answer is
committed as vocabulary.json: Faker may reorder its lists in any release, which would change every row of
every seed, and importing it costs more time than generating a hundred thousand orders. A test holds the file
against the pinned Faker.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from floe_synthetic.columns import Column

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES: Final = (
    48  # first names and last names of each country; the smallest list (Japanese, romanized) has 49
)
BRANDS: Final = 60
COLOURS: Final = 12
FAKER_SEED: Final = 20240101


@dataclass(frozen=True)
class Country:
    """A country the shop sells to: `share` of the customers in per mille, names from Faker's `locale`."""

    name: str
    region: str
    share: int
    locale: str


COUNTRIES: Final = (
    Country("United States", "North America", 300, "en_US"),
    Country("Canada", "North America", 60, "en_CA"),
    Country("United Kingdom", "Europe", 90, "en_GB"),
    Country("Germany", "Europe", 100, "de_DE"),
    Country("France", "Europe", 70, "fr_FR"),
    Country("Spain", "Europe", 40, "es_ES"),
    Country("Italy", "Europe", 40, "it_IT"),
    Country("Netherlands", "Europe", 30, "nl_NL"),
    Country("Poland", "Europe", 20, "pl_PL"),
    Country("Japan", "Asia Pacific", 50, "ja_JP"),
    Country("Australia", "Asia Pacific", 40, "en_AU"),
    Country("India", "Asia Pacific", 50, "en_IN"),
    Country("Brazil", "Latin America", 70, "pt_BR"),
    Country("Mexico", "Latin America", 40, "es_MX"),
)
REGIONS: Final = tuple(dict.fromkeys(country.region for country in COUNTRIES))

# Kinds of goods by category; Faker has none. Each category has NOUNS of them.
NOUNS: Final = 10
GOODS: Final[dict[str, str]] = {
    "Electronics": "Headphones|Keyboard|Monitor|Speaker|Webcam|Tablet|Smartwatch|Camera|Router|Charger",
    "Home": "Desk Lamp|Kettle|Armchair|Blanket|Saucepan|Bookshelf|Mirror|Rug|Coffee Maker|Toaster",
    "Fashion": "Jacket|Sneakers|Backpack|Scarf|Jeans|Dress|Sweater|Boots|Belt|Shirt",
    "Beauty": "Face Cream|Perfume|Shampoo|Hair Dryer|Soap Set|Lipstick|Serum|Hand Balm|Razor|Brush Set",
    "Sports": "Yoga Mat|Tent|Bicycle Helmet|Dumbbells|Racket|Running Vest|Water Bottle|Skis|Ball|Rope",
    "Books": "Cookbook|Atlas|Notebook|Travel Guide|Novel|Sketchbook|Dictionary|Planner|Songbook|Field Guide",
    "Toys": "Puzzle|Building Set|Board Game|Plush Bear|Train Set|Kite|Doll|Card Game|Marble Run|Robot",
}
CATEGORIES: Final = tuple(GOODS)

_LATIN: Final = str.maketrans({"ł": "l", "ß": "ss", "ø": "o", "æ": "ae", "đ": "d"})


@dataclass(frozen=True)
class Vocabulary:
    """Words as Arrow arrays; names lie country after country, goods category after category."""

    first_names: Column
    last_names: Column
    first_slugs: Column  # the same names as they look in an e-mail address
    last_slugs: Column
    brands: Column
    colours: Column
    goods: Column


def slug(name: str) -> str:
    """A name as it looks in an e-mail address: "Łucja de Müller" -> "lucjademuller"."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LATIN))
    return "".join(letter for letter in plain if "a" <= letter <= "z")


@cache
def load() -> Vocabulary:
    """The committed vocabulary, read once a process."""
    words = json.loads(files(__package__).joinpath("vocabulary.json").read_text(encoding="utf-8"))
    names = [words["names"][country.locale] for country in COUNTRIES]
    first = [name for one in names for name in one["first"]]
    last = [name for one in names for name in one["last"]]
    return Vocabulary(
        first_names=pa.array(first),
        last_names=pa.array(last),
        first_slugs=pa.array([slug(name) for name in first]),
        last_slugs=pa.array([slug(name) for name in last]),
        brands=pa.array(words["brands"]),
        colours=pa.array(words["colours"]),
        goods=pa.array([noun for nouns in GOODS.values() for noun in nouns.split("|")]),
    )


def ask_faker() -> dict[str, Any]:
    """The vocabulary as the installed Faker gives it, in the form of vocabulary.json."""
    from faker import Faker  # noqa: PLC0415 - only the maker of the file pays for Faker's import

    names = {}
    for place, country in enumerate(COUNTRIES):
        fake = Faker(country.locale)
        fake.seed_instance(FAKER_SEED + place)
        # Faker's Japanese names are written in kanji; these are the same in Latin letters.
        first = fake.first_romanized_name if country.locale == "ja_JP" else fake.first_name
        last = fake.last_romanized_name if country.locale == "ja_JP" else fake.last_name
        names[country.locale] = {"first": _distinct(first, NAMES), "last": _distinct(last, NAMES)}
    fake = Faker("en_US")
    fake.seed_instance(FAKER_SEED)
    brands = _distinct(fake.last_name, BRANDS)
    colours = _distinct(fake.safe_color_name, COLOURS)
    return {"names": names, "brands": brands, "colours": colours}


def _distinct(draw: Callable[[], str], count: int) -> list[str]:
    """The first `count` different words that `draw` gives.

    Raises:
        ValueError: when 10,000 draws hold fewer.
    """
    found: dict[str, None] = {}
    for _ in range(10_000):
        found.setdefault(draw())
        if len(found) == count:
            return list(found)
    raise ValueError(f"{draw} knows {len(found)} words; {count} are needed")


def main() -> None:
    """Write vocabulary.json beside this file."""
    text = json.dumps(ask_faker(), ensure_ascii=False, indent=1)
    Path(__file__).with_name("vocabulary.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
