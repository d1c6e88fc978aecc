"""`jetpost dkim`, and what `jetpost check` says of a campaign's From."""

import asyncio
import time
import tomllib

import pytest
from dkim_keys import dkimpy_verdicts
from msgspec.structs import replace
from typer.testing import CliRunner

from jetpost import cli, probes
from jetpost.authentication import checked_for_authentication
from jetpost.components import sender
from jetpost.process import Process
from jetpost.settings import load
from producer.campaign.check import check
from sender.dkim import records
from sender.dkim.signing import Signing
from sender.errors import DkimKeyUnusable
from sender.settings import Relay

MAIL = b"From: Ann <ann@news.example.com>\r\nTo: ada@example.org\r\nSubject: News\r\n\r\nHello.\r\n"
CAMPAIGN = """
name = "Spring"
from = "Ann <ann@{domain}>"
subject = "News"
html = "mail.html"
audience = "people.csv"
pool = "main"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments, code=0):
    result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.stdout


def failing(*arguments):
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    return str(result.exception)


@pytest.fixture
def keys(tmp_path):
    """Keys of example.com, in the settings of this directory; what `keygen` printed."""
    printed = run("dkim", "keygen", "example.com", "--selector", "s1")
    (tmp_path / "jetpost.toml").write_text(printed[printed.index("# 2.") :])
    return printed


def signed(mail=MAIL):
    signing = Signing(load().settings.sender.dkim, time.time)
    message = signing._signers["example.com"].sign(mail, time.time())
    signing.close()
    return message


def test_new_keys_sign_and_their_records_verify(keys, tmp_path):
    (tmp_path / "mail.eml").write_bytes(signed())
    assert dkimpy_verdicts(signed(), records.parse_zone(keys)) == [True, True]
    said = run("dkim", "verify", "mail.eml")
    assert said.splitlines() == [
        "rsa-sha256 by example.com, selector s1-rsa: holds",
        "ed25519-sha256 by example.com, selector s1-ed25519: holds",
        "From is of news.example.com: aligned, so that DMARC passes.",
    ]


def test_key_files_are_for_their_owner_alone(keys, tmp_path):
    files = sorted(tmp_path.glob("*.pem"))
    assert [file.name for file in files] == ["example.com.s1-ed25519.pem", "example.com.s1-rsa.pem"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_folder_that_is_not_there_is_made_for_its_owner_alone(tmp_path):
    run("dkim", "keygen", "example.com", "--ed25519", "--selector", "s2", "--directory", "etc/keys")
    folder = tmp_path / "etc" / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in folder.iterdir()] == ["example.com.s2-ed25519.pem"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "file/keys cannot be made: Not a directory" in failing(
        "dkim", "keygen", "example.com", "--directory", "file/keys"
    )


def test_what_is_configured_is_what_keygen_printed(keys):
    assert run("dkim", "records").splitlines() == keys.splitlines()[1:3]
    assert run("dkim", "records", "example.com") == run("dkim", "records")
    name, text = run("dkim", "records", "--values").splitlines()[:2]
    assert records.parse_zone(keys)[name] == text


def test_a_key_is_never_overwritten(keys):
    assert "s1-rsa.pem exists, and a key is never overwritten" in failing(
        "dkim", "keygen", "example.com", "--selector", "s1"
    )


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_one_kind_of_key_may_be_asked_for(algorithm):
    printed = run("dkim", "keygen", "example.com", f"--{algorithm}")
    assert printed.count("IN TXT") == 1
    (keys,) = tomllib.loads(printed[printed.index("[") :])["sender"]["dkim"].values()
    assert sorted(keys) == [f"{algorithm}_key_file", f"{algorithm}_selector"]


def test_a_domain_beyond_ascii_is_written_as_dns_has_it():
    assert '[sender.dkim."xn--bcher-kva.example"]' in run("dkim", "keygen", "Bücher.example", "--ed25519")


@pytest.mark.parametrize("domain", ["example", "a b.example", "-a.example", "a---b.example", ""])
def test_what_is_no_domain_gets_no_key(domain):
    assert "is no domain" in failing("dkim", "keygen", "--", domain)


def test_a_selector_must_fit_into_dns():
    assert "the selector must be the key's name in DNS" in failing("dkim", "keygen", "example.com", "--selector", "a b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["records"], "make one with `jetpost dkim keygen`"), (["records", "example.org"], "it has none")],
)
def test_without_keys_there_are_no_records(arguments, said):
    assert said in failing("dkim", *arguments)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mail: mail.replace(b"Hello", b"Hallo"), "broken: the body is not the one that was signed"),
        (lambda _: MAIL, "There is no DKIM signature in this mail."),
    ],
)
def test_a_mail_whose_signatures_do_not_hold_fails(keys, tmp_path, change, said):
    (tmp_path / "mail.eml").write_bytes(change(signed()))
    assert said in run("dkim", "verify", "mail.eml", code=1)


def test_a_mail_is_checked_against_records_in_a_file_and_alignment_is_told(keys, tmp_path):
    mail = signed(MAIL.replace(b"news.example.com", b"example.org"))
    (tmp_path / "mail.eml").write_bytes(mail.replace(b"\r\n", b"\n"))
    (tmp_path / "records").write_text(run("dkim", "records"))
    (tmp_path / "jetpost.toml").unlink()
    assert "From is of example.org: not aligned" in run("dkim", "verify", "mail.eml", "--key-record", "records")


async def test_a_sender_whose_key_cannot_be_used_ends_before_it_says_that_it_is_up(tmp_path):
    (tmp_path / "jetpost.toml").write_text('[sender.dkim."example.com"]\nrsa_selector = "s"\nrsa_key_file = "none.pem"')
    announced = []
    process = Process(load().settings, None, asyncio.Event(), lambda: announced.append(True), probes.Health())
    with pytest.raises(DkimKeyUnusable, match=r"none\.pem cannot be read"):
        await sender.run(process)
    assert announced == []


def warnings_of(tmp_path, domain, **relay):
    (tmp_path / "campaign.toml").write_text(CAMPAIGN.format(domain=domain))
    (tmp_path / "mail.html").write_text("<p>Hello</p>")
    (tmp_path / "people.csv").write_text("email\nada@example.org\n")
    found = load().settings
    settings = replace(found, sender=replace(found.sender, pools={"main": Relay(**relay)}))
    checked = check(tmp_path / "campaign.toml", ["main"], time.time())
    assert checked.problems == []
    return [str(warning) for warning in checked_for_authentication(checked, settings).warnings]


def test_a_campaign_without_a_key_is_warned_of(keys, tmp_path):
    (warning,) = warnings_of(tmp_path, "example.org")
    assert "campaign.toml:3: from: example.org has no DKIM key in sender.dkim" in warning
    assert "jetpost dkim keygen example.org" in warning


def test_a_campaign_with_a_key_or_whose_relay_signs_is_not_warned_of(keys, tmp_path):
    assert warnings_of(tmp_path, "example.com") == warnings_of(tmp_path, "news.example.com") == []
    assert warnings_of(tmp_path, "example.org", relay_signs=True) == []


@pytest.mark.parametrize("domain", ["gmail.com", "yahoo.co.uk", "icloud.com", "hotmail.fr"])
def test_a_from_at_a_mailbox_provider_is_warned_of_whoever_signs(tmp_path, domain):
    (warning,) = warnings_of(tmp_path, domain, relay_signs=True)
    assert "is the domain of a mailbox provider" in warning
    assert "DMARC will fail" in warning


def test_a_campaign_that_cannot_be_sent_is_left_to_its_problems(tmp_path):
    (tmp_path / "campaign.toml").write_text("name = 1")
    checked = check(tmp_path / "campaign.toml", ["main"], time.time())
    assert checked_for_authentication(checked, load().settings) is checked
