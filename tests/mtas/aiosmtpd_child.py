"""aiosmtpd in a process of its own, so that it can be killed: keeps every message in a file."""

import asyncio
import ssl
import sys
import warnings
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

from mtas.base import LARGEST, PASSWORD, USER


class Keeper:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.number = len(list(self.folder.iterdir()))

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's names
        if "+refused" in address:
            return "550 5.7.1 Sender address rejected"
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the same
        if "+unknown" in address:
            return "550 5.1.1 User unknown"
        if "+busy" in address:
            return "450 4.2.1 Mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the same
        if b"\r\nSubject: refused\r\n" in envelope.content:
            return "550 5.7.1 Content refused"
        self.number += 1
        (self.folder / f"{self.number}").write_bytes(envelope.content)
        return "250 2.0.0 Taken"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


async def serve(folder, certificate, clear, starttls, implicit):
    keeper = Keeper(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def smtp(**more):
        return SMTP(keeper, hostname="relay.example.test", enable_SMTPUTF8=True, data_size_limit=LARGEST, **more)

    def with_auth(**more):
        warnings.simplefilter("ignore", UserWarning)  # it does not see that the listener is secure already
        return smtp(authenticator=authenticate, auth_required=True, auth_require_tls="tls_context" in more, **more)

    loop = asyncio.get_running_loop()
    await loop.create_server(smtp, "127.0.0.1", int(clear))
    await loop.create_server(lambda: with_auth(tls_context=context, require_starttls=True), "127.0.0.1", int(starttls))
    await loop.create_server(with_auth, "127.0.0.1", int(implicit), ssl=context)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
