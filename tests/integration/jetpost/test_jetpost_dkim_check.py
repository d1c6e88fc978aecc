"""`jetpost dkim check` against a DNS server on loopback."""

import asyncio

import dkim_keys
import dns_server
import msgspec
import pytest
from typer.testing import CliRunner

from jetpost import cli
from sender.dkim import keys, records

RSA, ED25519 = (dkim_keys.made(algorithm).record for algorithm in keys.ALGORITHMS)
DMARC = "_dmarc.example.com."
REVOKED = "v=DKIM1; k=rsa; p="


@pytest.fixture
def zone():
    """All is well in it; tests change it."""
    texts = {f"{record.name}.": {"TXT": [" ".join(records.strings(record.text))]} for record in (RSA, ED25519)}
    return {**texts, DMARC: {"TXT": ['"v=DMARC1; p=none; rua=mailto:dmarc@example.com"', '"something else"']}}


@pytest.fixture
async def check(tmp_path, monkeypatch, zone):
    """Runs it as a person would, beside the server; what it says."""
    monkeypatch.chdir(tmp_path)
    configured = msgspec.to_builtins(dkim_keys.settings())
    lines = [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in configured.items() if value]
    async with dns_server.serving(zone) as address:
        servers = f'[producer]\ndns_servers = ["{address}"]\n'
        (tmp_path / "jetpost.toml").write_text("\n".join(['[sender.dkim."example.com"]', *lines, servers]))

        async def run(*arguments: str, code: int = 0) -> str:
            invoke = CliRunner().invoke
            environment = {"COLUMNS": "200"}
            result = await asyncio.to_thread(invoke, cli.app, ["dkim", "check", *arguments], env=environment)
            assert result.exit_code == code, (result.output, result.exception)
            return result.output or str(result.exception)

        yield run


async def test_what_is_published_is_said_name_by_name(check):
    lines = [line.split() for line in (await check()).splitlines()]
    assert lines == [
        [RSA.name, "published"],
        [ED25519.name, "published"],
        ["_dmarc.example.com", "published:", "p=none"],
    ]


async def test_a_domain_below_is_signed_for_by_the_key_above_and_has_its_policy(check):
    told = await check("News.Example.com.")
    assert told.count("published") == 3
    assert "_dmarc.example.com " in told


async def test_whatever_is_wrong_is_said_and_ends_with_code_1(check, zone):
    del zone[f"{RSA.name}."]
    told = await check("example.com", code=1)
    assert f"{RSA.name}      missing: there is no such TXT record" in told
    assert f"{ED25519.name}  published" in told
    assert "jetpost dkim records" in told
    zone[f"{RSA.name}."] = {"TXT": [f'"{REVOKED}"']}
    assert "revoked: p= is empty" in await check(code=1)
    zone[f"{RSA.name}."] = {"TXT": [f'"{ED25519.text}"']}
    assert "differs: it is of a key for ed25519" in await check(code=1)
    zone[DMARC] = {"TXT": ['"v=spf1 -all"']}
    assert "missing: there is no DMARC record for example.com" in await check(code=1)


async def test_a_domain_without_a_key_and_a_dns_that_does_not_answer_are_one_clear_line(check, tmp_path):
    assert "sender.dkim has no key for 'example.org'; it has example.com" in await check("example.org", code=1)
    settings = (tmp_path / "jetpost.toml").read_text()
    (tmp_path / "jetpost.toml").write_text(settings.replace('"example.com"', '"refused.com"').replace("test-", "x."))
    assert "the DNS does not tell" in await check(code=1)
