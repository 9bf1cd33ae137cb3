"""Which output holds the scores: by type, shape and name, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import CalibrationError
from hawkvision.taskbuild.outputs import Output, choose_output

LABEL = Output("label", "tensor(int64)", ("N",))
DICTIONARIES = Output("probabilities", "seq(map(int64,tensor(float)))", ())


def floats(name: str, *shape: int | str | None) -> Output:
    return Output(name, "tensor(float)", shape)


@pytest.mark.parametrize(
    ("outputs", "classes", "chosen"),
    [
        ([LABEL, floats("probabilities", "N", 2)], 2, "probabilities"),
        ([LABEL, floats("p", "N", 10)], 10, "p"),
        ([floats("features", "N", 2048), floats("x", "N", 10)], 10, "x"),
        ([floats("embedding", "N", 512), floats("y", "N", None)], 10, "y"),
        ([floats("logits", "N", 10), floats("aux_logits", "N", 10)], 10, "logits"),
        ([floats("logits", "N", 10), floats("probabilities", "N", 10)], 10, "logits"),
        ([floats("boxes", "N", 10, 4), floats("z", "N", 10, 1, 1)], 10, "z"),
        ([floats("z", 1000)], 10, "z"),
        ([floats("z", "N", 1), floats("y", "N", 2)], 2, "y"),
        ([floats("z", "N")], 2, "z"),
        ([Output("z", "tensor(uint8)", ("N", 10))], 10, "z"),
        ([Output("z", "tensor(float16)", ("N", 10))], 10, "z"),
        ([Output("z", "tensor(double)", ("N", 10))], 10, "z"),
    ],
)
def test_the_scores_are_found(outputs: list[Output], classes: int, chosen: str) -> None:
    assert choose_output("edge", outputs, None, [classes]).name == chosen


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([LABEL], "label int64"),
        ([LABEL, DICTIONARIES], "probabilities seq"),
        ([floats("a", "N", 10), floats("b", "N", 10)], "several outputs"),
        ([floats("a", "N", 5), floats("b", "N", 7)], "several outputs"),
        ([floats("a", "N", 0)], "no output"),
        ([floats("a", "N", 10, 7, 7)], "no output"),
        ([Output("a", "tensor(string)", ("N", 10))], "no output"),
        ([Output("a", "tensor(uint8)", ("N",))], "no output"),
    ],
)
def test_what_cannot_be_told_is_refused_with_all_outputs(outputs: list[Output], said: str) -> None:
    with pytest.raises(CalibrationError, match=said) as refused:
        choose_output("edge", outputs, None, [10])
    assert all(output.name in refused.value.message for output in outputs)
    assert "output=NAME" in refused.value.hint


def test_a_name_decides_and_must_be_one_that_holds_scores() -> None:
    outputs = [LABEL, floats("a", "N", 10), floats("b", "N", 10)]
    assert choose_output("edge", outputs, "b", [10]).name == "b"
    for name in ("c", "label"):
        with pytest.raises(CalibrationError, match=name):
            choose_output("edge", outputs, name, [10])


sides = st.one_of(st.none(), st.just("N"), st.integers(0, 12))
kinds = st.sampled_from(["tensor(float)", "tensor(int64)", "seq(tensor(float))", "tensor(uint8)"])
made = st.builds(Output, st.text(max_size=6), kinds, st.lists(sides, max_size=4).map(tuple))


@given(st.lists(made, max_size=4), st.lists(st.integers(1, 12), max_size=3))
def test_a_choice_always_holds_scores(outputs: list[Output], classes: list[int]) -> None:
    try:
        found = choose_output("edge", outputs, None, classes)
    except CalibrationError:
        return
    assert found.scores and found in outputs
