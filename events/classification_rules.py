"""The table of reply rules: what words and codes mean, and who says so. Read from top to bottom, the first match decides.

What the words say goes before codes, because codes are wrong more often: what they say of speed first, then of the mailbox,
then of us, then of the address. Codes follow, enhanced ones before bare ones. A rule makes a bounce hard only where words or
code leave no other meaning, and never for a 4xx.

Sources: RFC 3463, RFC 5321, RFC 7372 and the IANA registry of enhanced status codes for codes, and for words

- Gmail: https://support.google.com/a/answer/3726730
- Yahoo: https://senders.yahooinc.com/smtp-error-codes/
- Microsoft: https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online and
  https://sendersupport.olc.protection.outlook.com/pm/troubleshooting.aspx
- Apple: https://support.apple.com/102322
- Orange, whose numbers La Poste uses, too: https://postmaster.orange.fr
- Postfix (smtpd), Sendmail and Cisco: the replies that they are known to give
"""

from __future__ import annotations

import re
from typing import Final

from events.replies import Reply
from events.schemas import FailureClass


class Rule:
    """Matches where every condition that it has holds: codes as a whole, words anywhere, in any case."""

    def __init__(
        self,
        failure_class: FailureClass,
        reason: str,
        source: str,
        *words: str,
        code: str = "",
        enhanced: str = "",
        providers: frozenset[str] = frozenset(),
    ) -> None:
        self.failure_class: Final = failure_class
        self.reason: Final = reason
        self.source: Final = source
        self._words = re.compile("|".join(words), re.IGNORECASE)
        self._code = re.compile(code or r"\d+")
        self._enhanced = re.compile(enhanced or r".*")
        self._providers = providers

    def matches(self, reply: Reply, provider: str) -> bool:
        return (
            self._code.fullmatch(str(reply.code)) is not None
            and self._enhanced.fullmatch(reply.enhanced) is not None
            and (not self._providers or provider in self._providers)
            and self._words.search(reply.text) is not None
        )


_MICROSOFT: Final = frozenset({"microsoft", "outlook", "outlook.com", "hotmail", "exchange-online"})
_WHO: Final = r"(?:user|recipient|mailbox|account|addressee|destinataire|e?-?mail (?:account|address)|local[ -]?part)"
_NOT_THERE: Final = r"(?:not found|could not be found|not known|does(?: not|n't) exist)"
_NO: Final = r"(?:reject|refus|block|denied|bloqu|not (?:be )?accept|not allowed|not authori[sz]ed)"

_ORANGE: Final = r"\b(?:ofr|lpn)\w{0,3}_"

_SERVER_ERROR: Final = (
    Rule(
        "transient",
        "server_error",
        "Gmail",
        r"temporary (?:system|authentication|server) (?:problem|error)",
        code="4..",
    ),
    Rule("transient", "server_error", "RFC 3463 §3.4", code="4..", enhanced=r"4\.3\.[0135]"),
)

_NEVER_ASKED: Final = (
    Rule(
        "transient",
        "unreachable",
        "Gmail, Exchange Online 5.4.316: what a bounce says of a server that nobody reached",
        r"did not accept our requests to connect",
        r"message expired, connection (?:refused|reset|timed out)",
    ),
)

_TOO_FAST: Final = (
    Rule("throttled", "recipient_rate", "Gmail 4.2.1, 5.2.1", r"receiving e?mail (?:too quickly|at a rate)"),
    Rule("throttled", "rate", "Gmail, Microsoft 4.7.650", r"\brate[- ]?limit"),
    Rule("throttled", "rate", "Gmail 4.7.28", r"unusual rate", code="4.."),
    Rule("block", "abuse_rate", "Gmail 5.7.28", r"unusual rate", code="5.."),
    Rule(
        "throttled",
        "connections",
        "Postfix anvil(8), Microsoft 4.7.652",
        r"too many (?:concurrent |simultaneous |smtp )?(?:connections|sessions)",
        r"max(?:imum)? (?:number of )?(?:concurrent )?connections",
        r"connection rate",
    ),
    Rule("throttled", "volume", "Yahoo TSS04, Apple", r"(?:excessive|unexpected|high|unusual) volume", code="4.."),
    Rule(
        "throttled",
        "rate",
        "IANA X.7.28, Postfix anvil(8)",
        r"too (?:many (?:messages|mails?|emails?)|fast|frequent|quickly)",
        r"slow(?:ing)? down",
        r"throttl",
        code="4..",
    ),
    Rule("throttled", "rate", "IANA X.7.28", enhanced=r"4\.7\.28"),
    Rule("throttled", "rate", "Orange: mails per connection, behaviour", rf"{_ORANGE}(?:109|9[89]\d)\b", code="4.."),
    Rule("throttled", "too_many_recipients", "RFC 3463 §3.6, X.5.3", r"too many recipients"),
    Rule(
        "throttled",
        "sending_quota",
        "Microsoft 5.2.2, Gmail 4.2.1",
        r"submission quota",
        r"relay limit exceeded",
        r"(?:hourly|daily) (?:sending )?(?:limit|quota) (?:is |has been )?exceeded",
    ),
    Rule("throttled", "server_busy", "Microsoft 4.7.500", code="4..", enhanced=r"4\.7\.5\d\d"),
)

