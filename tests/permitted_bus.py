"""A bus as one component sees it that may do what `events.permissions` says, and nothing else: for tests of what happens rarely.

What each call publishes on NATS is written down here once more; `test_nats_users.py` holds it against a real server.
"""

from events import permissions, streams, subjects
from events.memory_stream import matches


class Refused(AssertionError):
    """A component needs what `events.permissions` does not give it."""


class PermittedBus:
    """Passes on to another bus what a component may do."""

    def __init__(self, bus, component: permissions.Component) -> None:
        self._bus = bus
        self._component = component

    def __getattr__(self, name):
        return getattr(self._bus, name)

    def require(self, *published: str) -> None:
        for subject in published:
            if not any(matches(allowed, subject) for allowed in self._component.publish):
                raise Refused(f"{self._component.name} may not publish to {subject}: see events/permissions.py")

    def require_to_hear(self, subject: str) -> None:
        if not any(matches(allowed, subject) for allowed in self._component.subscribe):
            raise Refused(f"{self._component.name} may not subscribe to {subject}: see events/permissions.py")

    async def publish(self, stream, messages):
        self.require(*(message.subject for message in messages), f"$JS.API.STREAM.MSG.GET.{stream}")
        return await self._bus.publish(stream, messages)

    async def append(self, stream, messages):
        self.require(*(message.subject for message in messages))
        return await self._bus.append(stream, messages)

    async def replace(self, stream, messages, sequences):
        self.require(*(message.subject for message in messages))
        return await self._bus.replace(stream, messages, sequences)

    async def delete(self, stream, sequences):
        self.require(f"$JS.API.STREAM.MSG.DELETE.{stream}")
        return await self._bus.delete(stream, sequences)

    async def create_consumer(self, spec):
        self.require(*_of_consumers(spec.stream, spec.name))
        return await self._bus.create_consumer(spec)

    async def delete_consumer(self, stream, name):
        self.require(f"$JS.API.CONSUMER.DELETE.{stream}.{name}")
        return await self._bus.delete_consumer(stream, name)

    async def consumer(self, stream, name):
        self.require(
            f"$JS.API.CONSUMER.INFO.{stream}.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
            f"$JS.ACK.{stream}.{name}.1.1.1.1.0",
        )
        return await self._bus.consumer(stream, name)

    async def consumer_state(self, stream, name):
        self.require(f"$JS.API.CONSUMER.INFO.{stream}.{name}")
        return await self._bus.consumer_state(stream, name)

    async def stream_state(self, stream):
        self.require(f"$JS.API.STREAM.INFO.{stream}")
        return await self._bus.stream_state(stream)

    async def storage(self):
        self.require("$JS.API.INFO")
        return await self._bus.storage()

    async def server_time(self):
        self.require(f"$JS.API.STREAM.INFO.{streams.stream_of_bucket(streams.THROTTLE)}")
        return await self._bus.server_time()

    async def count_by_subject(self, stream, filter_subject):
        self.require(f"$JS.API.STREAM.INFO.{stream}")
        return await self._bus.count_by_subject(stream, filter_subject)

    async def read(self, stream, filter_subject, *, from_sequence=1, follow=False):
        self.require(*_of_reading(stream), f"$JS.API.STREAM.INFO.{stream}")
        if follow:
            self.require_to_hear(filter_subject)
        async for record in self._bus.read(stream, filter_subject, from_sequence=from_sequence, follow=follow):
            yield record

    async def read_range(self, stream, first, last):
        self.require(f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.DIRECT.GET.{stream}")
        return await self._bus.read_range(stream, first, last)

    async def purge(self, stream, filter_subject, *, up_to=None):
        self.require(f"$JS.API.STREAM.PURGE.{stream}")
        return await self._bus.purge(stream, filter_subject, up_to=up_to)

    async def bucket(self, name):
        self.require(f"$JS.API.STREAM.INFO.{streams.stream_of_bucket(name)}")
        return PermittedBucket(self, name, await self._bus.bucket(name))

    async def blobs(self, store=streams.BLOBS):
        self.require(f"$JS.API.STREAM.INFO.{streams.stream_of_store(store)}")
        return PermittedBlobs(self, store, await self._bus.blobs(store))


def _of_reading(stream: str) -> list[str]:
    return [f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}"]


def _of_consumers(stream: str, name: str) -> list[str]:
    return [f"$JS.API.CONSUMER.{endpoint}.{stream}.{name}" for endpoint in ("INFO", "DELETE", "DURABLE.CREATE")]


class PermittedBucket:
    def __init__(self, bus: PermittedBus, name: str, bucket) -> None:
        self._bus = bus
        self._bucket = bucket
        self._stream = streams.stream_of_bucket(name)
        self._keys = subjects.keys_of(name)

    def _key(self, key: str) -> str:
        return self._keys.removesuffix(">") + key

    async def get(self, key):
        self._bus.require(f"$JS.API.STREAM.MSG.GET.{self._stream}")
        return await self._bucket.get(key)

    async def glance(self, key):
        self._bus.require(f"$JS.API.DIRECT.GET.{self._stream}.{self._key(key)}")
        return await self._bucket.glance(key)

    async def put(self, key, value):
        self._bus.require(self._key(key))
        return await self._bucket.put(key, value)

    async def update(self, key, value, revision):
        self._bus.require(self._key(key), f"$JS.API.STREAM.MSG.GET.{self._stream}")
        return await self._bucket.update(key, value, revision)

    async def delete(self, key):
        self._bus.require(self._key(key))
        await self._bucket.delete(key)

    async def entries(self):
        self._bus.require(*_of_reading(self._stream))
        return await self._bucket.entries()

    async def watch(self):
        self._bus.require(*_of_reading(self._stream))
        self._bus.require_to_hear(self._keys)
        async for entry in self._bucket.watch():
            yield entry


class PermittedBlobs:
    def __init__(self, bus: PermittedBus, store: str, blobs) -> None:
        self._bus = bus
        self._blobs = blobs
        self._stream = streams.stream_of_store(store)
        self._contents = [subject.replace(">", "x") for subject in subjects.contents_of(store)]

    async def put(self, name, data):
        find = f"$JS.API.STREAM.MSG.GET.{self._stream}"
        self._bus.require(find, *self._contents, f"$JS.API.STREAM.PURGE.{self._stream}")
        await self._blobs.put(name, data)

    async def get(self, name):
        self._bus.require(f"$JS.API.STREAM.MSG.GET.{self._stream}", f"$JS.API.DIRECT.GET.{self._stream}")
        return await self._blobs.get(name)

    async def delete(self, name):
        find = f"$JS.API.STREAM.MSG.GET.{self._stream}"
        self._bus.require(find, *self._contents, f"$JS.API.STREAM.PURGE.{self._stream}")
        await self._blobs.delete(name)
