"""Private keys, from files or settings, and new ones; with `verification.py` the only importer of `cryptography`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from sender.dkim import records
from sender.dkim.signature import SigningKey
from sender.errors import DkimKeyUnusable
from sender.settings import DkimKeys

Algorithm: TypeAlias = Literal["rsa", "ed25519"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)
"""RSA first: a verifier that looks at one signature only shall see the one that all of them know."""
RSA_BITS: Final = 2_048
"""What RFC 8301 §3.2 recommends. A longer key costs five times as much, and not every DNS provider takes its record."""
_LEAST_RSA_BITS: Final = 1_024
"""RFC 8301 §3.2: verifiers take nothing less."""

_PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey
_is_selector = re.compile(
    r"(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*"
).fullmatch


class Key(NamedTuple):
    """A key that is in use: what signs, and what DNS must say."""

    algorithm: Algorithm
    signing: SigningKey
    record: records.Record


class NewKey(NamedTuple):
    pem: bytes
    """PKCS #8, unencrypted."""
    record: records.Record


def load(domain: str, settings: DkimKeys) -> list[Key]:
    """The keys of a domain, parsed and tried. Raises `DkimKeyUnusable`, which names setting and remedy."""
    found = [
        _load_one(domain, algorithm, str(selector), file, str(text))
        for algorithm in ALGORITHMS
        for selector, file, text in [_settings_of(settings, algorithm)]
        if selector or file or text
    ]
    if not found:
        raise DkimKeyUnusable(
            f"sender.dkim.{domain} has no key: set rsa_selector and rsa_key_file, or the same of ed25519;"
            f" `jetpost dkim keygen {domain}` makes both"
        )
    if len({key.signing.selector for key in found}) < len(found):
        raise DkimKeyUnusable(
            f"sender.dkim.{domain}: both keys have the selector {found[0].signing.selector!r}, and a selector is the place of one"
            " key in DNS; give them one each"
        )
    return found


def _settings_of(settings: DkimKeys, algorithm: Algorithm) -> tuple[str, Path | None, str]:
    if algorithm == "rsa":
        return settings.rsa_selector, settings.rsa_key_file, settings.rsa_private_key
    return settings.ed25519_selector, settings.ed25519_key_file, settings.ed25519_private_key


def _load_one(domain: str, algorithm: Algorithm, selector: str, file: Path | None, text: str) -> Key:
    where = f"sender.dkim.{domain}.{algorithm}"
    require_selector(f"{where}_selector", selector)
    if bool(file) == bool(text):
        raise DkimKeyUnusable(
            f"{where}_key_file and {where}_private_key are {'both set: unset one' if file else 'both unset: set one'}"
        )
    data = _read(f"{where}_key_file", file) if file else text.replace("\\n", "\n").encode()
    key = _parse(f"{where}_key_file ({file})" if file else f"{where}_private_key", algorithm, data)
    return Key(algorithm, _signing(key, selector), _record(domain, selector, key))


def require_selector(where: str, selector: str) -> None:
    """Raises `DkimKeyUnusable` for what is no selector (RFC 6376 §3.1)."""
    if not _is_selector(selector):
        raise DkimKeyUnusable(f"{where} must be the key's name in DNS: letters, digits and hyphens, not {selector!r}")


def _read(where: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DkimKeyUnusable(f"{where}: {file} cannot be read: {error.strerror}") from error


def _parse(where: str, algorithm: Algorithm, pem: bytes) -> _PrivateKey:
    wanted = RSAPrivateKey if algorithm == "rsa" else Ed25519PrivateKey
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise DkimKeyUnusable(f"{where} is encrypted; store it decrypted, readable by the sender alone") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DkimKeyUnusable(f"{where} is no private key in PEM form (-----BEGIN PRIVATE KEY-----)") from error
    if not isinstance(key, wanted):
        raise DkimKeyUnusable(f"{where} must be a key for {algorithm}; it is another kind of key")
    if isinstance(key, RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        raise DkimKeyUnusable(
            f"{where} has {key.key_size} bits; verifiers take no RSA key under {_LEAST_RSA_BITS} (RFC 8301). Make a new one"
        )
    return key


def _signing(key: _PrivateKey, selector: str) -> SigningKey:
    """Ed25519 signs the digest as its message (RFC 8463 §3)."""
    if isinstance(key, Ed25519PrivateKey):
        return SigningKey("ed25519-sha256", selector, key.sign)
    return SigningKey("rsa-sha256", selector, _rsa(key))


def _rsa(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    sign, form, digest = key.sign, padding.PKCS1v15(), Prehashed(hashes.SHA256())
    return lambda hashed: sign(hashed, form, digest)


def _record(domain: str, selector: str, key: _PrivateKey) -> records.Record:
    """RFC 6376 §3.6.1: RSA's public key as SubjectPublicKeyInfo; RFC 8463 §4: Ed25519's 32 bytes as they are."""
    if isinstance(key, Ed25519PrivateKey):
        return records.of_key(domain, selector, "ed25519", key.public_key().public_bytes_raw())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return records.of_key(domain, selector, "rsa", public)


def generate(domain: str, selector: str, algorithm: Algorithm) -> NewKey:
    """A new key. RSA takes a tenth of a second or more."""
    require_selector("the selector", selector)
    key: _PrivateKey = generate_private_key(65_537, RSA_BITS) if algorithm == "rsa" else Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return NewKey(pem, _record(domain, selector, key))
