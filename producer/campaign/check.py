"""Checks a campaign as far as that is possible without sending: file, templates, audience, and a mail made on trial.

`jetpost check` prints the result, `jetpost preview` renders its sample, and `jetpost send` launches it. Reads first for this
package.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from events.schemas import DeliveryPolicy
from producer.campaign import audiences, fields, file, templates, tracking
from producer.campaign.compiled import CompiledCampaign
from producer.campaign.fields import Sources
from producer.campaign.file import CampaignFile, Context
from producer.campaign.problems import Findings, Problem
from producer.campaign.routing import Routes
from producer.campaign.safety import Safety
from producer.campaign.templates import Template
from producer.campaign.timing import Timing
from producer.errors import AudienceUnreadable
from producer.recipients import audience
from producer.recipients.addresses import normalise
from producer.recipients.audience import Audience, Projection
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.rendering.errors import BadTemplate, Unrenderable
from producer.rendering.html import derive_text, inline_css
from producer.rendering.renderer import compile_campaign
from producer.rendering.tracking import track
from producer.settings import ProducerSettings

DEFAULT_SETTINGS: Final = ProducerSettings()
_ROWS_LOOKED_AT: Final = 1_000
_MAILS_TRIED: Final = 20


class Launchable(msgspec.Struct, frozen=True):
    """Everything that `producer.launch` needs of a campaign without problems."""

    campaign: CompiledCampaign
    audience: Audience
    projection: Projection
    policy: DeliveryPolicy
    timing: Timing
    routes: Routes = {}
    safety: Safety = Safety()


class Checked(msgspec.Struct, frozen=True):
    path: Path
    problems: list[Problem]
    """Each of them stops the campaign."""
    warnings: list[Problem]
    launchable: Launchable | None
    """None where there are problems."""
    sample: Recipient | None
    """For a preview: the campaign file's `sample`, else the first recipient of the audience."""

    @property
    def campaign(self) -> CompiledCampaign:
        """Only of a campaign without problems."""
        assert self.launchable is not None, "a campaign with problems is not compiled"
        return self.launchable.campaign


def check(
    path: Path,
    known_pools: Collection[str] | None,
    now: float,
    settings: ProducerSettings = DEFAULT_SETTINGS,
    start: float | None = None,
) -> Checked:
    """Everything wrong with a campaign at once; reads the beginning of the audience only. `now` is Unix seconds.

    `start` stands in place of the file's, where it is given; `now` or earlier means at once.
    """
    campaign, findings = file.load(path, Context(now, known_pools, start, settings.databases))
    launchable, sample = (None, None) if campaign is None else _examine(campaign, findings, now, settings)
    return Checked(path, findings.problems, findings.warnings, None if findings.problems else launchable, sample)


def _examine(
    campaign: CampaignFile, findings: Findings, now: float, settings: ProducerSettings
) -> tuple[Launchable | None, Recipient | None]:
    found = templates.collect(campaign, findings)
    uses = [use for template in found for use in templates.uses(template, findings)]
    columns = _columns(campaign, findings)
    sources = fields.resolve(campaign, columns, uses, findings) if columns is not None else None
    if sources is None or findings.problems:
        return None, None
    compiled = _compile(campaign, found, sources, now, settings, findings)
    if compiled is None:
        return None, None
    sample = _try(campaign, compiled, sources, settings, findings)
    launchable = Launchable(
        compiled,
        campaign.audience.source,
        sources.projection,
        campaign.policy,
        campaign.timing,
        campaign.routes,
        campaign.safety,
    )
    return launchable, sample


def _columns(campaign: CampaignFile, findings: Findings) -> tuple[str, ...] | None:
    try:
        return audience.columns(campaign.audience.source)
    except AudienceUnreadable as error:
        audiences.tell(error, campaign.audience, findings)
        return None


