"""What `jetpost check` tells of an audience beside its mistakes: how many rows, which columns, and one row for an example."""

from __future__ import annotations

from producer.campaign.check import Launchable
from producer.errors import AudienceUnreadable
from producer.recipients import audience
from producer.recipients.recipient import Recipient
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.looking import size_of


def notes(launchable: Launchable) -> list[str]:
    """Lines for people; none for a file, which they can open themselves. A database that fails now was asked before."""
    source = launchable.audience
    if not isinstance(source, SqlAudience):
        return []
    try:
        size = size_of(source)
        found = audience.look(source, launchable.projection, 10)
        columns = audience.columns(source)
    except AudienceUnreadable as error:
        return [str(error)]
    lines = [f"{source}: {size or 'rows not counted'}; columns {', '.join(columns)}"]
    first = next((row for row in found if isinstance(row, Recipient)), None)
    if first is not None:
        values = zip(launchable.campaign.fields, first.values, strict=True)
        lines.append(", ".join(["for example: " + first.address, *(f"{name} = {value}" for name, value in values)]))
    return lines