_MAILBOX_FULL: Final = (
    Rule(
        "soft",
        "mailbox_full",
        "RFC 3463 §3.3, X.2.2",
        r"(?:mailbox|inbox|quota|storage|account) (?:is |has )?(?:full|over ?quota|exceeded|out of)",
        r"mailbox ?full",
        r"over ?quota|quota ?exceeded",
        r"out of storage|no storage",
        r"exceeded (?:its |the |their )?(?:storage|mailbox|disk)",
        r"(?:exceed\w*|over) .{0,20}\b(?:limit|quota)\b.{0,30}\bmailbox|mailbox.{0,30}exceed\w* .{0,20}\b(?:limit|quota)",
    ),
    Rule(
        "soft",
        "unavailable",
        "RFC 3463 §3.3, X.2.1: not accepting, and it says that this will change",
        rf"{_WHO}\b.{{0,80}}\btemporar\w* (?:locked|disabled|suspended|inactive|unavailable)",
    ),
)

_ABOUT_US: Final = (
    Rule("block", "authentication", "RFC 4954 §6", code="530|534|535|538|570"),
    Rule(
        "block",
        "authentication",
        "RFC 4954 §6",
        r"\bauthenti(?:c|fic)ation (?:is )?(?:requi|fail|credentials)",
        r"unauthenticated|not authenticated",
        r"starttls",
        code="5..",
    ),
    Rule(
        "block",
        "sender_authentication",
        "RFC 7372, RFC 7489 §10.3",
        r"\bdmarc\b|\bdkim\b|\bspf\b|sender policy framework|\balign",
        code="5..",
    ),
    Rule("block", "reverse_dns", "RFC 7372, X.7.25", r"reverse dns|\brdns\b|\bptr\b", code="5.."),
    Rule(
        "block",
        "listed",
        "Postfix reject_rbl_client",
        r"spamhaus|spamcop|barracuda|cloudmark",
        r"dnsbl|\b[dr]bl\b|block ?list|black ?list",
        r"listed (?:in|on|at|by)\b|listing in",
        code="5..",
    ),
    Rule("block", "reputation", "Gmail, Microsoft", r"reputation|poor score|\bbanned|\bscor(?:e|ing)\b", code="5.."),
    Rule(
        "block",
        "spam",
        "Gmail 5.7.1, Orange",
        rf"{_ORANGE}5[03]6\b",
        r"\bspam|unsolicited|\bube\b|\bbulk\b|junk|suspicious|phish|virus|malware",
        r"too many invalid recipients",
        code="5..",
    ),
    Rule(
        "block",
        "content",
        "RFC 3463 §3.7, Gmail",
        r"(?:content|header|encoded-word)\b.{0,40}(?:reject|error|block|not permitted|compliant|not accepted)",
        r"malformed|not rfc|header error",
        r"security (?:issue|polic)",
        code="5..",
    ),
    Rule(
        "block",
        "sender_refused",
        "RFC 3463 §3.2, Sendmail, Postfix",
        r"\bsender\b",
        r"\bfrom:? (?:header|domain|address)|from: |mail from|envelope-from|return.path",
        r"invalid ip for sending|mismatches client",
        r"^(?:5\.0\.0 )?invalid domain name",
        code="5..",
    ),
    Rule(
        "block",
        "client_refused",
        "Postfix check_client_access, Orange",
        r"client host|service refuse",
        rf"\b(?:ip|client|server|connections?)\b.{{0,60}}{_NO}",
        rf"{_NO}.{{0,60}}\b(?:ip|client)\b",
        code="5..",
    ),
    Rule("block", "relay", "Postfix reject_unauth_destination", r"\brelay|smtp server of your isp", code="5.."),
)

