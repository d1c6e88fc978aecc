"""The table of reply rules: what words and codes mean, and who says so. Read from top to bottom, the first match decides.

Order matters: what the words say about rate and about the sender goes before what they say about the recipient, words go
before codes, and enhanced codes before bare ones, because that is how often each is wrong.

Sources: [RFC 3463], [RFC 5321], [RFC 7372] and the IANA registry of enhanced status codes for codes;
[Gmail] https://support.google.com/a/answer/3726730 · [Yahoo] https://senders.yahooinc.com/smtp-error-codes/ ·
[Microsoft] https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online and
https://sendersupport.olc.protection.outlook.com/pm/troubleshooting.aspx · [Apple] https://support.apple.com/102322 ·
[Postfix] the texts of smtpd(8) · [Sendmail] the texts of its `err.c` and `srvrsmtp.c` · [Cisco] SMTP replies of its gateways.
"""

from __future__ import annotations

import re
from typing import Final

from sender.drivers.base import FailureClass, Reply


class Rule:
    """Matches where every condition that is given holds."""

    def __init__(  # noqa: PLR0913 - one argument per column of the table
        self,
        failure_class: FailureClass,
        reason: str,
        source: str,
        *,
        words: str = "",
        enhanced: str = "",
        code: str = "",
        providers: tuple[str, ...] = (),
    ) -> None:
        self.failure_class = failure_class
        self.reason = reason
        self.source = source
        self._words = re.compile(words, re.IGNORECASE) if words else None
        self._enhanced = re.compile(enhanced) if enhanced else None
        self._code = re.compile(code) if code else None
        self._providers = providers

    def matches(self, reply: Reply, provider: str) -> bool:
        return (
            (self._code is None or self._code.fullmatch(str(reply.code)) is not None)
            and (self._enhanced is None or self._enhanced.fullmatch(reply.enhanced) is not None)
            and (not self._providers or provider in self._providers)
            and (self._words is None or self._words.search(reply.text) is not None)
        )


_ADDRESSEE: Final = (
    r"(?:user|recipient|mailbox|account|addressee|destinataire|e?-?mail (?:account|address)|local[ -]?part)"
)
_MICROSOFT: Final = ("microsoft", "outlook", "outlook.com", "hotmail", "exchange-online")

_HARD_WORDS: Final = "|".join(
    (
        rf"\b(?:unknown|no such|non-?existent) {_ADDRESSEE}",
        rf"{_ADDRESSEE} (?:is )?(?:unknown|not found|not known|does(?: not|n't) exist|no longer (?:exists|on server|valid))",
        rf"{_ADDRESSEE}\b[^.;]{{0,80}}\b(?:not found|does(?: not|n't) exist|could not be found)",
        rf"\binvalid (?:recipient|mailbox|destinataire)|{_ADDRESSEE} invalide?\b",
        r"\bhost unknown\b|no such (?:recipient )?(?:host|domain) .{0,40}\brecipient|find the recipient domain",
    )
)

