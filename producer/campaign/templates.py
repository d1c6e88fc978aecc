"""A campaign's templates before anything is rendered: whether they parse, and which variables they use in which line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jinja2
from jinja2 import meta, nodes

from producer.campaign.compiled import SUPPLIED
from producer.campaign.file import CampaignFile
from producer.campaign.problems import Findings
from producer.rendering.environment import Kind, environment


class Template(NamedTuple):
    key: str
    """Of the campaign file."""
    kind: Kind
    source: str
    file: Path
    line: int
    """Of the file, where the template begins."""


class Use(NamedTuple):
    """A variable where it is first used."""

    variable: str
    file: Path
    line: int
    key: str


def collect(campaign: CampaignFile, findings: Findings) -> list[Template]:
    """All templates; those that cannot be read are told to the findings and left out."""
    inline = [("subject", campaign.subject), *((f"headers.{name}", value) for name, value in campaign.headers)]
    found = [Template(key, "text", source, findings.path, findings.line_of(key) or 1) for key, source in inline]
    for key, kind, path in (("html", "html", campaign.html), ("text", "text", campaign.text)):
        source = _read(key, path, findings) if path else None
        if path and source is not None:
            found.append(Template(key, "html" if kind == "html" else "text", source, path, 1))
    return found


def _read(key: str, path: Path, findings: Findings) -> str | None:
    try:
        source = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        fix = "The path is relative to the campaign file; check it."
        findings.problem(key, f"{path} cannot be read: {error.strerror or error}.", fix)
        return None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        findings.elsewhere(path, line, key, "It is not UTF-8 text.", "Save the file as UTF-8.")
        return None
    if not source.strip():
        findings.problem(key, f"{path} is empty.", "Write the template into it.")
        return None
    return source


def uses(template: Template, findings: Findings) -> list[Use]:
    """Variables that must come from somewhere, each once. What does not parse is told to the findings."""
    try:
        tree = environment(template.kind).parse(template.source)
        environment(template.kind).compile(tree)
        names = meta.find_undeclared_variables(environment(template.kind).parse(template.source)) - set(SUPPLIED)
    except jinja2.TemplateSyntaxError as error:
        line = template.line + error.lineno - 1
        findings.elsewhere(template.file, line, template.key, f"The template has an error: {_sentence(error.message)}")
        return []
    lines = _first_lines(environment(template.kind).parse(template.source))
    ordered = sorted(names, key=lambda name: (lines.get(name, 1), name))
    return [Use(name, template.file, template.line + lines.get(name, 1) - 1, template.key) for name in ordered]


def _first_lines(tree: nodes.Template) -> dict[str, int]:
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines[node.name] = min(node.lineno, lines.get(node.name, node.lineno))
    return lines


def _sentence(text: str | None) -> str:
    text = (text or "unknown").strip()
    return text[:1].lower() + text[1:] + ("" if text.endswith(".") else ".")
