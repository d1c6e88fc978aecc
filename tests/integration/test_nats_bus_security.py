"""The bus over TLS and with a password, as on an external server."""

import json

import pytest
import trustme

from events.bus import Message
from events.errors import BusUnavailable
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer


class SecureServer(NatsServer):
    """A server that asks for TLS and a password."""

    def _config(self):
        folder = self.store_dir
        tls = {"cert_file": str(folder / "server.pem"), "key_file": str(folder / "server.key")}
        config = json.loads(super()._config()) | {"tls": tls}
        config["accounts"]["jetpost"]["users"] = [{"user": "jetpost", "password": "correct"}]
        del config["no_auth_user"]
        return json.dumps(config)


@pytest.fixture
async def secure(tmp_path):
    """Settings with which a secure server is reached."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "server.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    async with SecureServer(tmp_path) as server:
        address = server.url.replace("nats://", "tls://")
        yield BusSettings(url=address, user="jetpost", password="correct", ca_file=str(tmp_path / "ca.pem"))


async def test_work_goes_over_tls_with_a_password(secure):
    bus = await NatsBus.connect(secure, name="test")
    await bus.setup()
    stored = await bus.publish("EVENTS", [Message("events.a.b", bytes(50_000), str(n)) for n in range(200)])
    consumer = await bus.consumer("EVENTS", "ingester")
    deliveries = await consumer.fetch(50, 5)
    await consumer.ack(deliveries)
    await bus.close()
    assert len(stored) == 200
    assert 0 < len(deliveries) <= 50


async def test_a_wrong_password_is_refused_and_not_shown(secure):
    wrong = BusSettings(url=secure.url, user="jetpost", password="guessed", ca_file=secure.ca_file)
    with pytest.raises(BusUnavailable, match="cannot connect to NATS at tls://") as failure:
        await NatsBus.connect(wrong, name="test")
    assert "guessed" not in str(failure.value)


async def test_a_certificate_of_an_unknown_authority_is_refused(secure, monkeypatch):
    monkeypatch.setattr("events.nats_wire.OPEN_TIMEOUT_SECONDS", 2)
    with pytest.raises(BusUnavailable, match="certificate verify failed"):
        await NatsBus.connect(BusSettings(url=secure.url, user="jetpost", password="correct"), name="test")
