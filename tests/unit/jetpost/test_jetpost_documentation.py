"""Tables in docs/ that are made from the code, and examples that must be right."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetpost.cli import app
from jetpost.settings import load

DOCS = Path(__file__).parents[3] / "docs"
OURS = ("settings.md", "metrics.md", "operations.md", "failures.md")


def blocks(language: str) -> list[str]:
    """Every code block of a language on our pages."""
    fences = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [block for page in OURS for block in fences.findall((DOCS / page).read_text("utf-8"))]


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jetpost ")]


@pytest.mark.parametrize(("page", "command"), [("settings.md", "config --explain"), ("metrics.md", "metrics")])
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


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_on_a_page_exists_with_its_options(line):
    arguments = shlex.split(line, comments=True)[1:]
    result = CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
