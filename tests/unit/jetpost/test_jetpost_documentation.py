"""Tables in docs/ that are made from the code."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetpost.cli import app

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "command"), [("settings.md", "config --explain"), ("metrics.md", "metrics")])
def test_a_table_of_the_documentation_is_what_its_command_prints(page, command):
    printed = CliRunner().invoke(app, command.split()).stdout.strip()
    between = rf"<!-- begin: jetpost {command} -->\n(.*)\n<!-- end -->"
    written = re.search(between, (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert written is not None
    assert written[1] == printed, (
        f"docs/{page} is out of date: put the output of `jetpost {command}` between its markers"
    )
