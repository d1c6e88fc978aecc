"""Postfix, installed from Debian without a configuration: its own spool, one Maildir for every recipient."""

import os
import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from mtas.base import LARGEST, PASSWORD, UNPACKED, USER, Mta, command_line

MAIN = """
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = {folder}/spool
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example.test
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
default_transport = virtual
virtual_mailbox_base = {folder}
virtual_mailbox_maps = static:mail/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
message_size_limit = {largest}
in_flow_delay = 0
service_throttle_time = 1s
header_checks = regexp:{folder}/conf/headers
smtpd_error_sleep_time = 0
smtpd_forbid_unauth_pipelining = yes
smtpd_forbid_bare_newline = yes
smtpd_recipient_restrictions =
    check_recipient_access regexp:{folder}/conf/recipients, check_sender_access regexp:{folder}/conf/senders,
    permit_mynetworks, permit_sasl_authenticated, reject
smtpd_relay_restrictions =
smtpd_tls_chain_files = {certificate}
smtpd_sasl_local_domain = example.test
smtpd_sasl_security_options = noanonymous
maillog_file = {folder}/log
maillog_file_prefixes = /tmp
"""
SECURE = "-o mynetworks=192.0.2.0/24 -o smtpd_sasl_auth_enable=yes"
OPTIONS = {
    "clear": "",
    "without chunking": "-o smtpd_discard_ehlo_keywords=chunking",
    "without pipelining": "-o smtpd_discard_ehlo_keywords=pipelining",
    "starttls": f"-o smtpd_tls_security_level=encrypt -o smtpd_tls_auth_only=yes {SECURE}",
    "implicit": f"-o smtpd_tls_wrappermode=yes {SECURE}",
    "without size": "-o smtpd_discard_ehlo_keywords=size",
    "limited": "-o smtpd_hard_error_limit=5",
}
DEATHS = 12
"""After a session was killed, Postfix leaves that port alone for a while: each has one of its own."""
SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
"""
SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN LOGIN CRAM-MD5
sasldb_path: {folder}/conf/sasl/users
"""


class Postfix(Mta):
    name = "postfix"
    taken = b"queued as"
    refused = (554, "5.7.1")
    deaths = 0
    doors = (*OPTIONS, *(f"for death {number}" for number in range(DEATHS)))

    def prepare(self):
        if shutil.which("postfix") is None or os.getuid() != 0:
            pytest.skip("Postfix is not installed (Debian: apt-get install postfix), or not ours to start (needs root)")
        for name in ("conf", "spool", "data", "conf/sasl"):
            (self.folder / name).mkdir()
        (self.folder / "mail").mkdir()
        shutil.chown(self.folder / "mail", 65534, 65534)
        shutil.chown(self.folder / "data", "postfix")
        services = [
            f"127.0.0.1:{self.ports[door]} inet n - n - - smtpd {OPTIONS.get(door, '')}\n" for door in self.doors
        ]
        values = {"folder": self.folder, "certificate": self.certificate, "largest": LARGEST}
        self._write("conf/main.cf", MAIN.format(**values))
        self._write("conf/master.cf", "".join(services) + SERVICES)
        self._write("conf/recipients", "/\\+unknown@/ 550 5.1.1 User unknown\n/\\+busy@/ 450 4.2.1 Mailbox busy\n")
        self._write("conf/headers", "/^Subject: refused/ REJECT\n")
        self._write("conf/senders", "/\\+refused@/ REJECT\n")
        self._write("conf/sasl/smtpd.conf", SASL.format(folder=self.folder))
        self._add_user()

    def _write(self, name, text):
        (self.folder / name).write_text(text)

    def _add_user(self):
        program = shutil.which("saslpasswd2") or UNPACKED / "usr/sbin/saslpasswd2"
        if not Path(program).exists():
            pytest.skip(f"{program} is missing: run tests/system-packages.sh as root, with a network")
        users = self.folder / "conf" / "sasl" / "users"
        argv = [program, "-p", "-c", "-f", users, "-u", "example.test", USER]
        subprocess.run(argv, input=PASSWORD.encode(), check=True, capture_output=True)
        shutil.chown(users, "postfix")

    def command(self):
        return ["postfix", "-c", str(self.folder / "conf"), "start-fg"]

    def queued(self):
        folders = (self.folder / "spool" / name for name in ("incoming", "active", "deferred"))
        return any(path.is_file() for path in chain.from_iterable(folder.rglob("*") for folder in folders))

    def main_pid(self):
        return int((self.folder / "spool" / "pid" / "master.pid").read_text())

    def door_to_die_at(self):
        self.deaths += 1
        return f"for death {self.deaths - 1}"

    def serving(self):
        return [pid for pid in super().serving() if command_line(pid).startswith("smtpd ")]
