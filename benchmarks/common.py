"""What the benchmark scripts have in common: options, the machine, files of results."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from refsim.files.output import write_whole


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


RECORDS = Path(__file__).parents[1] / "validation" / "device_records"
RECORD_FORMAT = "refsim-device-record/1"


def figure(name, value, unit, note=""):
    """Print and return one figure of a record; more than six digits no clock has."""
    print(f"{name:<48} {value:14.6g} {unit:<12} {note}", flush=True)
    return {"name": name, "value": float(f"{value:.6g}"), "unit": unit, "note": note}


def leave_record(what, device, found, figures, *paths):
    """Write what was measured on an accelerator where reports of the project look for it."""
    facts = {key: str(value) for key, value in found.items() if value is not None}
    record = {"format": RECORD_FORMAT, "date": facts.pop("date"), "device": device}
    record |= {"workload": what, "versions": facts, "figures": figures}
    plain = "".join(c if c.isalnum() else "-" for c in f"{device} {what}".lower())
    for path in (RECORDS / f"{record['date']}-{plain}.json", *paths):
        write_json(path, record)
