"""The tables in docs/performance.md are those of the stored result."""

import msgspec
import pytest

from benchmarks.frame.figures import figure
from benchmarks.suite import document

RESULT = {
    "balanced": True,
    "figures": msgspec.to_builtins(
        {
            "mails a second": figure("rate", "/s", [8_100.4, 7_900, 8_000], [1, 1, 1]),
            "CPU per mail, total": figure("cost", "µs", [99.96, 98, 97], [1, 1, 1]),
        }
    ),
    "budget": {
        "stages": [
            {"name": "compress", "by": "producer", "own": 7.4, "served_by": "", "served": 0.0},
            {"name": "publish", "by": "producer", "own": 2.6, "served_by": "nats-server", "served": 15.3},
        ]
    },
    "runs": [{"pipelined": {"mails": 200_000, "mail_bytes": 10_244.0}}] * 3,
    "calibration": {"python_loops_per_second": 4.66e6, "memory_gb_per_second": 3.9, "smtp_mails_per_second": 9_000},
    "machine": {"cores": 2, "cpu": "a processor"},
    "versions": {"jetpost": "0.1.0", "python": "3.11.7"},
}


def test_the_tables_say_what_was_measured_and_on_what():
    assert document.tables(RESULT) == (
        "| what | median of 3 runs | lowest | highest |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| mails a second | 8,000/s | 7,900/s | 8,100/s |\n"
        "| CPU per mail, total | 98.0 µs | 97.0 µs | 100.0 µs |\n"
        "\n"
        "| stage, by itself | by | µs CPU | served by | µs CPU |\n"
        "| --- | --- | ---: | --- | ---: |\n"
        "| compress | producer | 7.4 | – | – |\n"
        "| publish | producer | 2.6 | nats-server | 15.3 |\n"
        "\n"
        "Campaigns of 200,000 mails of 10,244 bytes, all balanced. Calibration: 4.66 M loops of Python/s,"
        " memory 3.9 GB/s, smtp-source → smtp-sink 9,000 mails/s.\n"
        "Machine: 2 cores, a processor; jetpost 0.1.0, python 3.11.7.\n"
    )


def test_only_what_is_between_the_markers_is_replaced():
    page = f"before\n{document.BEGIN}old\n{document.END}\nbetween\n<!-- end -->\nafter\n"
    found = document.filled(page, RESULT)
    assert found.startswith(f"before\n{document.BEGIN}| what")
    assert found.endswith(f"{document.END}\nbetween\n<!-- end -->\nafter\n")
    assert document.filled(found, RESULT) == found


def test_a_page_without_markers_is_left_alone():
    with pytest.raises(AssertionError, match="lost its markers"):
        document.filled("nothing here", RESULT)
