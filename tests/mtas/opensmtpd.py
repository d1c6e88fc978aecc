"""OpenSMTPD, unpacked from Debian: what it accepts stays in its queue, because its next relay is never there.

It knows no PIPELINING and no CHUNKING. Only in the clear, and so without AUTH: the package of Debian 12 fails every TLS
handshake, because OpenSSL 3 does not ask its key process ("rsa routines::missing private key").
"""

from mtas import jail
from mtas.base import LARGEST, DiesWhole, command_line

CONFIGURATION = """
filter "unknown" phase rcpt-to match rcpt-to regex "\\+unknown@" reject "550 5.1.1 User unknown"
filter "busy" phase rcpt-to match rcpt-to regex "\\+busy@" reject "450 4.2.1 Mailbox busy"
filter "refused" phase mail-from match mail-from regex "\\+refused@" reject "550 5.7.1 Sender address rejected"
filter "all" chain {{ "unknown", "busy", "refused" }}
smtp max-message-size {largest}
listen on 127.0.0.1 port {clear} hostname relay.example.test filter "all"
action "keep" relay host smtp://127.0.0.1:1
match from any for any action "keep"
"""


class OpenSmtpd(DiesWhole):
    name = "opensmtpd"
    taken = b"Message accepted"
    doors = ("clear",)
    smtputf8 = False
    content = None

    def prepare(self):
        self.binary = jail.require("usr/sbin/smtpd")
        for name, mode in (("spool", 0o711), ("empty", 0o755)):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(mode)
        values = {"largest": LARGEST} | self.ports
        (self.folder / "smtpd.conf").write_text(CONFIGURATION.format(**values))

    def command(self):
        mounts = {
            "/run": None,
            "/var/spool": None,
            "/var/spool/smtpd": self.folder / "spool",
            "/var/lib": None,
            "/var/lib/opensmtpd/empty": self.folder / "empty",
        }
        return jail.command(self.folder, mounts, self.binary, "-d", "-f", self.folder / "smtpd.conf")

    def files(self):
        return list((self.folder / "spool" / "queue").rglob("message"))

    def serving(self):
        return [pid for pid in super().serving() if "pony" in command_line(pid)]
