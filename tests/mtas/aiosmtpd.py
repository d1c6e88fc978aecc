"""aiosmtpd, from PyPI: what many people test with. It knows no PIPELINING and no CHUNKING."""

import sys
from pathlib import Path

from mtas.base import DiesWhole


class Aiosmtpd(DiesWhole):
    name = "aiosmtpd"
    taken = b"Taken"
    doors = ("clear", "starttls", "implicit")
    line_end = b"\r\n"
    longest_line = 999

    def prepare(self):
        (self.folder / "mail").mkdir()

    def command(self):
        arguments = [self.folder / "mail", self.certificate, *(self.ports[door] for door in self.doors)]
        tests = Path(__file__).parents[1]
        return ["env", f"PYTHONPATH={tests}", sys.executable, "-m", "mtas.aiosmtpd_child", *map(str, arguments)]

    def files(self):
        return list((self.folder / "mail").iterdir())

    def serving(self):
        return [self.process.pid]
