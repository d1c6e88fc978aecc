"""Tables in docs/ that are made from the code, and examples, commands and links on all pages that must be right."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetpost.cli import app
from jetpost.settings import load

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def blocks(language: str) -> list[str]:
    """Every code block of a language on our pages."""
    fences = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [block for page in PAGES for block in fences.findall(page.read_text("utf-8"))]


def commands() -> list[str]:
    """Every command line of ours: in a shell block, in an indented block, and within a sentence."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    for page in PAGES:
        text = page.read_text("utf-8")
        lines += re.findall(r"^    (jetpost .*)", text, re.MULTILINE)
        lines += re.findall(r"`(jetpost [^`…]*)`", text)
    return sorted({line for line in lines if line.startswith("jetpost ")})


def links() -> list[tuple[Path, str]]:
    """Links and pictures within the repository, by the page they are on."""
    found = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))]
    return [(page, target) for page, target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have in a browser."""
    headings = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("page", "command"),
    [("settings.md", "config --explain"), ("metrics.md", "metrics"), ("warm-up.md", "warmup simulate")],
)
def test_a_table_of_the_documentation_is_what_its_command_prints(page, command):
    printed = CliRunner().invoke(app, command.split()).stdout.strip()
    between = rf"<!-- begin: jetpost {command} -->\n(.*)\n<!-- end -->"
    written = re.search(between, (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert written is not None
    assert written[1] == printed, (
        f"docs/{page} is out of date: put the output of `jetpost {command}` between its markers"
    )


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_settings_file_on_a_page_is_valid(text, tmp_path):
    file = tmp_path / "jetpost.toml"
    file.write_text(text, "utf-8")
    assert load(file, {}).origins


@pytest.mark.parametrize("line", commands())
def test_a_command_on_a_page_exists_with_its_options(line):
    arguments = shlex.split(line, comments=True)[1:]
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0, result.output


def test_commands_and_links_are_found_on_the_first_page():
    assert "jetpost check examples/newsletter/campaign.toml" in {line.split("  ")[0] for line in commands()}
    assert (ROOT / "README.md", "ARCHITECTURE.md") in links()


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda part: part.name if isinstance(part, Path) else part)
def test_a_link_on_a_page_leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    assert file.exists()
    assert not anchor or anchor in anchors(file)
