"""What can go wrong on the bus.

BusError
├── RetryLater          the same call may succeed later; nothing was lost
│   ├── BusUnavailable      no connection, or no answer in time
│   ├── StreamFull          the server refuses to store more
│   └── NotPermitted        the server does not let this user do it
├── StreamMissing       the streams are not set up, or not as this release needs them
├── RevisionMismatch    someone else changed the value first
├── ServerTooOld        the server lacks what Jetpost needs
└── EmbeddedServerFailed    our own nats-server does not start
"""


class BusError(Exception):
    """The bus could not do what was asked."""


class RetryLater(BusError):
    """The bus could not do it now. Nothing was lost: ask again."""


class BusUnavailable(RetryLater):
    """NATS does not answer. Check that the server runs and that the address and credentials are right."""


class StreamFull(RetryLater):
    """JetStream refuses to store more (storage or memory limit). Give it room; Jetpost goes on by itself."""


class NotPermitted(RetryLater):
    """NATS does not allow this user what was asked. Give it what `jetpost permissions` says; Jetpost goes on by itself."""


class StreamMissing(BusError):
    """A stream is missing or differs from what this release needs. Run `jetpost setup`."""


class RevisionMismatch(BusError):
    """The value was changed by someone else since it was read. Read it again and decide anew."""


class ServerTooOld(BusError):
    """This NATS server is too old: Jetpost needs 2.14 or newer."""


class EmbeddedServerFailed(BusError):
    """The embedded nats-server does not start or ended unexpectedly; its log says why."""


def describe(error: BaseException) -> str:
    """What an exception says, or its name where it says nothing."""
    return str(error) or type(error).__name__
