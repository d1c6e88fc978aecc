"""How far a launch has come, and of what: in the bucket `progress`, so that another run can go on from there.

The optimistic lock is what keeps two runs apart: whoever takes over moves the revision, and the other one's next step fails.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from events import streams
from events.bus import Bucket, Bus, Entry
from events.errors import RevisionMismatch
from producer.campaign import compiled
from producer.campaign.check import Launchable
from producer.errors import AudienceChanged, AudienceUnreadable, CampaignChanged, LaunchedElsewhere
from producer.recipients.sql.audience import SqlAudience
from producer.splitter import End


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    """The run that has the launch in hand."""
    audience: str
    """Digest of the audience: of the file, or of the query."""
    definition: str
    """Digest of everything that decides what recipients get."""
    batch_size: int
    batch: int = 1
    """Being published; those before it are."""
    end: End | None = None
    """Where that batch ends in an audience that can be gone on with there; None: it is cut again from the beginning."""
    stage: str = ""
    """The blob that keeps the recipients of that batch until it is published (`producer.staging`)."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Checkpoint).decode


class CheckpointKeeper:
    """The checkpoint of one launch, in the hands of one run."""

    def __init__(self, bucket: Bucket, campaign: str, owner: str) -> None:
        self._bucket = bucket
        self._key = key(campaign)
        self.owner = owner
        self._revision = 0
        self.inherited = False
        """Another run had begun the launch."""

    async def read(self) -> Checkpoint | None:
        """What the last run left, if any; from here on nobody else may move it."""
        entry = await self._bucket.get(self._key)
        self._revision = entry.revision if entry else 0
        checkpoint = _checkpoint(entry)
        self.inherited |= checkpoint is not None and checkpoint.owner != self.owner
        return checkpoint

    async def write(self, checkpoint: Checkpoint) -> None:
        """Harmless to repeat. Raises `LaunchedElsewhere` where another run has taken over."""
        value = _encode(msgspec.structs.replace(checkpoint, owner=self.owner))
        try:
            self._revision = await self._bucket.update(self._key, value, self._revision)
        except RevisionMismatch as error:
            entry = await self._bucket.get(self._key)
            if entry is None or entry.value != value:
                raise LaunchedElsewhere(LaunchedElsewhere.__doc__) from error
            self._revision = entry.revision  # it was stored, and only the answer was lost


def key(campaign: str) -> str:
    return f"{campaign}/splitter"


async def of_campaign(bus: Bus, campaign: str) -> Checkpoint | None:
    bucket = await bus.bucket(streams.PROGRESS)
    return _checkpoint(await bucket.get(key(campaign)))


def _checkpoint(entry: Entry | None) -> Checkpoint | None:
    return None if entry is None or entry.deleted else _decode(entry.value)


def begin(launchable: Launchable, batch_size: int) -> Checkpoint:
    """Reads an audience file once, for its digest: about a second a gigabyte."""
    audience = launchable.audience
    return Checkpoint(
        owner="",
        audience=audience.digest if isinstance(audience, SqlAudience) else digest_of_file(audience.path),
        definition=digest_of_definition(launchable),
        batch_size=batch_size,
    )


def compare(begun: Checkpoint, now: Checkpoint) -> None:
    """Raises `AudienceChanged` or `CampaignChanged` where a launch cannot go on as it began."""
    if begun.audience != now.audience:
        raise AudienceChanged(AudienceChanged.__doc__)
    if begun.definition != now.definition:
        raise CampaignChanged(CampaignChanged.__doc__)


def digest_of_file(path: Path) -> str:
    """Raises `AudienceUnreadable`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise AudienceUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error


def digest_of_definition(launchable: Launchable) -> str:
    """Leaves out what differs from run to run: the time, and where links lead."""
    campaign = msgspec.structs.replace(launchable.campaign, created_at=0, public_url="")
    content = compiled.encode(campaign) + msgspec.msgpack.encode(launchable.projection)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
