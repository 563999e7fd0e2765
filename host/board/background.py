"""One event loop in a thread of its own: PYNQ's interrupts are coroutines, and a notebook's own loop is already running."""

import asyncio
import inspect
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cache
from typing import Any, TypeVar

from terntable.host.errors import DeviceTimeout

__all__ = ["InterruptLine", "in_loop", "within"]

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    # For the life of the process: PYNQ keeps an interrupt's file with the loop that it was opened in.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="terntable-board", daemon=True).start()
    return loop


def in_loop(call: Callable[[], T]) -> T:
    """Result of a function that finds the loop running: what it opens is heard there."""
    async def run() -> T:
        return call()

    return asyncio.run_coroutine_threadsafe(run(), _loop()).result()


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """Result of a function that may hang, such as a call over a network; DeviceTimeout when it takes longer."""
    results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((True, call()))
        except BaseException as error:
            results.put((False, error))

    threading.Thread(target=run, name="terntable-call", daemon=True).start()
    try:
        well, value = results.get(timeout=seconds)
    except queue.Empty:
        raise DeviceTimeout(f"{what} was not answered within {seconds:g} seconds") from None
    if not well:
        raise value
    return value


class InterruptLine:
    """Waits for a `pynq.interrupt.Interrupt` from ordinary code."""

    def __init__(self, interrupt: Any) -> None:
        self._interrupt = interrupt

    @staticmethod
    def of(driver: Any) -> "InterruptLine | None":
        """The line called `interrupt` of a driver; None when it is not wired or cannot be heard, as over a network."""
        interrupt = getattr(driver, "interrupt", None)
        wait = getattr(interrupt, "wait", None)
        return InterruptLine(interrupt) if inspect.iscoroutinefunction(wait) else None

    def wait(self, seconds: float) -> bool:
        """Whether the line rose within `seconds`."""
        waiting: Coroutine[Any, Any, None] = self._interrupt.wait()
        future = asyncio.run_coroutine_threadsafe(waiting, _loop())
        try:
            future.result(seconds)
            return True
        except FutureTimeout:
            return False
        finally:
            future.cancel()
