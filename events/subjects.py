"""Every subject on the bus, in one place.

batches.<campaign>                                    a batch waiting for a producer; of an urgent or low campaign under
                                                      batches.<priority>.<campaign>
mail.send.<pool>.<provider>.<campaign>                a mail due now
mail.retry.<campaign>.<pool>.<provider>.<class>.<id>  a mail waiting for its scheduled retry, one subject each
claims                                                an attempt about to be made
journal.<campaign>                                    attempts that were claimed, many to a message
events.<type>.<campaign>                              a fact
dlq.<campaign>.<provider>.<class>                     a mail that was given up
suppression                                           who gets no mail any more, many entries to a message
callbacks.new.<esp>.<endpoint>                        what an ESP told; under callbacks.parked.… if nobody understood it
callbacks.part.<id>.<number>                          a part of what is too large for a message
$KV.<bucket>.<key>                                    a value in a bucket
$O.<store>.C.<id>, $O.<store>.M.<name>                an object in a store: its bytes, and what it is
$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.MAIL.…     JetStream itself: a mail was delivered as often as is allowed
"""

from __future__ import annotations

from events.schemas import PRIORITIES, Priority

BATCHES = "batches.>"
MAIL_DUE = "mail.send.>"
MAIL_WAITING = "mail.retry.>"
CLAIMS = "claims"
JOURNAL = "journal.>"
EVENTS = "events.>"
DLQ = "dlq.>"
SUPPRESSION = "suppression"
CALLBACKS = "callbacks.>"
CALLBACKS_NEW = "callbacks.new.>"
CALLBACKS_PARKED = "callbacks.parked.>"
CALLBACKS_PARTS = "callbacks.part.>"
MAX_DELIVERIES = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.MAIL.>"


def batches(campaign: str, priority: Priority = "normal") -> str:
    return f"batches.{campaign}" if priority == "normal" else f"batches.{priority}.{campaign}"


def batches_of_class(priority: Priority) -> str:
    """A filter: the batches of every campaign of a class."""
    return batches("*", priority)


def batches_of_campaign(campaign: str) -> tuple[str, ...]:
    """Filters: a campaign's batches of whatever class."""
    return f"batches.{campaign}", f"batches.*.{campaign}"


def class_of_batch(subject: str) -> Priority:
    """Of the campaign that the batch was queued for; of one that this release does not know, `normal`."""
    word = subject.split(".")[1]
    return next((priority for priority in PRIORITIES if subject.count(".") == 2 and priority == word), "normal")


def mail_due(pool: str, provider: str, campaign: str) -> str:
    return f"mail.send.{pool}.{provider}.{campaign}"


def mail_due_of_campaign(campaign: str) -> str:
    """A filter: every due mail of a campaign, whatever its lane."""
    return f"mail.send.*.*.{campaign}"


def mail_waiting(campaign: str, pool: str, provider: str, failure_class: str, mail: str) -> str:
    return f"mail.retry.{campaign}.{pool}.{provider}.{failure_class}.{mail}"


def mail_waiting_of_campaign(campaign: str) -> str:
    """A filter: every waiting retry of a campaign."""
    return f"mail.retry.{campaign}.>"


def mail_waiting_where(campaign: str = "*", provider: str = "*", failure_class: str = "*") -> str:
    """A filter: waiting retries of a campaign, for a mailbox provider, of a class."""
    return f"mail.retry.{campaign}.*.{provider}.{failure_class}.*"


def journal(campaign: str) -> str:
    return f"journal.{campaign}"


def event(kind: str, campaign: str) -> str:
    return f"events.{kind}.{campaign}"


def events_of_campaign(campaign: str) -> str:
    """A filter: every event of a campaign."""
    return f"events.*.{campaign}"


def callback(esp: str, endpoint: str) -> str:
    return f"callbacks.new.{esp}.{endpoint}"


def parked_callback(esp: str, endpoint: str) -> str:
    return f"callbacks.parked.{esp}.{endpoint}"


def callback_part(known_as: str, number: int) -> str:
    return f"callbacks.part.{known_as}.{number}"


def callback_parts(known_as: str) -> str:
    """A filter: all parts of a callback."""
    return f"callbacks.part.{known_as}.*"


def keys_of(bucket: str) -> str:
    """A filter: every key of a bucket (ADR-8)."""
    return f"$KV.{bucket}.>"


def contents_of(store: str) -> tuple[str, str]:
    """Filters: the bytes of all objects in a store, and what is known of each (ADR-20)."""
    return f"$O.{store}.C.>", f"$O.{store}.M.>"


def max_deliveries(stream: str, consumer: str) -> str:
    return f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}"


def dlq(campaign: str, provider: str, failure_class: str) -> str:
    return f"dlq.{campaign}.{provider}.{failure_class}"


def dlq_where(campaign: str = "*", provider: str = "*", failure_class: str = "*") -> str:
    """A filter: what was given up of a campaign, for a mailbox provider, of a class."""
    return f"dlq.{campaign}.{provider}.{failure_class}"


def dlq_of_campaign(campaign: str) -> str:
    """A filter: everything given up of a campaign."""
    return f"dlq.{campaign}.>"
