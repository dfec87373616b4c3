"""How far other simulators, as they are, come from the exact spikes and gradients.

Runs every back end of validation/peers/__init__.py that is installed on the cases of
validation/peers/cases.py, one of each package on the stored cases too; with the time steps that are
usual for it, and the observed order of convergence of the last two. Those that compile for each
network see the cases that say something about them.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from common import machine, options, show_machine, write_json

from validation.case_suite.stored import given_cases
from validation.peers import available_peers, measure, reference
from validation.peers.cases import causality, near_threshold, peer_cases
from validation.peers.eventax import eventax_backend

PACKAGES = ("jax", "diffrax", "torch", "flax")
# Cases for those that compile for each network; the others see all.
FEED_FORWARD = ("feed-forward", "feed-forward, reset below rest", "feed-forward, tau_m = 4 tau_s")
CHAINS = ("chain, exponential", "chain, double exponential")
ASKED = {
    "adseq": (*CHAINS, "resets", "recurrent, delays"),
    "adseq, constant gate": (*CHAINS, "resets"),
    "adseq, constant gate, Ring": CHAINS[:1],
    "eventax, checkpoint": ("causality", "recurrent, delays", "identical neurons"),
    "eventax, EventProp": ("causality", "recurrent, delays"),
    "jaxsnn, EventProp": ("causality", *FEED_FORWARD, "identical neurons", "recurrent, delays"),
    "jaxsnn, analytical": (*FEED_FORWARD, "identical neurons"),
}
HEAD = f"{'peer':28} {'dt':>7} {'spikes':>6} {'lost':>4} {'more':>4} {'time/ms':>8}  gradients"


def entry(peer, dt, found):
    return {
        "peer": peer.name,
        "version": peer.installed,
        "dt": dt,
        "outcome": found.outcome,
        "note": found.note,
        "spikes": found.spikes,
        "missing": found.missing,
        "extra": found.extra,
        "time_error": found.time_error,
        "voltage_error": found.voltage_error,
        "error": found.error,
        "wrong_sign": found.wrong_sign,
        "cpu_s": round(found.seconds, 2),
    }


def shown(row):
    head = f"{row['peer']:28} {row['dt'] or '':>7}"
    if row["outcome"] != "measured":
        return f"{head} {row['outcome']}: {row['note']}"
    groups = []
    for name, error in row["error"].items():
        wrong = row["wrong_sign"][name]
        groups.append(f"{name} {error:.1e}" + (f" ({wrong} of wrong sign)" if wrong else ""))
    return (
        f"{head} {row['spikes']:>6} {row['missing']:>4} {row['extra']:>4} "
        f"{row['time_error']:>8.1e}  {', '.join(groups) or 'none'}"
    )


def order(rows):
    """Return the observed order of the last two steps, by group, where both are finite."""
    long, short = rows[-2:]
    if {long["outcome"], short["outcome"]} != {"measured"}:
        return {}
    pairs = {"spike times": (long["time_error"], short["time_error"])}
    pairs |= {name: (long["error"][name], short["error"][name]) for name in short["error"]}
    ratio = math.log(long["dt"] / short["dt"])
    return {
        name: round(math.log(one / other) / ratio, 2)
        for name, (one, other) in pairs.items()
        if np.isfinite([one, other]).all() and min(one, other) > 0.0
    }


def run_case(case, peers, steps=None):
    """Run all peers on a case, and print as it goes."""
    exact = reference(case)
    print(f"\n{case.name}: {len(exact.simulation.spikes.time)} spikes\n{HEAD}")
    rows = []
    for peer in peers:
        own = []
        for dt in peer.steps[:steps] or (None,):
            found = measure(peer.function, case, exact, **({"dt": dt} if dt else {}))
            own.append(entry(peer, dt, found))
            print(shown(own[-1]), flush=True)
            if found.outcome != "measured":
                break
        if len(own) > 1 and (orders := order(own)):
            own[-1]["order"] = orders
            print(f"{'':28} order " + ", ".join(f"{k} {v}" for k, v in orders.items()))
        rows += own
    return {"case": case.name, "spikes": len(exact.simulation.spikes.time), "rows": rows}


def full(present):
    """Run the cases of the peers, the defaults of eventax on one, and the stored cases."""
    found = []
    for case in peer_cases():
        peers = [p for p in present.values() if case.name in ASKED.get(p.name, (case.name,))]
        found.append(run_case(case, peers))
    one_each = {peer.distribution: peer for peer in reversed(present.values()) if not peer.slow}
    found += [run_case(case, one_each.values(), 1) for case in given_cases()]
    if "eventax, checkpoint" in present:
        coarse = partial(eventax_backend, solver="Euler", tolerance=1e-2)
        as_default = present["eventax, checkpoint"]._replace(
            name="eventax, Euler", function=coarse, steps=(0.1, 0.05)
        )
        found.append(run_case(causality(), [as_default]))
    return found


def without_nan(found):
    """Return results with None in place of nan, which JSON does not have."""
    if isinstance(found, dict):
        return {key: without_nan(value) for key, value in found.items()}
    if isinstance(found, list):
        return [without_nan(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def main():
    arguments = options(__doc__).parse_args()
    found = {"machine": machine(*PACKAGES), "cases": []}
    show_machine(found["machine"])
    present, absent = available_peers()
    for name, why in absent.items():
        print(f"{name}: {why}")
    for peer in present.values():
        if peer.installed != peer.measured:
            print(f"{peer.name}: {peer.installed} is installed, {peer.measured} is documented")
    if arguments.quick:
        quick = [peer for peer in present.values() if not peer.slow]
        compiled = [peer for peer in quick if peer.extra in ("adseq", "jaxsnn")]
        found["cases"].append(run_case(causality(), quick, 1))
        found["cases"].append(
            run_case(near_threshold(), [peer for peer in quick if peer not in compiled], 1)
        )
    else:
        found["cases"] = full(present)
    write_json(arguments.json, without_nan(found))


if __name__ == "__main__":
    main()
