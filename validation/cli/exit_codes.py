"""Exit codes of the command ``refsim``."""

EXIT_FAILED = 1  # a judge rejects a gradient, or a back end fails
EXIT_USAGE = 2  # wrong arguments or files
EXIT_INCONCLUSIVE = 3  # nothing fails, and what passes is too little to tell
EXIT_INTERRUPTED = 130
