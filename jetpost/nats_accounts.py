"""The accounts and users of `events.permissions` as nats-server reads them in its configuration.

Passwords are variables, which the server takes from its environment (docs.nats.io, "Configuration: Variables").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from events import permissions
from events.permissions import COMPONENTS, INSIDE, Component

SYSTEM: Final = "SYS"
"""The account for looking after the servers themselves."""
ROOM_VARIABLE: Final = "NATS_MAX_FILE"

_HEAD: Final = """\
# Accounts and users of Jetpost for nats-server: include this file in its configuration.
# From the environment of nats-server come {variables}.
# It reads their values as it reads its configuration, and takes an empty password: begin each with a letter and use letters and
# digits alone, or put it, or its bcrypt hash, in double quotes that are part of the value."""


def variable_of(user: str) -> str:
    """Holds the user's password, in the environment of nats-server."""
    return f"NATS_PASSWORD_{user.upper()}"


def document(components: Sequence[Component] = COMPONENTS) -> dict[str, Any]:
    """The same for programs, without the syntax of nats-server."""
    return {
        "users": {
            one.name: {
                "account": one.account,
                "password_variable": variable_of(one.name),
                "inbox_prefix": permissions.inbox_prefix(one.name),
                "publish": one.publish,
                "subscribe": [*one.subscribe, one.inbox],
            }
            for one in components
        },
        "exports": [
            {"account": INSIDE, "to": one.account, "services": one.publish, "streams": one.subscribe}
            for one in _outside(components)
        ],
    }


def configuration(max_file: str = "", components: Sequence[Component] = COMPONENTS) -> str:
    """A file for nats-server. `max_file`: what the store may hold, as nats-server spells it (`200G`); empty: a variable."""
    passwords = [variable_of(name) for name in (*(one.name for one in components), SYSTEM.lower())]
    variables = ", ".join(passwords if max_file else [ROOM_VARIABLE, *passwords])
    inside = [one for one in components if one.account == INSIDE]
    lines = [
        *_HEAD.format(variables=variables).splitlines(),
        f"system_account: {SYSTEM}",
        "accounts {",
        f"  {SYSTEM} {{",
        f"    users: [ {{ user: {SYSTEM.lower()}, password: ${variable_of(SYSTEM)} }} ]",
        "  }",
        f"  {INSIDE} {{",
        f"    jetstream {{ max_file: {max_file or f'${ROOM_VARIABLE}'} }}",
        *_indented(4, _list("exports", _exports(_outside(components)))),
        *_indented(4, _list("users", [line for one in inside for line in _user(one)])),
        "  }",
    ]
    for one in _outside(components):
        lines += [
            f"  {one.account} {{",
            *_indented(4, _list("imports", _imports(one))),
            *_indented(4, _list("users", _user(one))),
            "  }",
        ]
    return "\n".join([*lines, "}"]) + "\n"


def _outside(components: Iterable[Component]) -> list[Component]:
    return [one for one in components if one.account != INSIDE]


def _user(one: Component) -> list[str]:
    return [
        "{",
        f"  user: {one.name}, password: ${variable_of(one.name)}",
        "  permissions {",
        *_indented(4, _list("publish", [f'"{subject}"' for subject in one.publish])),
        *_indented(4, _list("subscribe", [f'"{subject}"' for subject in (*one.subscribe, one.inbox)])),
        "  }",
        "}",
    ]


def _exports(outside: Sequence[Component]) -> list[str]:
    """What accounts outside may ask for, and hear. Only the first answer to a request comes through, unless it says more."""
    return [
        *_shared("service", outside, lambda one: one.publish),
        *_shared("stream", outside, lambda one: one.subscribe),
    ]


def _shared(kind: str, outside: Sequence[Component], of: Callable[[Component], list[str]]) -> list[str]:
    lines = []
    for subject in sorted({subject for one in outside for subject in of(one)}):
        accounts = ", ".join(one.account for one in outside if subject in of(one))
        many = ", response_type: stream" if any(subject in one.batched for one in outside) else ""
        lines.append(f'{{ {kind}: "{subject}", accounts: [{accounts}]{many} }}')
    return lines


def _imports(one: Component) -> list[str]:
    services = [f'{{ service: {{ account: {INSIDE}, subject: "{subject}" }} }}' for subject in one.publish]
    return services + [f'{{ stream: {{ account: {INSIDE}, subject: "{subject}" }} }}' for subject in one.subscribe]


def _list(name: str, lines: Sequence[str]) -> list[str]:
    return [f"{name}: [", *_indented(2, lines), "]"]


def _indented(by: int, lines: Iterable[str]) -> list[str]:
    return [" " * by + line for line in lines]
