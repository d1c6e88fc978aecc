"""Who has no keys does not load what signs."""

import subprocess
import sys


def test_cryptography_is_loaded_only_with_the_first_key():
    program = (
        "import sys, sender.worker\n"
        "from sender.dkim.signing import Signing\n"
        "Signing({}, lambda: 0.0).close()\n"
        "print(sorted(name for name in sys.modules if name == 'cryptography'))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
