"""`python -m jetpost.simulator`: a simulator on its own. Prints its ports as one JSON line when it is ready."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import msgspec

from jetpost.simulator import process, profiles
from jetpost.simulator.settings import Faults, SimulatorSettings, Tls


def main() -> None:
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="jetpost-simulator-") as temporary:
        process.run(_settings(arguments, Path(temporary)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jetpost.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="SMTP; 0: any free port")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--smtps-port", type=int, help="implicit TLS; needs --certificate and --key")
    parser.add_argument("--certificate", type=Path, help="PEM; with it STARTTLS is offered")
    parser.add_argument("--key", type=Path, help="PEM")
    parser.add_argument("--user", help="name:password; mail is taken only after AUTH")
    parser.add_argument("--no-pipelining", action="store_true")
    parser.add_argument("--no-chunking", action="store_true")
    parser.add_argument("--latency", type=float, default=0, help="seconds before every reply")
    parser.add_argument("--slow", type=float, default=2, help="seconds that a +slow recipient takes")
    parser.add_argument("--greylist", type=float, default=3, help="seconds that a +greylist recipient is turned away")
    parser.add_argument("--throttled-tries", type=int, default=2, help="tries of a +throttled recipient that fail")
    parser.add_argument("--faults", default="{}", help='JSON, such as {"drop_after_accepting": 0.01}')
    parser.add_argument("--profiles", default="", help=profiles.HELP)
    parser.add_argument("--state-dir", type=Path, help="where accepted ids are written; default: until it stops")
    return parser


def _settings(arguments: argparse.Namespace, temporary: Path) -> SimulatorSettings:
    tls = Tls(certificate=arguments.certificate, key=arguments.key) if arguments.certificate else None
    name, _, password = (arguments.user or "").partition(":")
    return SimulatorSettings(
        state_dir=arguments.state_dir or temporary,
        host=arguments.host,
        port=arguments.port,
        control_port=arguments.control_port,
        smtps_port=arguments.smtps_port,
        tls=tls,
        credentials=(name, password) if name else None,
        pipelining=not arguments.no_pipelining,
        chunking=not arguments.no_chunking,
        latency_seconds=arguments.latency,
        slow_seconds=arguments.slow,
        greylist_seconds=arguments.greylist,
        throttled_tries=arguments.throttled_tries,
        faults=msgspec.json.decode(arguments.faults, type=Faults),
        profiles=profiles.chosen(arguments.profiles),
    )


if __name__ == "__main__":
    main()
