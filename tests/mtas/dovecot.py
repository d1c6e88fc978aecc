"""Dovecot, unpacked from Debian: an IMAP server that runs as nobody. Every user has the same password and a Maildir.

To one, `old`, it says that it knows neither MOVE nor UIDPLUS.
"""

import os
import pwd
import shutil
import signal
import socket
from contextlib import suppress

import pytest

from mtas import jail
from mtas.base import PASSWORD, START_SECONDS, UNPACKED, Mta, end_group

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%u
mailbox_list_index = no
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {clear}
  }}
  inet_listener imaps {{
    port = {implicit}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class Dovecot(Mta):
    name = "dovecot"
    doors = ("clear", "implicit")
    user = "nobody"

    def prepare(self):
        jail.require("usr/sbin/dovecot")
        (self.folder / "mail").mkdir()
        (self.folder / "usr").mkdir()
        certificate = shutil.copy(self.certificate, self.folder)
        values = {"folder": self.folder, "certificate": certificate, "password": PASSWORD, "user": self.user}
        values["group"] = group = "nogroup"
        (self.folder / "dovecot.conf").write_text(CONFIGURATION.format(**values, **self.ports))
        old = f"old::{self.user}:{group}::{self.folder}/mail/old::userdb_imap_capability=IMAP4rev1"
        (self.folder / "users").write_text(f"{old}\n")
        for path in (self.folder, *self.folder.iterdir()):
            shutil.chown(path, self.user, group)

    def command(self):
        """The master would ask `/usr/bin/doveconf` for its configuration, so that is started first, and starts the master."""
        mounts = {"/usr/lib/dovecot": UNPACKED / "usr/lib/dovecot", self.folder / "usr": UNPACKED / "usr"}
        ids = pwd.getpwnam(self.user)
        nobody = ["setpriv", f"--reuid={ids.pw_uid}", f"--regid={ids.pw_gid}", "--clear-groups"]
        configuration = ("-c", self.folder / "dovecot.conf")
        reading = [self.folder / "usr/bin/doveconf", *configuration, "-f", "service=master", "-m", "master", "-e"]
        return jail.command(
            self.folder, mounts, *nobody, *reading, self.folder / "usr/sbin/dovecot", "-F", *configuration
        )

    def start(self):
        """Its master listens before there is anybody to greet: a session is waited for."""
        super().start()
        for _ in range(START_SECONDS * 50):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.ports["clear"]), 1) as session:
                if session.recv(100).startswith(b"* OK"):
                    return
            self._wait(0.02)
        self.process.kill()
        pytest.fail(f"{self.name} greets nobody: {(self.folder / 'output').read_text()}")

    def end(self):
        """Killed as a whole, since its sessions outlive a master that is told to end. It can be started again: mail stays."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        end_group(self.process.pid)

    def stop(self):
        if self.process is not None:
            if self.process.returncode is None:
                self.end()
            end_group(self.process.pid)
        shutil.rmtree(self.folder)
