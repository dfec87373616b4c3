"""Other simulators behind the interface of `validation.comparison.backend`, one a module."""