RULES: Final = (
    # a temporary state of the server, whatever else it says
    Rule("transient", "server_busy", "Gmail", code="4..", words=r"temporary (?:system|authentication|server) (?:problem|error|failure)"),
    Rule("transient", "server_error", "RFC 3463 §3.4", code="4..", enhanced=r"4\.3\.[0135]"),
    # too fast
    Rule("throttled", "recipient_rate", "Gmail 4.2.1, 5.2.1", words=r"receiving e?mail (?:too quickly|at a rate)"),
    Rule("throttled", "rate", "Gmail, Microsoft 4.7.650", words=r"\brate[- ]?limit"),
    Rule("throttled", "rate", "Gmail 4.7.28", code="4..", words=r"unusual rate"),
    Rule("block", "abuse_rate", "Gmail 5.7.28", code="5..", words=r"unusual rate"),
    Rule("throttled", "connections", "RFC 5321 §3.8", words=r"too many (?:concurrent |simultaneous )?(?:connections|sessions)|connection rate"),
    Rule("throttled", "volume", "Yahoo TSS04, Apple", code="4..", words=r"(?:excessive|unexpected|high|unusual) volume"),
    Rule("throttled", "rate", "IANA X.7.28, Postfix anvil(8)", code="4..", words=r"too (?:many (?:messages|mails?|emails?)|fast|frequent|quickly)|slow down|throttl"),
    Rule("throttled", "rate", "IANA X.7.28", enhanced=r"4\.7\.28"),
    Rule("throttled", "too_many_recipients", "RFC 3463 §3.6, X.5.3", words=r"too many recipients"),
    Rule("throttled", "sending_quota", "Microsoft 5.2.2", words=r"submission quota|peak smtp relay limit|(?:hourly|daily) (?:sending )?(?:limit|quota) (?:is )?exceeded"),
    Rule("throttled", "server_busy", "Microsoft 4.7.500", code="4..", enhanced=r"4\.7\.5\d\d"),
    # the mailbox is there and takes nothing now
    Rule("soft", "mailbox_full", "RFC 3463 §3.3, X.2.2", words=r"(?:mailbox|inbox|quota|storage|account) (?:is |has )?(?:full|over ?quota|exceeded|out of)|over ?quota|out of storage|mailbox ?full|quota ?exceeded|no storage|boite pleine|exceeded (?:its|the|their)?\s?(?:storage|mailbox|disk) ?(?:quota|limit)?"),
    # what we are, or what we sent
    Rule("block", "authentication", "RFC 4954 §6", code="530|534|535|538|570"),
    Rule("block", "authentication", "RFC 4954 §6", code="5..", words=r"\bauthenti(?:cation|fication) (?:is )?(?:requi|fail|credentials)|unauthenticated|not authenticated|starttls"),
    Rule("block", "dmarc_spf_dkim", "RFC 7372, RFC 7489 §10.3", code="5..", words=r"\bdmarc\b|\bdkim\b|\bspf\b|sender policy framework|\balign"),
    Rule("block", "reverse_dns", "RFC 7372, X.7.25", code="5..", words=r"reverse dns|\brdns\b|\bptr\b"),
    Rule("block", "listed", "Postfix reject_rbl_client", code="5..", words=r"spamhaus|\b(?:dns)?[dr]?[bw]l\b|dnsbl|spamcop|barracuda|cloudmark|block ?list|black ?list|listed (?:in|on|at|by)\b|listing in"),
    Rule("block", "reputation", "Gmail, Yahoo, Microsoft", code="5..", words=r"reputation|poor score|banned|scor(?:e|ing)"),
    Rule("block", "spam", "Gmail 5.7.1", code="5..", words=r"\bspam|unsolicited|\bube\b|\bbulk\b|junk|phish|virus|malware|suspicious|too many invalid recipients"),
    Rule("block", "content", "RFC 3463 §3.7", code="5..", words=r"(?:content|header|encoded-word|malformed|rfc ?5?[38]22)\b.{0,40}(?:reject|error|block|not permitted|compliant|not accepted)|header error|malformed|not (?:rfc|accepted for)|security (?:issue|polic)"),
    Rule("block", "sender_refused", "RFC 3463 §3.2, Sendmail, Postfix", code="5..", words=r"\bsender\b|\bfrom:? (?:header|domain|address)|from: |mail from|envelope-from|return.path|invalid ip for sending|mismatches client"),
    Rule("block", "client_refused", "Postfix check_client_access", code="5..", words=r"client host|\b(?:ip|client|server|connections?)\b.{0,60}(?:reject|refus|block|denied|not (?:be )?accept|not allowed|not authori[sz]ed|bloqu)|(?:reject|refus|block|denied|bloqu).{0,60}\b(?:ip|client)\b"),
    Rule("block", "relay", "RFC 5321 §3.6.2, Postfix reject_unauth_destination", code="5..", words=r"\brelay|smtp server of your isp"),
    # the address or its domain does not exist
    Rule("hard", "unknown_recipient", "Microsoft 5.1.10", code="5..", words=r"RESOLVER\.(?:RST|ADR)\.(?:Recip|Ex)NotFound"),
    Rule("hard", "unknown_recipient", "Microsoft: directory-based edge blocking", code="550", enhanced=r"5\.4\.1", words=r"recipient address rejected: access denied"),
    Rule("block", "policy", "RFC 3463 §3.8: security or policy, whatever the words", code="5..", enhanced=r"5\.7\.\d+", words=r"polic|denied|block|reject|not (?:allowed|accept|permitted)|prohibit"),
    Rule("soft", "unavailable", "RFC 3463 §3.3, X.2.1", code="5..", words=r"disabled|suspend|inactive|locked|archiv|bloque\b|blocked|deactivat"),
    Rule("hard", "unknown_recipient", "RFC 3463 §3.2, Postfix, Sendmail", code="55[0134]", enhanced=r"(?:5\.[0-6]\.\d+)?", words=_HARD_WORDS),
    Rule("hard", "unknown_recipient", "Microsoft: Outlook.com's words for it", code="550", enhanced=r"(?:5\.[1-6]\.\d+)?", words=r"requested action not taken: mailbox unavailable", providers=_MICROSOFT),
    Rule("hard", "unknown_recipient", "Cisco", code="550", enhanced=r"5\.1\.0", words=r"^address rejected"),
    Rule("block", "policy", "Yahoo, Gmail, Apple", code="5..", words=r"\bpolic(?:y|ies)\b|\bblocked\b|not accepted|not allowed|violation|no longer trying|redundant"),
    # enhanced codes alone
    Rule("hard", "unknown_recipient", "RFC 3463 §3.2: bad mailbox", code="55.", enhanced=r"5\.1\.1"),
    Rule("hard", "unknown_domain", "RFC 3463 §3.2: bad system address", code="55.", enhanced=r"5\.1\.2"),
    Rule("hard", "moved", "RFC 3463 §3.2: moved, no forwarding address", code="55.", enhanced=r"5\.1\.6"),
    Rule("hard", "null_mx", "RFC 7505 §4", code="55.", enhanced=r"5\.1\.10"),
    Rule("hard", "accepts_no_mail", "RFC 7504 §4", code="556"),
    Rule("block", "sender_refused", "RFC 3463 §3.2, IANA X.1.7, X.1.8", enhanced=r"5\.1\.[78]"),
    Rule("block", "policy", "RFC 3463 §3.8", code="5..", enhanced=r"5\.7\.\d+"),
    Rule("soft", "mailbox_full", "RFC 3463 §3.3", enhanced=r"[45]\.2\.2"),
    Rule("soft", "too_large", "RFC 3463 §3.3, §3.4; RFC 1870 §6.1", enhanced=r"5\.(?:2\.3|3\.4)"),
    Rule("soft", "too_large", "RFC 5321 §4.2.2: exceeded storage allocation", code="552"),
)  # fmt: skip
"""One line per rule, so that the table reads as one."""
