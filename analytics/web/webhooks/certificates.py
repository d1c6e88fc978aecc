"""The certificates that Amazon SNS signs with: fetched when a message names one, then kept.

Only addresses at Amazon's SNS are asked for, only for messages of a topic that the operator named, and not often: a stranger can
write such a message, too, and must not make us busy with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from analytics.callbacks import sns
from analytics.callbacks.base import Request, Secrets
from analytics.web.webhooks.fetching import Fetch, FetchFailed

MOST_KEPT: Final = 16
FETCHES_A_MINUTE: Final = 20
FAILED_FOR_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


class CertificateMissing(Exception):
    """The certificate cannot be had at the moment, so nobody can tell who sent the message."""


class Certificates:
    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[str, str] = {}
        self._failed: dict[str, float] = {}
        self._asked: deque[float] = deque(maxlen=FETCHES_A_MINUTE)
        self._one_at_a_time = asyncio.Lock()

    async def for_request(self, request: Request, secrets: Secrets) -> Secrets:
        """The secrets with the certificate that the message names, if it may name that. Raises `CertificateMissing`."""
        message = sns.envelope(request)
        url = sns.certificate_url(message) if message.get("TopicArn") in secrets.topic_arns else None
        if url is None:
            return secrets
        return replace(secrets, certificates={url: await self._certificate(url)})

    async def _certificate(self, url: str) -> str:
        """One that is known waits for no other, and is kept before those that nobody has asked for since."""
        if url not in self._kept:
            async with self._one_at_a_time:
                if url not in self._kept:
                    self._keep(url, await self._ask(url))
        self._kept[url] = self._kept.pop(url)
        return self._kept[url]

    async def _ask(self, url: str) -> str:
        now = self._clock()
        if now - self._failed.get(url, 0.0) < FAILED_FOR_SECONDS:
            raise CertificateMissing("it could not be fetched a moment ago")
        if len(self._asked) == FETCHES_A_MINUTE and now - self._asked[0] < 60:
            raise CertificateMissing("too many were asked for")
        self._asked.append(now)
        try:
            return (await self._fetch(url)).decode("ascii", "replace")
        except FetchFailed as error:
            self._failed = {known: at for known, at in self._failed.items() if now - at < FAILED_FOR_SECONDS}
            self._failed[url] = now
            _log.warning("the certificate at %s cannot be fetched: %s", url, error)
            raise CertificateMissing(str(error)) from error

    def _keep(self, url: str, certificate: str) -> None:
        self._kept[url] = certificate
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
