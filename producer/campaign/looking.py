"""What `jetpost check` tells of an audience beside its mistakes: how many rows, which columns, and one row for an example."""

from __future__ import annotations

from producer.campaign.check import Launchable
from producer.errors import AudienceUnreadable
from producer.recipients import audience
from producer.recipients.audience import Projection
from producer.recipients.recipient import Recipient
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.looking import size_of


def notes(launchable: Launchable) -> list[str]:
    """Lines for people; none for a file, which they can open themselves. A database that fails now was asked before."""
    source = launchable.audience
    if not isinstance(source, SqlAudience):
        return []
    try:
        size, columns = size_of(source), audience.columns(source)
        whole = Projection(launchable.projection.address, columns, ("",) * len(columns))
        found = audience.look(source, whole, 10)
    except AudienceUnreadable as error:
        return [str(error)]
    lines = [f"{source}: {size or 'rows not counted'}; columns {', '.join(columns)}"]
    first = next((row for row in found if isinstance(row, Recipient)), None)
    if first is not None:
        values = zip(columns, first.values, strict=True)
        lines.append("for example: " + ", ".join(f"{name} = {value}" for name, value in values))
    return lines
