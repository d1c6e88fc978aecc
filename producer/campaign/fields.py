"""Where each variable of the templates comes from: a column of the audience, or a default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from producer.campaign.compiled import SUPPLIED
from producer.campaign.file import CampaignFile
from producer.campaign.problems import Findings, did_you_mean, listed
from producer.campaign.templates import Use
from producer.recipients import audience
from producer.recipients.audience import Audience, AudienceFile, Projection


class Sources(msgspec.Struct, frozen=True):
    fields: tuple[str, ...]
    """The variables, in the order in which recipients carry their values."""
    projection: Projection


def resolve(campaign: CampaignFile, columns: Sequence[str], uses: Iterable[Use], findings: Findings) -> Sources | None:
    """None where the audience has no column of addresses; variables from nowhere are told to the findings."""
    address = _address_column(campaign, columns, findings)
    by_column: dict[str, str] = {}
    constants: dict[str, Any] = {}
    _tell_wrong_mapping(campaign, columns, findings)
    for use in uses:
        if use.variable in by_column or use.variable in constants:
            continue
        column = _column(campaign, columns, use.variable, findings)
        if column is not None:
            by_column[use.variable] = column
        elif use.variable in campaign.defaults:
            constants[use.variable] = campaign.defaults[use.variable]
        elif use.variable not in campaign.audience.columns:
            _tell_undefined(use, campaign, columns, findings)
    _tell_unused(campaign, {*by_column, *constants}, findings)
    if address is None:
        return None
    defaults = tuple(campaign.defaults.get(name) for name in by_column)
    projection = Projection(address, tuple(by_column.values()), defaults, tuple(constants.values()))
    return Sources((*by_column, *constants), projection)


def _address_column(campaign: CampaignFile, columns: Sequence[str], findings: Findings) -> str | None:
    wanted = campaign.audience.address_column
    if wanted is None:
        found = audience.find_address_column(columns)
        if found is None:
            fix = f'Name it: audience = {{ …, email = "…" }}. The columns are: {listed(columns)}.'
            findings.problem("audience", "No column looks like the one with the addresses.", fix)
        return _only_once(found, "audience", columns, findings)
    found = audience.find_column(wanted, columns)
    if found is None:
        fix = did_you_mean(wanted, columns) or f"The columns are: {listed(columns)}."
        findings.problem("audience.email", f'The audience has no column "{wanted}".', fix)
    return _only_once(found, "audience.email", columns, findings)


def _column(campaign: CampaignFile, columns: Sequence[str], variable: str, findings: Findings) -> str | None:
    found = audience.find_column(campaign.audience.columns.get(variable, variable), columns)
    if found is None and _may_turn_up(campaign.audience.source) and variable in campaign.defaults:
        return variable
    return _only_once(found, "audience", columns, findings)


def _may_turn_up(source: Audience) -> bool:
    """The rows that named the columns may just not have had it."""
    return isinstance(source, AudienceFile) and source.format == "ndjson"


def _tell_wrong_mapping(campaign: CampaignFile, columns: Sequence[str], findings: Findings) -> None:
    for variable, column in campaign.audience.columns.items():
        if audience.find_column(column, columns) is None:
            fix = did_you_mean(column, columns) or f"The columns are: {listed(columns)}."
            findings.problem(f"audience.columns.{variable}", f'The audience has no column "{column}".', fix)


def _only_once(column: str | None, key: str, columns: Sequence[str], findings: Findings) -> str | None:
    if column is not None and columns.count(column) > 1:
        findings.problem(key, f'The audience has {columns.count(column)} columns "{column}".', "Rename all but one.")
    return column


def _tell_undefined(use: Use, campaign: CampaignFile, columns: Sequence[str], findings: Findings) -> None:
    near = did_you_mean(use.variable, [*columns, *campaign.defaults, *SUPPLIED])
    fix = (
        f"{near} Otherwise add a default for it to [defaults]."
        if near
        else "Add the column, or a default to [defaults]."
    )
    fact = f'"{use.variable}" is no column of the audience ({listed(columns)}) and has no default.'
    findings.elsewhere(use.file, use.line, use.key, fact, fix)


def _tell_unused(campaign: CampaignFile, used: set[str], findings: Findings) -> None:
    for name in campaign.defaults:
        if name not in used:
            fix = did_you_mean(name, used) or "Remove it, or use it."
            findings.warning(f"defaults.{name}", "No template uses it.", fix)
