"""The runner of pages: what it reads of them, and that it sees outputs that differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.docs.blocks import blocks
from tests.docs.console import Step, lines, matches, steps

PAGE = """
Words, and a block that is not run:

<!-- not run: it is the end of everything -->
```sh
rm -rf /
```

```console
$ echo one
one
$ cat <<'END'
> two
>
> END
two

```

<!-- numbers: 10% -->
```console
$ serve &
ready
```

<!-- soon; numbers: 5% -->
```console
$ look
1
```

<!-- soon -->
```console
$ look
```
"""


def test_commands_are_read_with_their_lines_and_outputs() -> None:
    first, second, third, *looks = steps(PAGE)
    assert (first.command, first.expected, first.line) == ("echo one", ["one"], 10)
    assert (second.command, second.expected) == ("cat <<'END'\ntwo\n\nEND", ["two", ""])
    assert (third.command, third.tolerance, third.goes_on) == ("serve &", 0.1, True)
    assert [one.soon for one in (first, second, third, *looks)] == [False] * 3 + [True] * 2
    assert [one.tolerance for one in looks] == [0.05, 0.0]


def test_scripts_and_programs_are_steps_too() -> None:
    script, words, program = steps(
        "```sh\none \\\n  two\n# a word\n\nthree\n```\n\n"
        "```python\nprint(1)\n```\n\n<!-- numbers: 3% -->\n```text\n1\n```\n"
    )
    assert (script.command, script.expected, script.line) == ("one \\\n  two", [], 2)
    assert (words.command, words.line) == ("three", 6)
    assert program.command.splitlines()[1] == "print(1)"
    assert (program.expected, program.tolerance) == (["1"], 0.03)


def test_what_is_ended_by_ctrl_c_may_say_more_after_it() -> None:
    step = Step(1, "serve", ["ready", "^C"])
    assert step.interrupted and matches(step, "ready\nover\n")
    assert not matches(step, "starting\n")


def test_marks_say_what_a_block_needs() -> None:
    [block] = blocks("<!-- needs: jq, ffmpeg; soon; numbers: 5% -->\n```console\n$ a\n```\n")
    assert (block.needs, block.soon, block.tolerance) == (("jq", "ffmpeg"), True, 0.05)
    with pytest.raises(ValueError, match="line 3: unknown mark <!-- not runn: why -->"):
        list(blocks("<!-- not runn: why -->\n```sh\n```\n"))


def test_output_without_a_command_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(steps("```console\nout\n```\n"))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ([], ""),
        (["a 1"], "a 1\n"),
        (["a    b"], "a b\n"),
        (["┏━━━┓"], "┏━━━━━━━┓\n"),
        (["id …, ms …"], "id 7f, ms 3.2\n"),
        (["…"], ""),
        (["…", "end"], "one\ntwo\nend\n"),
        (["one", "…"], "one\ntwo\nend\n"),
        (["one", "…", "end"], "one\nend\nend\n"),
        (["red"], "\x1b[31mred\x1b[0m\n"),
    ],
)
def test_outputs_that_are_as_written(expected: list[str], said: str) -> None:
    assert matches(Step(1, "c", expected), said)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ([], "more\n"),
        (["a 1"], "a 2\n"),
        (["a"], "a\nb\n"),
        (["a", "b"], "a\n"),
        (["a…"], "b\n"),
        (["…", "end"], "one\nend\nmore\n"),
        (["a.c"], "abc\n"),
    ],
)
def test_outputs_that_are_not(expected: list[str], said: str) -> None:
    assert not matches(Step(1, "c", expected), said)


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("0.95 of 1,000", True),
        ("0.99 of 1,040", True),
        ("0.99 of 1,060", False),
        ("0.80 of 1,000", False),
        ("many of 1,000", False),
    ],
)
def test_numbers_may_be_near(said: str, same: bool) -> None:
    assert matches(Step(1, "c", ["0.95 of 1,000"], tolerance=0.05), f"{said}\n") is same


def test_names_with_digits_are_no_numbers() -> None:
    assert not matches(Step(1, "c", ["int8 v100"], tolerance=0.5), "int9 v101\n")


def test_what_goes_on_may_say_more() -> None:
    assert matches(Step(1, "serve &", ["ready"]), "ready\nlater\n")
    assert not matches(Step(1, "serve &", ["ready"]), "starting\n")


@given(st.lists(st.text("ab …1.", max_size=6), max_size=5))
def test_every_output_is_as_itself(printed: list[str]) -> None:
    assert matches(Step(1, "c", printed, tolerance=0.0), lines(printed))
