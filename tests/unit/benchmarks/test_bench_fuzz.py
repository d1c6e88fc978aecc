"""Fuzzing: a few thousand cases over all parsers, and whether the fuzzer finds what there is to find."""

import os
import time
from random import Random

import pytest

from benchmarks.fuzz import crew, part, running, seeds
from benchmarks.fuzz.case import Parser, promise
from benchmarks.fuzz.mutation import Mutator

CASES = 150
NAMES = [parser.name for parser in running.parsers()]


@pytest.mark.parametrize("name", NAMES)
def test_no_parser_crashes_hangs_or_believes_a_forgery(name, caplog):
    for case in range(CASES):
        (parser,) = [one for one in running.parsers() if one.name == name]
        result = running.attempt(parser, case, running.make(7, case, (name,)))
        assert result.failure is None, result.failure


def test_every_parser_gets_its_share():
    shares = [running.parser_of(case).name for case in range(sum(parser.share for parser in running.parsers()))]
    assert {name: shares.count(name) for name in NAMES} == {one.name: one.share for one in running.parsers()}


def test_every_seed_of_ours_is_read_and_those_that_prove_themselves_are_believed(tmp_path):
    for parser in running.parsers():
        for seed in parser.seeds:
            assert running.attempt(parser, 0, seed).failure is None
    assert len(seeds.bounces(tmp_path)) >= 10
    assert seeds.more_callbacks("ses", tmp_path) == []


def test_a_case_is_made_from_seed_and_number_alone():
    made = [running.make(1, case) for case in range(50)]
    assert made == [running.make(1, case) for case in range(50)]
    assert made != [running.make(2, case) for case in range(50)]


def parser_that(run, *given):
    return Parser("of the test", ("text",), [(text,) for text in given], [b"word"], run, 1)


def test_a_crash_is_found_and_made_small():
    def run(case):
        if b"bad" in case[0]:
            raise ValueError("bad")

    failure = running.attempt(parser_that(run), 3, (b"much before bad and much behind",)).failure
    assert (failure.case, failure.given) == (3, (b"bad",))
    assert failure.fault.startswith("raises ValueError at ")


def test_a_promise_that_is_not_kept_is_a_failure_and_known_ones_are_not_made_small_again():
    def run(case):
        promise(len(case[0]) < 5, "too long")

    parser = parser_that(run)
    failure = running.attempt(parser, 0, (b"0123456789",)).failure
    assert (failure.fault, failure.given) == ("breaks a promise: too long", (b"56789",))
    again = running.attempt(parser, 1, (b"0123456789",), {("of the test", failure.fault)}).failure
    assert again.given == (b"0123456789",)


def test_what_takes_too_long_hangs_whatever_it_catches(monkeypatch):
    def run(case):
        while case[0]:
            try:
                time.sleep(0)
            except Exception:
                return

    monkeypatch.setattr("benchmarks.fuzz.case.LIMIT_SECONDS", 0.01)
    failure = running.attempt(parser_that(run), 0, (b"xy",)).failure
    assert (failure.fault, len(failure.given[0])) == ("hangs", 1)


def test_mutations_reach_everything_there_is_in_a_document():
    given = b'{"a": [1, "two", {"b": null}], "c": "{\\"inner\\": 17}"}'
    parser = Parser("of the test", ("json",), [(given,)], [b"word"], lambda _: None, 1)
    made = {Mutator(parser, Random(case)).make()[0] for case in range(2_000)}
    assert len(made) > 1_000
    for word in (b'"a": 1', b'inner\\": [17]', b"NaN", b"[[[[", b"word", b"\\ud800"):
        assert any(word in one for one in made), word
    assert max(map(len, made)) <= parser.most_bytes


def test_processes_share_the_cases_and_count_them_all():
    news = list(crew.work(1, 100, 60, ("tokens of links", "return paths"), 2))
    assert sum(tally.cases for one in news for tally in one.tallies.values()) == 60
    assert [failure for one in news for failure in one.failures] == []


def falls_ill(order, outbox, place):
    """A process that dies at case 2 and stands still at case 4."""
    for case in range(order.first, order.end, order.step):
        place.value = case
        if case == 2:
            os._exit(1)
        while case == 4:
            time.sleep(1)
    place.value = order.end
    outbox.send(crew.News({}, []))


def test_where_a_process_dies_or_stands_still_its_case_has_failed_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(crew, "STANDS_STILL_SECONDS", 1.0)
    monkeypatch.setattr(crew, "TOLD_EVERY_SECONDS", 0.05)
    news = list(crew.work(1, 0, 6, (), 1, falls_ill))
    failures = [(failure.case, failure.fault) for one in news for failure in one.failures]
    assert failures == [(2, "kills its process"), (4, "stands still")]
    assert news[-1].reached == 6


def test_a_parser_that_is_not_there_is_named():
    arguments = type("", (), {"parser": ["nobody"]})
    with pytest.raises(SystemExit, match="there is no parser nobody; there are callbacks of brevo"):
        part._run(arguments, None)
