"""Every bad workflow stands beside its exact problems: code, JSON pointer, message."""

from pathlib import Path

import pytest

import nodegraph
from nodegraph.packages import Packages

BAD = Path(__file__).parent / "bad"

CASES = sorted(path.stem for path in BAD.glob("*.json"))


def problems_of(case: str) -> str:
    """Check a bad workflow; its folder is written as HERE, the packages as INSTALLED."""
    problems = nodegraph.check(BAD / f"{case}.json")
    installed = ", ".join(Packages.installed().names)
    lines = [f"{p.code} {p.pointer or '-'}\n  {p.message}\n" for p in problems]
    return "".join(lines).replace(str(BAD), "HERE").replace(installed, "INSTALLED")


@pytest.mark.parametrize("case", CASES)
def test_a_bad_workflow_gets_its_exact_messages(case: str) -> None:
    expected = (BAD / f"{case}.txt").read_text(encoding="utf-8")
    assert problems_of(case) == expected
    assert expected, "a bad workflow has a problem"


def test_the_corpus_has_no_message_without_a_workflow() -> None:
    assert sorted(path.stem for path in BAD.glob("*.txt")) == CASES
