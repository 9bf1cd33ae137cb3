"""What long work says of itself while it runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

AGAIN_S = 15.0
"""Nobody should wait longer than this without a line."""


@contextlib.contextmanager
def telling(
    what: str, say: Callable[[str], None], *, again_s: float = AGAIN_S
) -> Iterator[Callable[[str], None]]:
    """Say what is being done, and every so often that it still is.

    Gives a function that takes what is being done from now on, and says it.
    """
    doing, done, start = [what], threading.Event(), time.monotonic()

    def change(now_doing: str) -> None:
        doing[0] = now_doing
        say(f"  {now_doing} ...")

    def remind() -> None:
        while not done.wait(again_s):
            say(f"  {doing[0]}: {time.monotonic() - start:.0f} s so far")

    change(what)
    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield change
    finally:
        done.set()
        thread.join()
