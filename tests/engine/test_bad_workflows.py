"""Every bad workflow stands beside its exact problems: code, JSON pointer, message."""

from pathlib import Path

import pytest

import nodegraph
from nodegraph.packages import Packages, Places

BAD = Path(__file__).parent / "bad"

CASES = sorted(path.stem for path in BAD.glob("*.json"))


def problems_of(case: str) -> str:
    """Check a bad workflow; its folder and what else is installed are written in capitals."""
    problems = nodegraph.check(BAD / f"{case}.json")
    text = "".join(f"{p.code} {p.pointer or '-'}\n  {p.message}\n" for p in problems)
    text = text.replace(str(BAD), "HERE").replace(
        ", ".join(Packages.installed().names), "INSTALLED"
    )
    return text.replace(f"the models of {', '.join(sorted(Places().models))};", "SHIPPED;")


@pytest.mark.parametrize("case", CASES)
def test_a_bad_workflow_gets_its_exact_messages(case: str) -> None:
    expected = (BAD / f"{case}.txt").read_text(encoding="utf-8")
    assert problems_of(case) == expected
    assert expected, "a bad workflow has a problem"


def test_the_corpus_has_no_message_without_a_workflow() -> None:
    assert sorted(path.stem for path in BAD.glob("*.txt")) == CASES
