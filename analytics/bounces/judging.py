"""What a notice means for an address, by the table that judges SMTP replies, too."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from analytics.bounces.base import Action
from events import classification, replies
from events.replies import Reply
from events.schemas import FailureClass

_ENHANCED: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_CODE: Final = re.compile(r"(?<![\d.#:/-])([45][0-5]\d)(?=[ -](?:#?[245]\.\d{1,3}\.\d{1,3}\b|[^\s\d]))")
_AFTER_DATA: Final = re.compile(
    r"in reply to end of data|after (?:end of data|i sent the message)|our final data|smtp command\s+data\b|>>> data\s+<<< 5",
    re.IGNORECASE,
)
_NO_RECIPIENT: Final = re.compile(
    r"<<< 50[34].{0,200}(?:rcpt|recipient)|<<< 554.{0,200}no valid recipients", re.IGNORECASE
)
_FAILURE: Final = re.compile(
    r"reject|refus|unknown|not (?:found|exist|known|deliver|accept)|no such|full|quota|invalid|disabled|fail|unable|"
    r"time[dr]? ?out|expired|block",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(r"^>?[ \t]{0,8}[A-Za-z][A-Za-z-]{1,40}: ", re.MULTILINE)
_MAX_WORDS: Final = 1_000


class Judged(NamedTuple):
    reply: Reply
    failure_class: FailureClass | None
    reason: str
    hard: bool


def reply_in(words: str, status: str = "") -> Reply:
    """The SMTP reply within the words of a notice; where there is none, the words, and `status` if it says more than `5.0.0`.

    A reply that has no enhanced code gets none from `status` yet: whoever wrote the notice made that up from the code.
    """
    words = " ".join(words.split())[:_MAX_WORDS]
    parsed = replies.parse(words)
    if not parsed.code:
        found = _CODE.search(words)
        parsed = replies.parse(words[found.start() :]) if found else parsed
    told = next((code for code in _ENHANCED.findall(words) if not code.endswith(".0.0")), "")
    if parsed.code:
        return parsed._replace(enhanced=parsed.enhanced or told)
    return Reply(0, told or status, parsed.text)


def judge(action: Action, words: str, status: str, provider: str, text: str) -> Judged:
    """Of one recipient. Only `failed` can be hard; what is delayed comes again, whatever the words say.

    `text` is all that the notice says: where it shows that the message itself was refused, the mailbox is there, and whoever
    has it does not want this mail. `provider` is who gave the reply.
    """
    reply = reply_in(words, status)
    if action not in {"failed", "delayed"}:
        return Judged(reply, None, "", False)
    assumed = reply if reply.code else reply._replace(code=_code_of(reply.enhanced, action))
    if not assumed.enhanced and classification.rule_of(assumed, provider) is None:
        assumed = assumed._replace(enhanced=status)  # the words alone say nothing
    verdict = classification.classify(assumed, provider)
    if action == "delayed":
        kept = verdict.failure_class if verdict.failure_class in {"throttled", "transient"} else "transient"
        return Judged(reply, kept, verdict.reason, False)
    if verdict.reason == "unknown_recipient" and not reply.enhanced.startswith("5.1.") and _came_to_data(text):
        return Judged(reply, "soft", "filtered", False)
    return Judged(reply, verdict.failure_class, verdict.reason, verdict.failure_class == "hard")


def _came_to_data(text: str) -> bool:
    """Where the server then asks for a recipient, the reply that a transcript shows behind DATA was to RCPT, in a pipeline."""
    return bool(_AFTER_DATA.search(text)) and not _NO_RECIPIENT.search(text)


def _code_of(enhanced: str, action: Action) -> int:
    """Where a notice has no code: that of the class of its status, or of what happened."""
    if enhanced[:1] in {"4", "5"}:
        return 450 if enhanced[0] == "4" else 550
    return 450 if action == "delayed" else 550


def words_about(recipient: str, text: str, *, alone: bool = False) -> str:
    """The paragraph of a notice that tells best what became of the recipient, with the next where it is just the address.

    `alone`: the notice is about nobody else, so where no paragraph with the address says why, one with a code does.
    """
    blocks = re.split(r"\n[ \t]*\n", text)
    wanted = recipient.lower()
    best, weight = "", -10
    for place, block in enumerate(blocks):
        if wanted not in block.lower():
            continue
        follows = blocks[place + 1] if place + 1 < len(blocks) else ""
        just = not _CODE.search(block) and not _FAILURE.search(block.lower().replace(wanted, ""))
        whole = f"{block}\n{follows}" if just else block
        found = _weight(whole) - 3 * (len(_FIELD.findall(block)) >= 3)
        if found > weight:
            best, weight = whole, found
    if alone and weight <= 0:
        best = next((block for block in blocks if _CODE.search(block)), best)
    return _from_recipient(best, recipient) if best else text[:_MAX_WORDS]


def _weight(words: str) -> int:
    return 4 * bool(_CODE.search(words)) + 2 * bool(_ENHANCED.search(words)) + bool(_FAILURE.search(words))


def _from_recipient(block: str, recipient: str) -> str:
    """Where a block tells of several, from this one on."""
    at = block.lower().find(recipient.lower())
    start = block.rfind("\n", 0, at) + 1
    behind = block[start:]
    return behind if _CODE.search(behind) or _FAILURE.search(behind) else block
