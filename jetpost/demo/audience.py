"""A made-up audience: mixed mailbox providers, and a few recipients of every kind that goes wrong.

The local part's plus-tag tells the mailbox simulator how to answer (`jetpost.simulator.behaviours`). The same seed and size
give the same people.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

COLUMNS: Final = ("email", "first_name", "last_name", "city", "points", "plan", "joined")

_DOMAINS: Final = {
    "gmail.com": 38,
    "outlook.com": 12,
    "hotmail.com": 9,
    "yahoo.com": 11,
    "aol.com": 2,
    "icloud.com": 9,
    "me.com": 1,
    "example-university.edu": 5,
    "nordwind.example": 5,
    "casa-lopez.example": 4,
    "atelier-moreau.example": 4,
}
_BEHAVIOURS: Final = {
    "": 9_490,
    "greylist": 180,
    "unknown": 130,
    "full": 60,
    "throttled": 60,
    "slow": 10,
    "blocked": 25,
    "tempfail": 25,
    "drop-before": 15,
    "drop": 5,
}
"""How often of 10,000."""
_FIRST: Final = (
    "Ada", "Amélie", "Björn", "Chidi", "Chloë", "Dmitri", "Elena", "Fatima", "Grace", "Hannah", "Ingrid", "Jamal",
    "João", "Kaito", "Kwame", "Leila", "Linus", "Malin", "Mateo", "Mei", "Noor", "Olivia", "Priya", "Quentin", "Rosa",
    "Søren", "Tomás", "Uma", "Valérie", "Wei", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip
_LAST: Final = (
    "Almeida", "Bergström", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Jensen", "Kim",
    "Lovelace", "Müller", "Nakamura", "O'Brien", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka", "Usman",
    "Virtanen", "Wright", "Xu", "Yıldız", "Zhang",
)  # fmt: skip
_CITIES: Final = (
    "Amsterdam", "Bogotá", "Chicago", "Dublin", "Edinburgh", "Göteborg", "Hamburg", "Istanbul", "Kraków", "Lisboa",
    "Málaga", "Montréal", "Nairobi", "Osaka", "Portland", "Reykjavík", "Singapore", "Toulouse", "Wellington", "Zürich",
)  # fmt: skip
_PLANS: Final = ("free", "plus", "pro")


def people(recipients: int, seed: int = 1) -> Iterator[tuple[str, ...]]:
    """Rows in the order of `COLUMNS`, each with an address of its own."""
    chance = random.Random(seed)  # noqa: S311 - reproducible people, no secrets
    domains, domain_weights = list(_DOMAINS), list(_DOMAINS.values())
    tags, tag_weights = list(_BEHAVIOURS), list(_BEHAVIOURS.values())
    for number in range(recipients):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        (domain,) = chance.choices(domains, domain_weights)
        (tag,) = chance.choices(tags, tag_weights)
        plus = f"+{tag}" if tag else ""
        yield (
            f"{_ascii(first)}.{_ascii(last)}.{number}{plus}@{domain}",
            first,
            last,
            chance.choice(_CITIES),
            str(chance.randrange(0, 5_000, 10)),
            chance.choice(_PLANS),
            f"20{chance.randrange(17, 26)}-{chance.randrange(1, 13):02d}",
        )


def write(file: Path, recipients: int, seed: int = 1) -> None:
    """Write the audience as CSV."""
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(COLUMNS)
        rows.writerows(people(recipients, seed))


def _ascii(name: str) -> str:
    folded = name.lower().translate(_FOLD)
    return "".join(letter for letter in folded if "a" <= letter <= "z")


_FOLD: Final = str.maketrans("áàâäåãçéèêëíìîïñóòôöøõúùûüýÿı", "aaaaaaceeeeiiiinoooooouuuuyyi")
