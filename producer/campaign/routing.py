"""Through which pools a campaign's mails go: the keys `pool` and `routes` of its file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from events.providers import PROVIDERS
from producer.campaign.problems import did_you_mean, listed
from producer.campaign.table import Table, kind_of

Routes = Mapping[str, tuple[str, ...]]
"""By mailbox provider the pools to use, the preferred one first."""

DEFAULT_POOL: Final = "default"
_is_pool_name = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?").fullmatch


def read(table: Table, known: Collection[str] | None) -> tuple[str, Routes]:
    """The campaign's pool, and its routes where these are more than that. `known`: None where pools are not known here."""
    named = _pools(table, "pool", known)
    pools = named or (_only(known),)
    if known and not table.has("pool") and pools[0] not in known:
        fact = f"The campaign names none, and there is no pool called {DEFAULT_POOL}: nobody would send its mails."
        table.problem("pool", fact, f"Name one of the pools: {listed(sorted(known))}.")
    routes = _routes(table, known)
    if len(pools) > 1:
        routes = {provider: routes.get(provider, pools) for provider in PROVIDERS}
    return pools[0], routes


def _only(known: Collection[str] | None) -> str:
    return next(iter(known)) if known and len(known) == 1 else DEFAULT_POOL


def _routes(table: Table, known: Collection[str] | None) -> dict[str, tuple[str, ...]]:
    inner = table.table("routes")
    if inner is None:
        return {}
    for name in inner.names():
        if name not in PROVIDERS:
            fix = did_you_mean(name, PROVIDERS) or f"The keys here are: {listed(PROVIDERS)}."
            inner.problem(name, "There is no such mailbox provider.", fix)
    found = {provider: _pools(inner, provider, known) for provider in PROVIDERS if inner.has(provider)}
    return {provider: pools for provider, pools in found.items() if pools}


def _pools(table: Table, key: str, known: Collection[str] | None) -> tuple[str, ...]:
    """One name or several; none where the key is absent or wrong, which has then been told."""
    value = table.raw(key)
    names = value if isinstance(value, list) else [] if value is None else [value]
    if isinstance(value, list) and not value:
        table.problem(key, "It is empty.", "Name at least one pool, or leave the key out.")
    for place, name in enumerate(names):
        if not _is_good(table, key, name, known):
            return ()
        if name in names[:place]:
            table.problem(key, f"{name!r} stands in it twice.", "Name each pool once, the preferred first.")
            return ()
    return tuple(names)


def _is_good(table: Table, key: str, name: object, known: Collection[str] | None) -> bool:
    if not isinstance(name, str):
        table.problem(key, f"It is {kind_of(name)}.", 'Write the name of a pool, or several: ["main", "backup"].')
    elif not _is_pool_name(name):
        table.problem(
            key, f"{name!r} cannot be the name of a pool.", "Use lower-case letters, digits and inner hyphens."
        )
    elif known is not None and name not in known:
        fix = did_you_mean(name, sorted(known)) or f"It is one of: {listed(sorted(known))}."
        table.problem(key, f"{name!r} is not known.", fix)
    else:
        return True
    return False
