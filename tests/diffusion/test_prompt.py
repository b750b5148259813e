"""Prompt syntax and the layout of tokens."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph_diffusion.prompt import Piece, Syntax, parse
from nodegraph_diffusion.tokens import END, START, chunk, tokenizer

ENCODE = tokenizer()
PROMPTS = st.text(alphabet="ab ():[]\\1.2,é<|>", max_size=60)


def weights(text: str, syntax: Syntax = "comfy") -> list[tuple[str, float]]:
    """Return pieces as plain pairs, rounded."""
    return [(piece.text, round(piece.weight, 6)) for piece in parse(text, syntax)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a red cube", [("a red cube", 1.0)]),
        ("", []),
        ("a (red) cube", [("a ", 1.0), ("red", 1.1), (" cube", 1.0)]),
        ("((x))", [("x", 1.21)]),
        ("(x:1.2)", [("x", 1.2)]),
        ("(x: .5)", [("x", 0.5)]),
        ("(x:-1)", [("x", -1.0)]),
        ("((x:1.5))", [("x", 1.5)]),
        ("(a (b:1.5) c:2)", [("a ", 2.0), ("b", 1.5), (" c", 2.0)]),
        ("((a) b:2)", [("a", 2.2), (" b", 2.0)]),
        (r"a \(b\) c", [("a (b) c", 1.0)]),
        (r"(a \(b\):1.3)", [("a (b)", 1.3)]),
        (r"a \\ b \n", [(r"a \ b \n", 1.0)]),
        ("(a", [("(a", 1.0)]),
        ("a) (b:2)", [("a) ", 1.0), ("b", 2.0)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("[a]", [("[a]", 1.0)]),
        ("(:1.2)", []),
    ],
)
def test_syntax(text: str, pieces: list[tuple[str, float]]) -> None:
    assert weights(text) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("(a (b:1.5) c:2)", [("a ", 2.0), ("b", 3.0), (" c", 2.0)]),
        ("[x]", [("x", round(1 / 1.1, 6))]),
        ("[(x)]", [("x", 1.0)]),
        ("([x)]", [("(", 1.0), ("x)", round(1 / 1.1, 6))]),
    ],
)
def test_the_other_profile_multiplies_and_knows_brackets(
    text: str, pieces: list[tuple[str, float]]
) -> None:
    assert weights(text, "a1111") == pieces


def test_plain_text_has_no_syntax() -> None:
    assert parse("(a:2) [b]", "plain") == [Piece("(a:2) [b]", 1.0)]


@given(PROMPTS)
def test_only_marks_and_numbers_are_taken_away(text: str) -> None:
    rest = iter(text)
    assert all(sign in rest for piece in parse(text) for sign in piece.text)


@given(st.text(alphabet="ab :.1,é<|>[]", max_size=60))
def test_text_without_parentheses_is_one_piece(text: str) -> None:
    assert "".join(piece.text for piece in parse(text)) == text
    assert all(piece.weight == 1.0 for piece in parse(text))


@given(st.text(max_size=40), st.floats(0.1, 3))
def test_escaped_text_in_parentheses_keeps_its_weight(text: str, weight: float) -> None:
    for sign in "\\()[]":
        text = text.replace(sign, "\\" + sign)
    expected = text
    for sign in "\\()[]":
        expected = expected.replace("\\" + sign, sign) if sign != "\\" else expected
    pieces = parse(f"({text}:{weight:.3f})")
    assert all(piece.weight == float(f"{weight:.3f}") for piece in pieces)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        ")" * 100_000,
        "\\" * 100_000,
        "(a)" * 33_000,
        "(a:1" * 25_000,
        "(" + ":" * 99_000 + ")",
        "[(" * 50_000,
    ],
)
def test_hostile_prompts_are_parsed_in_bounded_time(text: str) -> None:
    before = time.process_time()
    parse(text)
    parse(text, "a1111")
    assert time.process_time() - before < 10


def test_deep_nesting_says_what_is_too_strong() -> None:
    with pytest.raises(ValueError, match=r"prompt: a weight of 106\.719 is too strong"):
        parse("(" * 40_000 + "x" + ")" * 40_000)


def test_a_prompt_is_framed_and_padded_with_the_end_token() -> None:
    (only,) = chunk(parse("a red metal sphere"), ENCODE)
    assert only.ids[:6] == (START, 320, 736, 4044, 6987, END)
    assert only.ids[6:] == (END,) * 71
    assert len(only.weights) == 77


def test_an_empty_prompt_is_one_chunk() -> None:
    (only,) = chunk([], ENCODE, padding=0)
    assert only.ids == (START, END, *[0] * 75)


def test_special_tokens_in_a_prompt_stay_text() -> None:
    (only,) = chunk(parse("x <|endoftext|> <|startoftext|> y"), ENCODE)
    text = only.ids[1 : only.ids.index(END)]
    assert START not in text
    assert len(text) > 8


def test_weights_stand_beside_their_tokens() -> None:
    (only,) = chunk(parse("a (red:1.3) cube"), ENCODE)
    assert only.weights[:5] == (1.0, 1.0, 1.3, 1.0, 1.0)


def test_long_prompts_become_chunks_of_75() -> None:
    chunks = chunk(parse("cat " * 160), ENCODE)
    assert [c.ids.index(END) - 1 for c in chunks] == [75, 75, 10]
    assert all(len(c.ids) == 77 for c in chunks)


def test_short_words_are_not_torn_between_chunks() -> None:
    long = next(word for word in ["unbelievablyish"] if 1 < len(ENCODE(word)) < 8)
    first, second = chunk(parse("cat " * 74 + long), ENCODE)
    assert first.ids.index(END) == 75
    assert second.ids[1 : 1 + len(ENCODE(long))] == tuple(ENCODE(long))


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_words_one_by_one_have_the_tokens_of_the_text(text: str) -> None:
    ids = [t for c in chunk([Piece(text, 1.0)], ENCODE) for t in c.ids if t not in (START, END)]
    assert ids == [t for t in ENCODE(text) if t not in (START, END)]


@pytest.mark.parametrize("text", ["word " * 100_000, "(" * 1_000_000, "1 " * 49_000, "(" * 100_000])
def test_prompts_without_end_are_refused_at_once(text: str) -> None:
    before = time.process_time()
    with pytest.raises(ValueError, match=r"^prompt: .*(too many|more than)"):
        chunk(parse(text), ENCODE)
    assert time.process_time() - before < 5


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prompt: '\\udcff' is no character; give the text as"):
        parse("red \udcff cube")
