"""Back through the tape of the event engine, one event after the other."""
