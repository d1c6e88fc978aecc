"""What tests of the command line share."""

import asyncio

import pytest
from typer.testing import CliRunner

from jetpost import cli


@pytest.fixture
def command(nats_server):
    """Runs a command as a person would, beside the test's event loop; with more variables of the environment by name."""

    async def run(*arguments: str, code: int = 0, answer: str = "", **variables: str) -> str:
        environment = {"JETPOST_NATS_URL": nats_server.url, "COLUMNS": "200", **variables}
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, arguments, env=environment, input=answer)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    return run
