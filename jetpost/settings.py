"""All settings of Jetpost in one tree; docs/settings.md is written from it.

`[nats] url = "…"` in the settings file and `JETPOST_NATS_URL` in the environment name the same setting; the environment wins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from analytics.post.settings import BounceSettings
from analytics.settings import AnalyticsSettings
from analytics.web.settings import WebSettings
from events.nats_bus import BusSettings
from events.secrets import is_secret, without_password
from events.suppression import SuppressionSettings
from jetpost import readiness
from jetpost.errors import SettingsInvalid
from jetpost.logs import LogSettings
from jetpost.settings_sources import Value, build, from_environment, from_file
from jetpost.settings_tree import PREFIX, leaves, variable_of
from jetpost.settings_tree import Path as SettingPath
from producer.settings import ProducerSettings
from sender.settings import SenderSettings

FILE_VARIABLE: Final = f"{PREFIX}_CONFIG"
"""Names the settings file; without it `jetpost.toml` in the working directory is read, if there is one."""
DEFAULT_FILE: Final = Path("jetpost.toml")
_NOT_SETTINGS: Final = (FILE_VARIABLE, *readiness.VARIABLES)


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Prometheus finds each process."""

    host: str = "127.0.0.1"
    """The address to listen on; the default answers only the machine itself."""
    port: int = 0
    """The port of `/metrics`; 0: any free one, which the log and the file `run.json` of `data_dir` tell. The processes of
    `jetpost up` take this one and those after it: web, senders, producers."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set."""

    data_dir: Path = Path("jetpost-data")
    """Where the embedded servers of `jetpost up` keep their data."""
    nats: BusSettings = BusSettings()
    """The NATS servers."""
    producer: ProducerSettings = ProducerSettings()
    """Launching and rendering campaigns."""
    sender: SenderSettings = SenderSettings()
    """Delivering mails."""
    suppression: SuppressionSettings = SuppressionSettings()
    """The list of those who get no mail."""
    analytics: AnalyticsSettings = AnalyticsSettings()
    """Counting what happened."""
    bounces: BounceSettings = BounceSettings()
    """Taking bounce mail."""
    web: WebSettings = WebSettings()
    """The dashboard and the API."""
    metrics: MetricsSettings = MetricsSettings()
    """Prometheus."""
    log: LogSettings = LogSettings()
    """Logs."""

    def __repr__(self) -> str:
        """Without secrets, because tracebacks and logs show it."""
        shown = (f"{'.'.join(path)}={display(path, value)!r}" for path, value in effective_values(self))
        return f"Settings({', '.join(shown)})"


class Effective(NamedTuple):
    """Settings, and where each that is not a default came from."""

    settings: Settings
    origins: Mapping[SettingPath, str]

    def is_set(self, *path: str) -> bool:
        """Whether someone set it, as opposed to its default."""
        return path in self.origins


def load(file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Effective:
    """Read all sources. Raises `SettingsInvalid`, which names every problem at once."""
    chosen = file or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    sources: list[Callable[[], dict[SettingPath, Value]]] = [
        lambda: _from_chosen_file(chosen),
        lambda: from_environment(Settings, environment, _NOT_SETTINGS),
    ]
    values: dict[SettingPath, Value] = {}
    problems: list[str] = []
    for read in sources:
        try:
            values |= read()
        except SettingsInvalid as error:
            problems.append(str(error))
    if problems:
        raise SettingsInvalid("\n".join(problems))
    settings = cast("Settings", build(Settings, values))
    return Effective(settings, {path: value.origin for path, value in values.items()})


def _from_chosen_file(chosen: Path | None) -> dict[SettingPath, Value]:
    if chosen is None and not DEFAULT_FILE.exists():
        return {}
    return from_file(Settings, chosen or DEFAULT_FILE)


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process these settings."""
    return {variable_of(path): _text(value) for path, value in effective_values(settings)}


def effective_values(settings: Settings) -> list[tuple[SettingPath, Any]]:
    """Every setting with its value, in the order of the tree."""
    paths = [path for leaf in leaves(Settings) for path in _expand(settings, leaf.path)]
    return [(path, _lookup(settings, path)) for path in paths]


def _expand(node: object, path: SettingPath, done: SettingPath = ()) -> list[SettingPath]:
    """The paths that a leaf's path stands for: one for each name where it has a `*`."""
    if not path:
        return [done]
    if isinstance(node, Mapping):
        return [found for name in node for found in _expand(node[name], path[1:], (*done, str(name)))]
    return _expand(getattr(node, path[0]), path[1:], (*done, path[0]))


def _lookup(node: object, path: SettingPath) -> Any:  # noqa: ANN401 - settings are of many types
    for part in path:
        node = node[part] if isinstance(node, Mapping) else getattr(node, part)
    return node


def display(path: SettingPath, value: object) -> Any:  # noqa: ANN401 - a value that JSON has
    """A setting's value as it may be shown: never a secret, nor user and password within an address."""
    if is_secret(path[-1]):
        return "(set, not shown)" if value else "(not set)"
    plain = msgspec.to_builtins(value, enc_hook=str)
    return without_password(plain) if isinstance(plain, str) else plain


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list() | tuple() | dict():
            return msgspec.json.encode(value).decode()
        case None:
            return ""
        case _:
            return str(value)
