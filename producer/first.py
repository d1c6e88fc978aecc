"""The first recipient whose mail can be rendered: before anything is registered, somebody must be there to be mailed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from producer.campaign.check import Launchable
from producer.errors import AudienceEmpty, CampaignUnrenderable
from producer.recipients import audience
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.recipients.sql.audience import SqlAudience
from producer.rendering.errors import Unrenderable
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

_ROWS_AT_HAND: Final = 1_000
_MAILS_TRIED: Final = 100
"""So many mails in a row that cannot be rendered are the template's fault."""


def first_recipient(launchable: Launchable, settings: ProducerSettings) -> Recipient:
    """The first whose mail can be rendered: it serves as dictionary of all others.

    Raises `AudienceEmpty`, `CampaignUnrenderable` and `AudienceUnreadable`.
    """
    try:
        renderer = compile_campaign(launchable.campaign, settings)
    except ValueError as error:
        raise CampaignUnrenderable(str(error)) from error
    reasons: list[str] = []
    for row in _rows_to_try(launchable):
        if not isinstance(row, Recipient):
            continue
        try:
            renderer.render(row)
        except Unrenderable as error:
            reasons.append(str(error))
        else:
            return row
        if len(reasons) == _MAILS_TRIED:
            break
    if reasons:
        raise CampaignUnrenderable(f"Not one of the first {len(reasons)} mails can be rendered: {reasons[0]}.")
    raise AudienceEmpty(f"Nobody in {launchable.audience} can be mailed: it has no row with a usable address.")


def _rows_to_try(launchable: Launchable) -> Iterator[Recipient | Rejected]:
    """Of a query those that come to hand, before all in order: sorting them may take a while."""
    if isinstance(launchable.audience, SqlAudience):
        yield from audience.look(launchable.audience, launchable.projection, _ROWS_AT_HAND)
    yield from audience.read(launchable.audience, launchable.projection)
