"""Keys from files and settings; whatever is wrong with one is named with its remedy."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from dkim_keys import DOMAIN, made, settings, texts
from msgspec.structs import replace

from sender.dkim import keys
from sender.errors import DkimKeyUnusable
from sender.settings import DkimKeys

_FORM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
RSA = made("rsa").pem.decode()
SMALL = rsa.generate_private_key(65_537, 1_023 + 1).private_bytes(*_FORM, serialization.NoEncryption()).decode()


def test_both_keys_of_a_domain_are_loaded_rsa_first():
    found = keys.load(DOMAIN, settings())
    assert [key.signing.algorithm for key in found] == ["rsa-sha256", "ed25519-sha256"]
    assert {key.record.name: key.record.text for key in found} == texts()


def test_a_key_may_be_a_file(tmp_path):
    file = tmp_path / "rsa.pem"
    file.write_bytes(made("rsa").pem)
    (key,) = keys.load(DOMAIN, DkimKeys(rsa_selector="s", rsa_key_file=file))
    assert key.record.name == "s._domainkey.example.com"


def test_a_key_in_the_environment_may_have_its_line_ends_escaped():
    one_line = RSA.replace("\n", "\\n")
    assert keys.load(DOMAIN, DkimKeys(rsa_selector="s", rsa_private_key=one_line))


def test_a_key_of_1024_bits_is_the_least():
    assert keys.load(DOMAIN, DkimKeys(rsa_selector="s", rsa_private_key=SMALL))


def encrypted():
    key = serialization.load_pem_private_key(RSA.encode(), None)
    return key.private_bytes(*_FORM, serialization.BestAvailableEncryption(b"x")).decode()


def elliptic():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*_FORM, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (DkimKeys(), "sender.dkim.example.com has no key"),
        (DkimKeys(rsa_selector="s"), "rsa_key_file and sender.dkim.example.com.rsa_private_key are both unset"),
        (DkimKeys(rsa_private_key=RSA), "sender.dkim.example.com.rsa_selector must be the key's name in DNS"),
        (DkimKeys(rsa_selector="a b", rsa_private_key=RSA), "not 'a b'"),
        (DkimKeys(rsa_selector="s", rsa_private_key=RSA, rsa_key_file="x"), "are both set"),
        (DkimKeys(rsa_selector="s", rsa_key_file=keys.Path("/none.pem")), "/none.pem cannot be read: No such file"),
        (DkimKeys(rsa_selector="s", rsa_private_key="hush"), "is no private key in PEM form"),
        (DkimKeys(rsa_selector="s", rsa_private_key=elliptic()), "must be a key for rsa"),
        (DkimKeys(ed25519_selector="s", ed25519_private_key=RSA), "must be a key for ed25519"),
        (DkimKeys(rsa_selector="s", rsa_private_key=encrypted()), "is encrypted"),
        (replace(settings(), ed25519_selector="test-rsa"), "both keys have the selector 'test-rsa'"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_remedy(given, said):
    with pytest.raises(DkimKeyUnusable) as caught:
        keys.load(DOMAIN, given)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_key_that_nobody_accepts_is_refused(monkeypatch):
    monkeypatch.setattr(keys, "_LEAST_RSA_BITS", 1_025)
    with pytest.raises(DkimKeyUnusable, match="has 1024 bits"):
        keys.load(DOMAIN, DkimKeys(rsa_selector="s", rsa_private_key=SMALL))


def test_a_new_key_needs_a_selector():
    with pytest.raises(DkimKeyUnusable, match="the selector must be"):
        keys.generate(DOMAIN, "-x", "ed25519")