def _compile(
    campaign: CampaignFile,
    found: list[Template],
    sources: Sources,
    now: float,
    settings: ProducerSettings,
    findings: Findings,
) -> CompiledCampaign | None:
    by_key = {template.key: template for template in found}
    try:
        html = inline_css(by_key["html"].source)
        text = by_key["text"].source if "text" in by_key else derive_text(html)
        tracked = track(html, campaign.tracking, {"campaign_id": campaign.id, "campaign_name": campaign.name})
        tracking.tell_left_alone(tracked.left_alone, findings)
        compiled = CompiledCampaign(
            id=campaign.id,
            name=campaign.name,
            pool=campaign.pool,
            created_at=int(now),
            from_=campaign.from_,
            reply_to=campaign.reply_to,
            return_path=campaign.return_path,
            subject=campaign.subject,
            html=tracked.html,
            text=text,
            list=campaign.list,
            tracking=campaign.tracking,
            links=tracked.links,
            headers=campaign.headers,
            fields=sources.fields,
            defaults=campaign.defaults,
            unsubscribe=campaign.unsubscribe,
            public_url=settings.public_url.rstrip("/"),
            feedback_id=campaign.feedback_id,
            message_id_domain=campaign.from_.address.rpartition("@")[2],
        )
        compile_campaign(compiled, _for_trial(settings))
    except BadTemplate as error:
        _tell_bad_template(str(error), campaign, findings)
        return None
    return compiled


def _tell_bad_template(message: str, campaign: CampaignFile, findings: Findings) -> None:
    line, text = re.fullmatch(r"(?:line (\d+): )?(.*)", message, re.DOTALL).groups()  # type: ignore[union-attr]
    findings.elsewhere(campaign.html, int(line) if line else None, "html", f"It cannot be used: {text}.")


def _try(
    campaign: CampaignFile,
    compiled: CompiledCampaign,
    sources: Sources,
    settings: ProducerSettings,
    findings: Findings,
) -> Recipient | None:
    """Makes a few mails and throws them away; what stands in the way of all of them would stand in the way of the rest."""
    first = _first_recipients(campaign, sources.projection, findings)
    if first:
        _tell_unrenderable("html", first, compiled, settings, findings)
    if campaign.sample is None:
        return first[0] if first else None
    sample = _sample(campaign.sample, sources, findings)
    if sample is not None:
        _tell_unrenderable("sample", [sample], compiled, settings, findings)
    return sample


def _first_recipients(campaign: CampaignFile, projection: Projection, findings: Findings) -> list[Recipient]:
    try:
        rows = audience.look(campaign.audience.source, projection, _ROWS_LOOKED_AT)
    except AudienceUnreadable as error:
        audiences.tell(error, campaign.audience, findings)
        return []
    rejected = [row for row in rows if isinstance(row, Rejected)]
    place = f"{campaign.audience.place} {rejected[0].line}: {rejected[0].reason}" if rejected else ""
    if len(rejected) == len(rows):
        example = f" The first one, {place}" if rejected else ""
        fix = "It needs at least one row with a usable address."
        findings.problem("audience", f"Nobody in its first {len(rows)} rows can be mailed.{example}", fix)
    elif rejected:
        fact = f"{len(rejected)} of its first {len(rows)} rows cannot be used; the first one, {place}"
        findings.warning("audience", fact, "They will be left out and listed in the rejects file.")
    return list(islice(_recipients(rows), _MAILS_TRIED))


def _recipients(rows: list[Recipient | Rejected]) -> Iterator[Recipient]:
    return (row for row in rows if isinstance(row, Recipient))


def _tell_unrenderable(
    key: str, recipients: list[Recipient], compiled: CompiledCampaign, settings: ProducerSettings, findings: Findings
) -> None:
    renderer = compile_campaign(compiled, _for_trial(settings))
    reason = ""
    for recipient in recipients:
        try:
            message = renderer.render(recipient).message
        except Unrenderable as error:
            reason = reason or f"The mail to {recipient.address} cannot be rendered: {error}."
        else:
            tracking.tell_clipped(message, findings)
            return
    findings.problem(key, reason, "Change the template so that it copes with such values, or add a default.")


def _sample(given: dict[str, Any], sources: Sources, findings: Findings) -> Recipient | None:
    columns = (*sources.projection.columns, *sources.fields[len(sources.projection.columns) :])
    defaults = (*sources.projection.defaults, *sources.projection.constants)
    values = []
    for variable, column, default in zip(sources.fields, columns, defaults, strict=True):
        value = given.get(variable, given.get(column, default))
        if value is None:
            findings.problem(
                "sample", f'It has no value for "{variable}", which has no default.', "Add it to [sample]."
            )
            return None
        values.append(value)
    address = normalise(given["email"])
    return Recipient(address.address, address.provider, address.smtputf8, tuple(values))


def _for_trial(settings: ProducerSettings) -> ProducerSettings:
    """Links of mails that are thrown away need no real secret, and whoever checks may have none."""
    return msgspec.structs.replace(settings, link_secret="of mails made on trial")  # noqa: S106 - signs nothing that is sent
