"""The memory of all decodes together is bounded, and the bounds follow the machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import Overloaded, PayloadTooLarge
from hawkvision.images import ImageLimits, decode
from hawkvision.images.budget import BUDGET, DecodeBudget
from hawkvision.images.memory import cgroup_limits, physical_bytes, usable_bytes
from tests.images.bombs import png


def test_what_fits_beside_others_is_held_and_given_back() -> None:
    budget = DecodeBudget()
    with budget.hold(60, 100), budget.hold(27, 100), budget.hold(6, 100):
        assert budget.held == 93
    assert budget.held == 0


def test_large_ones_leave_an_eighth_to_small_ones_unless_alone() -> None:
    budget = DecodeBudget(0.0)
    with budget.hold(100, 100):
        assert budget.held == 100
    with budget.hold(60, 160):
        with pytest.raises(Overloaded):
            budget.hold(81, 160).__enter__()
        with budget.hold(80, 160), budget.hold(10, 160), budget.hold(10, 160):
            assert budget.held == 160


def test_what_fits_into_no_empty_budget_is_refused_at_once() -> None:
    with pytest.raises(PayloadTooLarge, match="takes 101 bytes of memory; the limit is 100"):
        DecodeBudget(1e9).hold(101, 100).__enter__()


def test_what_does_not_fit_in_time_is_an_overload() -> None:
    budget = DecodeBudget(0.0)
    with budget.hold(60, 100):
        with pytest.raises(Overloaded, match="60 bytes of memory; 29 more"):
            budget.hold(29, 100).__enter__()
        with budget.hold(28, 100):
            pass
    assert budget.held == 0


def test_who_waits_is_let_in_when_another_ends() -> None:
    budget, seen = DecodeBudget(300.0), []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with budget.hold(60, 100):
            entered.set()
            leave.wait(300)

    def second() -> None:
        with budget.hold(60, 100):
            seen.append(budget.held)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    entered.wait(300)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(300)
    assert seen == [60] and budget.held == 0


def test_a_fault_gives_back_what_was_held() -> None:
    with pytest.raises(ZeroDivisionError), BUDGET.hold(5, 10):
        raise ZeroDivisionError
    assert BUDGET.held == 0


def test_a_decode_counts_and_one_that_is_too_much_is_named_so() -> None:
    image = png(1000, 1000)
    assert decode(image).shape == (1000, 1000, 3)
    with pytest.raises(PayloadTooLarge, match="bytes of memory; the limit is 1000000"):
        decode(image, ImageLimits(max_decode_bytes=1_000_000))


@given(st.integers(2**26, 2**40))
def test_every_image_within_the_limit_of_pixels_fits_into_the_budget(memory: int) -> None:
    limits = ImageLimits.of_machine(memory)
    assert 1_000_000 <= limits.max_pixels <= 36_000_000
    assert 16 * limits.max_pixels <= limits.max_decode_bytes
    assert limits.max_decode_bytes <= max(memory // 4, 16_000_000)


@pytest.mark.parametrize(("memory", "pixels"), [(512, 8_388_608), (4096, 36_000_000)])
def test_small_boards_take_smaller_images(memory: int, pixels: int) -> None:
    assert ImageLimits.of_machine(memory * 2**20).max_pixels == pixels


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {"memory.max": "1000\n"}),
        ("0::/a/b\n", {"a/memory.max": "1000\n", "a/b/memory.max": "max\n"}),
        ("0::/a\n", {"a/memory.high": "1000\n", "memory.max": "9000\n"}),
        ("0::/../outside\n", {"memory.max": "1000\n"}),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "1000\n"}),
        ("4:cpu,memory:/gone\n0::/\n", {"memory/memory.limit_in_bytes": "1000\n"}),
    ],
)
def test_limits_of_control_groups_count(tmp_path: Path, groups: str, files: dict[str, str]) -> None:
    assert usable_bytes(tree(tmp_path, groups, files)) == 1000


def test_without_limits_it_is_the_machine(tmp_path: Path) -> None:
    unlimited = {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory.max": "max\n"}
    assert usable_bytes(tree(tmp_path, "4:memory:/\n0::/\n", unlimited)) == physical_bytes()
    assert cgroup_limits(tmp_path / "nothing") == []
    assert usable_bytes(tmp_path / "nothing") == physical_bytes() > 0


STARVED = """
import resource, sys
from hawkvision.errors import Overloaded
from hawkvision.images import decode
from tests.images.bombs import png
decode(png(8, 8))
image = png(4000, 4000, colour=2)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**24,) * 2)
try:
    decode(image, min_side=32)
except Overloaded as error:
    print(error.message)
"""


def test_where_the_system_has_no_memory_left_it_is_an_overload() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True)
    assert "there is no memory to decode the image" in done.stdout, done.stderr