_ABOUT_THE_ADDRESS: Final = (
    Rule("hard", "unknown_recipient", "Microsoft", r"RESOLVER\.(?:RST|ADR)\.(?:Recip|Ex)NotFound", code="5.."),
    Rule(
        "hard",
        "unknown_recipient",
        "Microsoft: directory-based edge blocking",
        r"recipient address rejected: access denied",
        code="550",
        enhanced=r"5\.4\.1",
    ),
    Rule(
        "block",
        "policy",
        "RFC 3463 §3.8: security or policy, whatever it says of the address",
        rf"polic|prohibit|not permitted|{_NO}",
        code="5..",
        enhanced=r"5\.7\.\d+",
    ),
    Rule(
        "soft",
        "unavailable",
        "RFC 3463 §3.3, X.2.1: not accepting, which may change",
        r"disabled|suspend|inactive|locked|archived|archivé|bloque\b|deactivat",
        code="5..",
    ),
    Rule(
        "hard",
        "unknown_recipient",
        "RFC 3463 §3.2, Postfix, Sendmail, Gmail",
        rf"\b(?:unknown|no such|non-?existent) {_WHO}",
        rf"{_WHO} (?:is )?(?:unknown|{_NOT_THERE}|no longer (?:exists|on server|valid))",
        rf"{_WHO}\b[^.;]{{0,80}}\b{_NOT_THERE}",
        rf"\binvalid (?:recipient|mailbox|destinataire)|{_WHO} invalid",
        code="55[0134]",
        enhanced=r"(?:5\.[0-6]\.\d+)?",
    ),
    Rule(
        "hard",
        "unknown_domain",
        "Sendmail, Gmail 5.1.2, Postfix, Exim, OpenSMTPD, Oracle Communications Messaging Server",
        r"\billegal host/domain name found",
        r"\bhost unknown\b|\bunknown host\b|find the recipient domain",
        r"\b(?:no such|invalid|non-?existent) (?:domain|host)\b|\bdomain (?:name )?(?:not found|does(?: not|n't) exist)",
        r"\bhost \S+ not found|^[\w-]+(?:\.[\w-]+)+ does not exist",
        code="55[03]",
        enhanced=r"(?:5\.(?:[02-6]\.\d+|1\.[0-69]\d*))?",
    ),
    Rule(
        "hard",
        "unknown_domain",
        "Outlook.com, which asks to check the domain",
        r"because the domain is not reachable\. please check the domain",
        code="554",
    ),
    Rule(
        "hard",
        "accepts_no_mail",
        "RFC 7505: no server for the domain, or a null MX; OpenSMTPD, Exim",
        r"\bno mx (?:record )?found for domain|mx or srv record indicated no smtp service|null mx\b",
        code="55[0-6]",
    ),
    Rule(
        "hard",
        "unknown_recipient",
        "Microsoft: Outlook.com's words for it",
        r"requested action not taken: mailbox unavailable",
        code="550",
        enhanced=r"(?:5\.[1-6]\.\d+)?",
        providers=_MICROSOFT,
    ),
    Rule("hard", "unknown_recipient", "Cisco", r"^address rejected", code="550", enhanced=r"5\.1\.0"),
    Rule(
        "block",
        "policy",
        "Yahoo, Gmail, Apple",
        r"\bpolic(?:y|ies)\b|\bblocked\b|not accepted|not allowed|violation|redundant",
        r"\bbloqu[eé]e?s? par nos|^mail reje[ct]",
        code="5..",
    ),
    Rule(
        "hard",
        "unknown_recipient",
        "Symantec.cloud: an address that its customer has not listed",
        r"rejected",
        code="542",
    ),
    Rule(
        "transient",
        "expired",
        "Exchange Online, Exim, qmail: what a bounce says of a mail that waited in vain",
        r"message expired|delivery (?:time(?:d)? ?out|expired)|retry time(?:out)? (?:not reached|exceeded)",
        r"in the queue too long|failing for a long time|multiple retries|(?:failed|after) \d+ attempts",
    ),
    Rule(
        "transient",
        "unreachable",
        "Postfix, Exim, Sendmail, qmail: what a bounce says of a server that nobody reached",
        r"connection (?:timed out|refused|reset|lost|dropped)|(?:unable|failed|not able) to connect|could(?: not|n't) connect",
        r"no route to host|operation timed out|network (?:is )?unreachable|host (?:is )?(?:not reachable|unreachable|down)",
        r"resources temporarily unavailable|socket error",
    ),
)

_CODES: Final = (
    Rule("hard", "unknown_recipient", "RFC 3463 §3.2: bad destination mailbox", code="55.", enhanced=r"5\.1\.1"),
    Rule("hard", "unknown_domain", "RFC 3463 §3.2: bad destination system", code="55.", enhanced=r"5\.1\.2"),
    Rule("hard", "moved", "RFC 3463 §3.2: moved, no forwarding address", code="55.", enhanced=r"5\.1\.6"),
    Rule("hard", "accepts_no_mail", "RFC 7505 §4: null MX", code="55.", enhanced=r"5\.1\.10"),
    Rule("hard", "accepts_no_mail", "RFC 7504 §4", code="556"),
    Rule("hard", "accepts_no_mail", "RFC 7504 §3: the host takes no mail at all", code="521", enhanced=r"5\.3\.2"),
    Rule("block", "sender_refused", "RFC 3463 §3.2, IANA X.1.7, X.1.8", enhanced=r"5\.1\.[78]"),
    Rule("block", "policy", "RFC 3463 §3.8", code="5..", enhanced=r"5\.7\.\d+"),
    Rule("soft", "mailbox_full", "RFC 3463 §3.3", enhanced=r"[45]\.2\.2"),
    Rule("soft", "too_large", "RFC 3463 §3.3, §3.4", enhanced=r"5\.(?:2\.3|3\.4)"),
    Rule("soft", "storage", "RFC 5321 §4.2.2: exceeded storage allocation", code="552"),
)

RULES: Final = (
    *_SERVER_ERROR,
    *_NEVER_ASKED,
    *_TOO_FAST,
    *_MAILBOX_FULL,
    *_ABOUT_US,
    *_ABOUT_THE_ADDRESS,
    *_CODES,
)
