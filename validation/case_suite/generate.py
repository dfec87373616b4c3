"""The suite of case files: what there is, and how a file is made from a definition.

Seven files (chain, double_exp, driven, equal_tau, refractory, two_ports, voltage) were given; the
others are made here, by the oracle, from the builders of the modules ``case_suite_*``. A file holds
what the oracle says to 30 digits, and is the same to the last byte wherever it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from refsim.errors import InvalidValueError, RefsimError
from refsim.files.output import json_text
from validation.case_suite import (
    basic as case_suite_basic,
    hard as case_suite_hard,
    lateness as case_suite_lateness,
    literature as case_suite_literature,
    networks as case_suite_networks,
)
from validation.case_suite.document import Document, with_bars

STORED_DIGITS = 30
# What is this small against the largest of its group, or against 1, is written as 0.
CHOPPED_DIGITS = 40
DIGITS = 50
# By how much the gradient and differences of simulations may disagree, relative to the terms of a
# sum over a group: the digits that are stored, and five more.
AGREEMENT = 1e-35


class GenerationError(RefsimError, ArithmeticError):
    """The two computations of a gradient disagree, so nothing is stored."""


class Definition(NamedTuple):
    """A case of the suite."""

    name: str
    build: Callable[[], Document]
    description: str


def definitions() -> list[Definition]:
    """Return all cases that can be made, by name."""
    modules = (
        case_suite_basic,
        case_suite_hard,
        case_suite_networks,
        case_suite_literature,
        case_suite_lateness,
    )
    found = [
        Definition(build.__name__, build, str(build.__doc__).split("\n")[0])
        for module in modules
        for build in module.CASES
    ]
    found += [Definition(*member) for member in case_suite_hard.members()]
    return sorted(found)


def definition(name: str) -> Definition:
    """Return a case by its name."""
    known = {each.name: each for each in definitions()}
    if name not in known:
        raise InvalidValueError(f"name is {name!r}; expected one of {', '.join(known)}")
    return known[name]


def stored_files() -> list[Path]:
    """Return the case files that come with the package, by name."""
    return sorted(Path(str(files("validation.cases"))).glob("*.json"))


def generated(given: Definition, digits: int = DIGITS, check: bool = True) -> str:
    """Return the text of a case file.

    Parameters
    ----------
    given : Definition
        What to simulate.
    digits : int
        Digits of the simulation; those stored are fewer.
    check : bool
        Compare the gradient with differences of simulations.

    Raises
    ------
    GenerationError
        If the gradient and the differences disagree.
    """
    from validation import oracle
    from validation.oracle import check as oracle_check, derivatives as oracle_gradient
    from validation.oracle.model import require_mpmath

    mp = require_mpmath()
    document = given.build()
    run = oracle.simulate(document, digits)
    case = with_bars(document, len(run.spike_times))
    found = oracle_gradient.differentiate(case, digits)
    if check and found.groups:
        errors = oracle_check.disagreement(case, found.groups)
        worst = max(errors, key=lambda group: errors[group])
        if not errors[worst] <= AGREEMENT:
            raise GenerationError(
                f"{given.name}: gradient and differences of {worst} disagree by "
                f"{errors[worst]:.1e}; expected at most {AGREEMENT:.0e}"
            )
    with mp.workdps(digits):
        known: dict[str, Any] = {
            "spike_times": _decimals(run.spike_times),
            "spike_neurons": run.spike_neurons,
        }
        if run.voltages:
            known["voltages"] = _decimals(run.voltages)
        if found.groups:
            known["gradient"] = {name: _decimals(group) for name, group in found.groups.items()}
        head = {
            "format": case.pop("format"),
            "name": given.name,
            "description": given.description,
        }
        distance = {"min_slope": found.min_slope, "min_gap": found.min_gap}
        conditioning = {
            name: None if value is None else mp.nstr(value, 6) for name, value in distance.items()
        }
    return json_text(head | case | {"conditioning": conditioning, "expected": known}) + "\n"


def _decimals(values: list[Any]) -> list[str]:
    """Return decimal strings of STORED_DIGITS digits, and 0 for what is below all digits."""
    from validation.oracle.model import require_mpmath

    mp = require_mpmath()
    least = mp.mpf(10) ** -CHOPPED_DIGITS * max([1, *map(abs, values)])
    return [mp.nstr(x if abs(x) >= least else mp.mpf(0), STORED_DIGITS) for x in values]
