"""Mail servers that accept everything, find out later that they cannot deliver it, and send notices to the return path.

What they accept they hand on to a server that may refuse it, at `onward`; notices go by LMTP to `back`. Recipients at other
domains than example.org fail at the server itself, each in its own way.
"""

import shutil

from mtas import jail
from mtas.exim import Exim
from mtas.opensmtpd import OpenSmtpd
from mtas.postfix import Postfix

RETURN_DOMAIN = "news.example.com"

POSTFIX = """
transport_maps = inline:{{ {{ example.org = smtp:[127.0.0.1]:{onward} }}, {{ {return_domain} = lmtp:inet:127.0.0.1:{back} }},
    {{ gone.example = error:5.1.1 User unknown }}, {{ full.example = error:5.2.2 Mailbox is full }},
    {{ busy.example = retry:4.2.1 Mailbox is busy }} }}
smtpd_reject_unlisted_recipient = no
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
"""
POSTFIX_SERVICES = "".join(f"{name} unix - - n - - {name}\n" for name in ("error", "lmtp", "smtp"))

EXIM = """
exim_path = {binary}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
primary_hostname = relay.example.test
keep_environment =
deliver_drop_privilege
host_lookup =
rfc1413_query_timeout = 0s
local_interfaces = 127.0.0.1
daemon_smtp_ports = {clear}
acl_smtp_rcpt = everybody
delay_warning = 1s

begin acl
everybody:
  accept

begin routers
back:
  driver = manualroute
  domains = {return_domain}
  transport = back
  route_list = * 127.0.0.1
  self = send
full:
  driver = accept
  domains = full.example
  transport = full
onward:
  driver = manualroute
  domains = ! gone.example
  transport = onward
  route_list = * 127.0.0.1
  self = send

begin transports
back:
  driver = smtp
  protocol = lmtp
  port = {back}
onward:
  driver = smtp
  port = {onward}
full:
  driver = appendfile
  file = {folder}/mail/full
  user = Debian-exim
  quota = 1

begin retry
given-up.example  *  F,1s,1s
full.example  *
*  *  F,1h,1s
"""

OPENSMTPD = """
bounce warn-interval 1s
mta limit conn-delay-route 0 reconn-delay-route 0
listen on 127.0.0.1 port {clear} hostname relay.example.test
action "back" relay host lmtp://127.0.0.1:{back}
action "briefly" relay host smtp://127.0.0.1:{onward} ttl 2s
action "onward" relay host smtp://127.0.0.1:{onward}
match from any for domain "{return_domain}" action "back"
match from any for domain "given-up.example" action "briefly"
match from any for any action "onward"
"""


class _Returning:
    """What has to be set before it starts."""

    doors = ("clear",)
    onward = back = 0

    def values(self):
        return {"folder": self.folder, "onward": self.onward, "back": self.back, "return_domain": RETURN_DOMAIN}


class ReturningPostfix(_Returning, Postfix):
    def prepare(self):
        super().prepare()
        self._write("conf/recipients", "")
        self._add("conf/main.cf", POSTFIX.format(**self.values()))
        self._add("conf/master.cf", f"{POSTFIX_SERVICES}retry unix - - n - - error\n")

    def _add(self, name, text):
        self._write(name, (self.folder / name).read_text() + text)


class ReturningExim(_Returning, Exim):
    def prepare(self):
        self.binary = jail.require("usr/sbin/exim4")
        for name in ("spool", "mail"):
            (self.folder / name).mkdir()
        for path in (self.folder, *self.folder.iterdir()):
            shutil.chown(path, jail.USERS["Debian-exim"])
        values = self.values() | self.ports | {"binary": self.binary}
        (self.folder / "exim.conf").write_text(EXIM.format(**values))

    def command(self):
        return [*super().command(), "-q1s"]


class ReturningOpenSmtpd(_Returning, OpenSmtpd):
    def prepare(self):
        super().prepare()
        (self.folder / "smtpd.conf").write_text(OPENSMTPD.format(**self.values(), **self.ports))
