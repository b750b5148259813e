"""Metrics against values that can be worked out by hand."""

import numpy as np
import pytest

from nodegraph_blocks.annotator import Found
from nodegraph_blocks.metrics import (
    depth_error,
    depth_nearness,
    edge_f1,
    named_share,
    prompt_scores,
    retrieval,
)
from nodegraph_blocks.scene import Thing


def line(column: int, rows: int = 32) -> np.ndarray:
    edges = np.zeros((1, 32, 32), bool)
    edges[0, :rows, column] = True
    return edges


def test_equal_edges_score_one() -> None:
    assert edge_f1(line(5), line(5))[0, 0] == 1


@pytest.mark.parametrize(("shift", "score"), [(1, 1.0), (2, 1.0), (3, 0.0)])
def test_a_line_counts_within_two_pixels(shift: int, score: float) -> None:
    assert edge_f1(line(5), line(5 + shift))[0, 0] == pytest.approx(score)


def test_half_a_line_has_full_precision_and_a_good_half_of_the_recall() -> None:
    # 16 pixels found; of 32 wanted, 16 are met and 2 more lie within two pixels of the end
    recall = 18 / 32
    assert edge_f1(line(5, 16), line(5))[0, 0] == pytest.approx(2 * recall / (1 + recall))


def test_empty_edges_agree_only_with_empty_edges() -> None:
    empty = np.zeros((1, 32, 32), bool)
    assert edge_f1(empty, empty)[0, 0] == 1
    assert edge_f1(empty, line(3))[0, 0] == 0
    assert edge_f1(line(3), empty)[0, 0] == 0


def test_edges_are_compared_with_every_hint() -> None:
    found = np.concatenate([line(5), line(20)])
    wanted = np.concatenate([line(5), line(20), line(28)])
    assert edge_f1(found, wanted).round(6).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_depth_error_is_the_mean_difference_where_asked() -> None:
    found, wanted = np.zeros((1, 2, 2)), np.array([[[1.0, 0.0], [0.0, 0.0]]])
    assert depth_error(found, wanted).tolist() == [0.25]
    assert depth_error(found, wanted, wanted > 0).tolist() == [1.0]


def test_depth_error_of_nothing_is_zero() -> None:
    nothing = np.zeros((1, 2, 2), bool)
    assert depth_error(np.zeros((1, 2, 2)), np.ones((1, 2, 2)), nothing).tolist() == [0.0]


def test_depth_nearness_is_highest_for_the_own_hint() -> None:
    hints = np.random.default_rng(0).random((4, 8, 8))
    assert (depth_nearness(hints, hints).argmax(1) == np.arange(4)).all()


def test_retrieval_counts_rows_whose_own_column_wins() -> None:
    nearness = np.array([[3.0, 1.0, 2.0], [5.0, 4.0, 1.0], [0.0, 1.0, 2.0]])
    assert retrieval(nearness) == pytest.approx(2 / 3)


def test_a_tie_is_no_hit() -> None:
    assert retrieval(np.ones((4, 4))) == 0


def test_retrieval_looks_at_so_many_candidates_only() -> None:
    nearness = np.eye(4)
    nearness[0, 3] = 2  # the strongest rival of row 0 is the last in its circle
    assert retrieval(nearness, candidates=3) == 1
    assert retrieval(nearness, candidates=4) == pytest.approx(3 / 4)


def test_a_property_counts_as_often_as_it_is_named() -> None:
    assert named_share(["red", "red", "blue"], ["red", "green"]) == (1, 3)
    assert named_share(["red"], ["red", "red"]) == (1, 1)


def test_prompt_scores_of_a_half_right_picture() -> None:
    things = [
        Thing("cube", "red", "matt", -1.0, 0.0, 1.0, 0.0),
        Thing("cone", "blue", "matt", 1.0, 0.0, 1.0, 0.0),
    ]
    found = [Found("cone", "red", 0.3, 0.5, 0.1), Found("sphere", "blue", 0.7, 0.5, 0.1)]
    scores = prompt_scores([things], [found])
    assert scores == {"colour": 1.0, "shape": 0.5, "both": 0.0, "count": 1.0}


def test_an_additional_thing_spoils_the_count_alone() -> None:
    things = [Thing("cube", "red", "matt", 0.0, 0.0, 1.0, 0.0)]
    found = [Found("cube", "red", 0.5, 0.5, 0.2), Found("cone", "blue", 0.2, 0.5, 0.1)]
    scores = prompt_scores([things], [found])
    assert scores == {"colour": 1.0, "shape": 1.0, "both": 1.0, "count": 0.0}
