"""Formulas and verdicts of claims, on cases worked out by hand."""

from __future__ import annotations

import math

import pytest

from flatpose.harness import claims, claims_judge, stats
from flatpose.harness.claims import (
    DIRECTION,
    FAILS,
    HOLDS,
    NOT_COMPARABLE,
    NOT_PRINTED,
    OPPOSITE,
    ROUNDING,
    SAME,
    UNDECIDED,
    Claim,
)
from flatpose.harness.collect import RecordSet
from flatpose.harness.formula import (
    Cell,
    Interval,
    difference,
    evaluate,
    highest,
    inverse_root,
    lowest,
    quotient,
    reduction,
)

A, B = Cell("t", "a", "AP"), Cell("t", "b", "AP")


def claim(formula=A, **expected):
    return Claim(id="x", section="1", quote="q", formula=formula, **expected)


def printed(values):
    return lambda cell: Interval.printed(values[cell]) if cell in values else None


@pytest.mark.parametrize(("a", "b", "expected", "verdict"), [
    (4.9, 14.6, "66", HOLDS),  # 66.4 %
    (4.9, 18.5, "73", ROUNDING),  # 73.5 % by the cells, 73.2 if both were rounded favourably
    (4.9, 18.5, "75", FAILS),
])
def test_reduction_on_published_cells(a, b, expected, verdict):
    value = evaluate(reduction(A, B), printed({A: a, B: b}))
    assert claims.on_published(claim(prints=expected), value).verdict == verdict


def test_missing_cell_and_zero_denominator_have_no_value():
    assert claims.on_published(claim(prints="1"), evaluate(difference(A, B), printed({A: 1.0}))).verdict == NOT_PRINTED
    assert evaluate(reduction(A, B), printed({A: 1.0, B: 0.0})) is None


def test_highest_lowest():
    found = printed({A: 2.0, B: 3.0})
    assert [evaluate(f(A, B), found).mid for f in (highest, lowest)] == [3.0, 2.0]


def test_quotient_and_root_of_what_was_rounded():
    found = printed({A: 8.0, B: 2.0})
    assert evaluate(quotient(A, B), found) == Interval(7.95 / 2.05, 4.0, 8.05 / 1.95)
    assert evaluate(inverse_root(A), lambda _: Interval.exact(64.0)).mid == 0.125


@pytest.mark.parametrize(("expected", "value", "half", "best", "verdict"), [
    ({"prints": "54.6"}, 2.0, 0.2, 3.0, SAME),  # the right sign says nothing about 54.6
    ({"prints": "54.6"}, -2.0, 0.2, 3.0, OPPOSITE), ({"prints": "54.6"}, 0.1, 0.2, 3.0, UNDECIDED),
    ({"prints": "-1.0"}, -2.0, 0.2, 3.0, SAME), ({"above": 0.0}, 2.0, 0.2, 3.0, SAME),
    ({"above": 0.0}, 2.0, None, 3.0, UNDECIDED), ({"above": 0.0}, 0.5, 0.2, 0.9, UNDECIDED),
    ({"prints": "0.0"}, 2.0, 0.2, 3.0, NOT_COMPARABLE), ({"between": (0.0, 1.0)}, 0.5, 0.2, 3.0, NOT_COMPARABLE)])
def test_a_reduced_scale_neither_holds_nor_fails(expected, value, half, best, verdict):
    assert claims_judge._direction(claim(difference(A, B), **expected), value, half, best)[0] == verdict


def test_a_level_cannot_be_compared_at_another_scale():
    assert claims_judge._direction(claim(A, prints="75.4"), 75.4, 0.1, 75.4)[0] == NOT_COMPARABLE


def test_a_sentence_is_judged_by_the_system_that_it_names():
    from flatpose.harness import catalog

    named = Cell("peers", "rtmpose_m", "gflops")
    sentence = claim(reduction(Cell("table2", "flatpose_b", "gflops"), named), prints="33")
    made = RecordSet("peers", costs=({"row": "rtmpose_m", "gflops": 4.2},))
    entries = {**_costs({"flatpose_b": 2.8}), "peers": (catalog.load("peers"), made)}
    judged = claims_judge.judge(sentence, entries)
    assert sentence.as_named and sentence.kind == "cost" and judged.ours.verdict == HOLDS  # by the count made up here
    assert judged.published.verdict == FAILS and judged.published.reason == "the numbers give 45.1 % more"


def test_interval_of_a_difference_is_the_two_sample_t_interval():
    a, b = (75.0, 75.4, 75.8), (74.0, 74.1, 74.5)
    value, half = claims_judge.with_interval(difference(A, B), {A: a, B: b})
    expected = stats.difference(a, b)
    assert math.isclose(value, expected.mean) and math.isclose(half, expected.half_width, rel_tol=1e-6)
    assert claims_judge.with_interval(difference(A, B), {A: (1.0,), B: b})[1] is None


def test_one_kind_of_expectation():
    with pytest.raises(ValueError, match="exactly one"):
        claim(prints="1", above=0.0)


def _costs(gflops):
    """Table 2 as the specs print it, with a measured cost for each of two rows."""
    from flatpose.harness import catalog

    made = RecordSet("table2", costs=tuple({"row": r, "gflops": g} for r, g in gflops.items()))
    return {"table2": (catalog.load("table2"), made)}


@pytest.mark.parametrize(("simcc", "verdict"), [(14.6, HOLDS), (15.79, DIRECTION), (4.0, FAILS)])
def test_wrong_number_planted_in_a_record_changes_the_verdict(simcc, verdict):
    ours, theirs = (Cell("table2", row, "gflops") for row in ("flatpose_l", "simcc"))
    made = _costs({"flatpose_l": 4.95, "simcc": simcc})
    judged = claims_judge.judge(claim(reduction(ours, theirs), prints="66"), made)
    assert judged.published.verdict == HOLDS and judged.ours.verdict == verdict


def test_row_that_does_not_exist():
    with pytest.raises(KeyError, match="no row 'typo'"):
        claims_judge.judge(claim(Cell("table2", "typo", "AP"), above=0.0), _costs({}))
