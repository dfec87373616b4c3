"""How a call of a loop of events ends, and how long it takes."""

RUNNING = 0  # the share of events of this call is used up; call again
DONE = 1  # nothing is left up to the end
SPIKE_LIMIT = 2  # the tape has reached the limit given by the user
FULL = 3  # the queue or the tape is full; grow it and call again
WORKING = 4  # a window is open; seen by kernels alone

# Events between two looks at the keyboard: some hundredths of a second.
SHARE = 100_000
