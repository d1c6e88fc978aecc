"""The bus over TLS, with a password or a certificate of its own, as on an external server."""

import json

import pytest
import trustme
from msgspec.structs import replace

from events.bus import Message
from events.errors import BusError, BusUnavailable, NotPermitted
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

AGENT = "ada@jetpost.example"


class SecureServer(NatsServer):
    """A server that asks for TLS and a password, or takes certificates for users."""

    def __init__(self, folder, *, by_certificate=False):
        super().__init__(folder)
        self._by_certificate = by_certificate

    def _config(self):
        folder = self.store_dir
        tls = {"cert_file": str(folder / "server.pem"), "key_file": str(folder / "server.key")}
        users = [{"user": "jetpost", "password": "correct"}]
        if self._by_certificate:
            tls |= {"ca_file": str(folder / "ca.pem"), "verify_and_map": True}
            inbox = {"publish": [">"], "subscribe": ["_INBOX_ada.>"]}
            users = [{"user": AGENT, "permissions": inbox}]
        config = json.loads(super()._config()) | {"tls": tls}
        config["accounts"]["jetpost"]["users"] = users
        del config["no_auth_user"]
        return json.dumps(config)


@pytest.fixture
def authority(tmp_path):
    """Who signs certificates; the folder has one of the server and one of a client."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, issued in {"server": authority.issue_cert("127.0.0.1"), "client": authority.issue_cert(AGENT)}.items():
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    return authority


@pytest.fixture
async def secure(tmp_path, authority):
    """Settings with which a server that asks for a password is reached."""
    async with SecureServer(tmp_path) as server:
        address = server.url.replace("nats://", "tls://")
        yield BusSettings(url=address, user="jetpost", password="correct", ca_file=str(tmp_path / "ca.pem"))


@pytest.fixture
async def certified(tmp_path, authority):
    """Settings with which a server that asks for a certificate is reached."""
    async with SecureServer(tmp_path, by_certificate=True) as server:
        yield BusSettings(
            url=server.url.replace("nats://", "tls://"),
            inbox_prefix="_INBOX_ada",
            ca_file=str(tmp_path / "ca.pem"),
            cert_file=str(tmp_path / "client.pem"),
            key_file=str(tmp_path / "client.key"),
        )


async def work(settings):
    """What a worker does, with messages of some size."""
    bus = await NatsBus.connect(settings, name="test")
    await bus.setup()
    stored = await bus.publish("EVENTS", [Message("events.unsubscribed.b", bytes(50_000), str(n)) for n in range(200)])
    consumer = await bus.consumer("EVENTS", "wishes")
    deliveries = await consumer.fetch(50, 5)
    await consumer.ack(deliveries)
    await bus.close()
    assert len(stored) == 200
    assert 0 < len(deliveries) <= 50


async def test_work_goes_over_tls_with_a_password(secure):
    await work(secure)


async def test_a_wrong_password_is_refused_and_not_shown(secure):
    wrong = replace(secure, password="guessed")
    with pytest.raises(BusUnavailable, match="cannot connect to NATS at tls://") as failure:
        await NatsBus.connect(wrong, name="test")
    assert "guessed" not in str(failure.value)


async def test_a_certificate_of_an_unknown_authority_is_refused(secure, monkeypatch):
    monkeypatch.setattr("events.nats_wire.OPEN_TIMEOUT_SECONDS", 2)
    with pytest.raises(BusUnavailable, match="certificate verify failed"):
        await NatsBus.connect(replace(secure, ca_file=""), name="test")


async def test_a_certificate_of_our_own_says_who_we_are(certified):
    await work(certified)


async def test_a_user_whose_inbox_is_not_permitted_hears_so_at_once(certified):
    with pytest.raises(NotPermitted, match=r"names no user, to subscribe to _INBOX\..*check nats.user"):
        await NatsBus.connect(replace(certified, inbox_prefix=""), name="test")


async def test_whoever_has_no_certificate_is_refused(certified, monkeypatch):
    monkeypatch.setattr("events.nats_wire.OPEN_TIMEOUT_SECONDS", 2)
    with pytest.raises(BusUnavailable, match="cannot connect"):
        await NatsBus.connect(replace(certified, cert_file="", key_file=""), name="test")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ca_file": "/nowhere.pem"}, "nats.ca_file: /nowhere.pem: .*No such file"),
        ({"cert_file": "/nowhere.pem"}, "nats.cert_file and nats.key_file: /nowhere.pem, .*No such file"),
        ({"key_file": ""}, "nats.cert_file and nats.key_file: .*, not set: "),
        ({"inbox_prefix": "a b"}, "'a b' cannot begin the subjects of answers"),
        ({"inbox_prefix": "a.>"}, "set nats.inbox_prefix"),
    ],
    ids=["authorities", "certificate", "key", "space", "wildcard"],
)
async def test_a_setting_that_cannot_be_used_is_named(tmp_path, authority, wrong, said):
    good = BusSettings(
        ca_file=str(tmp_path / "ca.pem"),
        cert_file=str(tmp_path / "client.pem"),
        key_file=str(tmp_path / "client.key"),
    )
    with pytest.raises(BusError, match=said):
        await NatsBus.connect(replace(good, **wrong), name="test")
