"""Other simulators behind the interface of `validation.backend`, one a module."""
