"""The engine of acyclic networks: neurons one after the other, each with all of its arrivals."""
