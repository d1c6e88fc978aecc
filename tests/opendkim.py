"""opendkim, the filter that many mail servers verify with: what it says of the signatures of a mail."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mtas.base import UNPACKED


def program():
    """Its path; skips the test where it is not installed."""
    found = shutil.which("opendkim", path="/usr/sbin:/usr/bin") or UNPACKED / "usr/sbin/opendkim"
    if not Path(found).exists():
        pytest.skip("opendkim is missing (Debian: tests/system-packages.sh, as root, gets it)")
    return found


def verdicts(message, published, folder):
    """`pass`, `fail` and so on for each signature, with its algorithm, from the top. DNS is a file here."""
    (folder / "mail.eml").write_bytes(message)
    (folder / "records").write_text("".join(f"{name} {text}\n" for name, text in published.items()))
    (folder / "opendkim.conf").write_text(
        f"Mode v\nTestDNSData {folder / 'records'}\nSyslog no\nAlwaysAddARHeader yes\n"
    )
    command = [program(), "-x", folder / "opendkim.conf", "-vvv", "-t", folder / "mail.eml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    found = re.findall(r"dkim=(\w+)[^;]*header\.a=(\S+)", ended.stdout + ended.stderr)
    assert found or "dkim=none" in ended.stdout, ended.stdout + ended.stderr
    return [(algorithm, verdict) for verdict, algorithm in found]
