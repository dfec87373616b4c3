"""What signals do to programs of tests, whatever they do to the tests themselves.

A shell that runs tests in the background has Ctrl-C ignored, and so have the programs that they
start, unless they are told otherwise.
"""

import signal
from contextlib import contextmanager


@contextmanager
def handled(number, handler):
    """Handle a signal in some way in a block."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def obeying(number):
    """Let a signal do to the programs that start in a block what it usually does.

    They inherit that it is ignored, but no handler.
    """
    return handled(number, signal.default_int_handler)
