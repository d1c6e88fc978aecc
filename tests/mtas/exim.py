"""Exim, unpacked from Debian's exim4-daemon-light: its own spool, one Maildir for every recipient."""

import shutil

from mtas import jail
from mtas.base import LARGEST, PASSWORD, USER, Mta

MAIN = """
exim_path = {binary}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
log_selector = +pipelining
primary_hostname = relay.example.test
keep_environment =
deliver_drop_privilege
host_lookup =
rfc1413_query_timeout = 0s
local_interfaces = 127.0.0.1
daemon_smtp_ports = {ports}
tls_on_connect_ports = {implicit}
tls_certificate = {certificate}
tls_advertise_hosts = ${{if eq{{$received_port}}{{{starttls}}}{{*}}{{}}}}
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
chunking_advertise_hosts = ${{if eq{{$received_port}}{{{without_chunking}}}{{}}{{*}}}}
pipelining_connect_advertise_hosts =
pipelining_advertise_hosts = ${{if eq{{$received_port}}{{{without_pipelining}}}{{}}{{*}}}}
smtputf8_advertise_hosts = *
message_size_limit = {largest}
smtp_accept_queue_per_connection = 0
smtp_accept_max = 100
smtp_accept_max_per_connection = ${{if eq{{$received_port}}{{{limited}}}{{7}}{{1000}}}}
acl_smtp_mail = sender
acl_smtp_rcpt = recipient
acl_smtp_data = content

begin acl
sender:
  deny condition = ${{if match{{$sender_address_local_part}}{{\\N\\+refused$\\N}}}}
       message = 550 5.7.1 Sender address rejected
  accept
recipient:
  deny local_parts = *+unknown
       message = 550 5.1.1 User unknown
  defer local_parts = *+busy
       message = 450 4.2.1 Mailbox busy
  deny condition = ${{if or{{ {{eq{{$received_port}}{{{starttls}}}}} {{eq{{$received_port}}{{{implicit}}}}} }}}}
       !authenticated = *
       message = 530 5.7.0 Authentication required
  accept

content:
  deny condition = ${{if eq{{$h_subject:}}{{refused}}}}
       message = 550 5.7.1 Content refused
  accept

begin routers
all:
  driver = accept
  transport = keep

begin transports
keep:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  create_directory
  user = Debian-exim
  return_path_add
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{ {{eq{{$auth2}}{{{user}}}}} {{eq{{$auth3}}{{{password}}}}} }}}}
  server_set_id = $auth2
crammd5:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
"""


class Exim(Mta):
    name = "exim"
    taken = b"OK id="
    doors = ("clear", "without chunking", "without pipelining", "starttls", "implicit", "limited")

    def prepare(self):
        self.binary = jail.require("usr/sbin/exim4")
        for name in ("spool", "mail"):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, jail.USERS["Debian-exim"], jail.USERS["Debian-exim"])
        certificate = shutil.copy(self.certificate, self.folder)
        for path in (self.folder, certificate):
            shutil.chown(path, jail.USERS["Debian-exim"])
        doors = {door.replace(" ", "_"): port for door, port in self.ports.items()}
        values = {"folder": self.folder, "binary": self.binary, "certificate": certificate, "largest": LARGEST}
        values |= {"user": USER, "password": PASSWORD, "ports": " : ".join(map(str, doors.values()))}
        (self.folder / "exim.conf").write_text(MAIN.format(**values, **doors))

    def command(self):
        return jail.command(
            self.folder, {}, self.binary, "-C", self.folder / "exim.conf", "-bdf", "-oP", self.folder / "pid"
        )

    def queued(self):
        return any((self.folder / "spool" / "input").rglob("*-H"))
