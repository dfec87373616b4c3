"""What the benchmark scripts have in common: options, the machine, files of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from refsim.files import write_whole


def options(description):
    """Return a parser with the options that every script has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller workloads, under 50 s")
    parser.add_argument("--json", metavar="FILE", help="also write the results as JSON")
    return parser


def version_of(package):
    """Return the version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine(*packages):
    """Say where and with what results were measured; the load, since other work disturbs."""
    return {
        "date": date.today().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: version_of(name) for name in ("numpy", "numba", *packages)},
    }


def show_machine(found):
    print(", ".join(f"{key} {value}" for key, value in found.items()))


def write_json(path, found):
    """Write results, if a path was given."""
    if path:
        write_whole(path, lambda stream: json.dump(found, stream, indent=1))
