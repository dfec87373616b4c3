"""How refsim's time per synaptic event grows with neurons, in-degree, rate and threads."""

from __future__ import annotations

import statistics

from workloads import balanced

EVENTS = 5_000_000  # of a run, or so
RATE = 20.0  # Hz, or so, of the drive that is not varied
DRIVE = 500.0  # pA


def duration(n, in_degree, rate=RATE):
    return max(20.0, 1000.0 * EVENTS / (n * in_degree * rate))


def cases(quick):
    """Yield what grows, its value, and the arguments of a balanced network."""
    fixed = 1000 if quick else 10_000
    for n in (1000, 3000) if quick else (1000, 3000, 10_000, 30_000, 100_000):
        yield "neurons", n, (n, 100, DRIVE)
    for in_degree in (10, 100) if quick else (10, 30, 100, 300, 1000):
        yield "in-degree", in_degree, (fixed, in_degree, DRIVE)
    for drive in (450.0, 700.0) if quick else (400.0, 450.0, 500.0, 700.0, 1000.0, 1500.0):
        yield "rate", drive, (fixed, 100, drive)


def measure(session, ours, threads, quick):
    """Run refsim on all cases, with equal and with spread delays; print and return rows."""
    form = "{:<10} {:>9} {:>7} {:>8} {:>11} {:>8} {:>12} {:>13}"
    heads = "by value delays threads events Hz ns_per_event B_per_synapse"
    print("\n" + form.format(*heads.split()))
    rows = []
    for grows, value, (n, in_degree, drive) in cases(quick):
        for delays in ("equal", "spread"):
            name = f"{grows} {value} {delays}"
            length = duration(n, in_degree)
            path = session.workload(
                name,
                lambda n=n, delays=delays, in_degree=in_degree, length=length, drive=drive: (
                    balanced(n, delays, 1, in_degree, length, drive)
                ),
            )
            for count in threads:
                row = session.run(ours(count), path, options=("--runs", "3"))
                if row is None:
                    continue
                # On a shared machine CPU time says more, but not what a second thread gains.
                times = row["cpu_s"] if count == 1 else row["wall_s"]
                ns = 1e9 * statistics.median(times) / max(row["events"], 1)
                row = {"grows": grows, "value": value, "delays": delays, "threads": count, **row}
                row |= {"neurons": n, "in_degree": in_degree, "drive": drive, "ns_per_event": ns}
                rows.append(row)
                print(
                    form.format(
                        grows,
                        value,
                        delays,
                        count,
                        f"{row['events']:,}",
                        f"{row['rate_hz']:.1f}",
                        f"{ns:.2f}",
                        f"{row['bytes_per_synapse']:.0f}",
                    ),
                    flush=True,
                )
            path.unlink()
    return rows
