"""Certification of a back end: what it answers to each case, beside the reference.

`certify` never fails because of the back end that it judges: whatever that raises or returns
becomes a verdict with a note.
"""

from __future__ import annotations

import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from adjoint.check import Evaluation, evaluate
from refsim.cases import Case
from refsim.errors import IllConditionedWarning, RefsimError
from refsim.grid.scheme import GridScheme
from refsim.results.result import Conditioning
from validation.certification.convergence import converged
from validation.certification.deciding import deciding_step
from validation.certification.request import Request, loaded, name_of, request_of, versions_of
from validation.comparison.answers import AnswerError, CheckedAnswer, checked_answer
from validation.comparison.backend import LossCotangents, NotExpressibleError
from validation.comparison.certificate import (
    NO_REFERENCE,
    NOT_OFFERED,
    WOULD_DECIDE,
    CaseVerdict,
    Cause,
    Certificate,
    CertificationInterrupted,
    GroupVerdict,
    Lateness,
)
from validation.comparison.comparison import first_difference, scales
from validation.comparison.grid_reference import conditioning_of, grid_evaluation
from validation.comparison.judging import (
    Yardstick,
    decided,
    is_given,
    judged,
    yardstick,
)
from validation.comparison.lateness import (
    Evidence,
    evidence_of,
    failing,
    lateness_of,
    of_exact,
)
from validation.diagnosis.diagnose import Suspect, diagnose
from validation.names import PrecisionName

MOST_OF_A_NOTE = 1000  # characters


def certify(
    backend: Callable[..., Any],
    cases: Iterable[Case | str | os.PathLike[str]] | None = None,
    *,
    steps: Sequence[float] | None = None,
    name: str | None = None,
    groups: Sequence[str] | None = None,
    rtol: float | Mapping[str, float] | None = None,
    precision: PrecisionName | None = None,
    scheme: GridScheme | None = None,
    latency: float | None = None,
    on_case: Callable[[CaseVerdict], object] | None = None,
) -> Certificate:
    """Judge the spikes and gradients of a back end by those of the reference.

    Parameters
    ----------
    backend : callable
        ``backend(network, inputs, duration, cotangents)``, as `validation.comparison.backend` says;
        it returns an Answer, or a tuple (spikes, gradient) or (spikes, gradient, voltages).
    cases : iterable of Case or path, optional
        Cases, case files, folders of them, and names of stored cases; the standard suite if not
        given.
    steps : sequence of float, optional
        Time steps in ms of a back end with a grid, which takes each as the keyword ``dt``. It is
        judged by whether its errors vanish with the step.
    name : str, optional
        Name for reports; that of the back end if not given.
    groups : sequence of str, optional
        Groups that must be offered, such as "delay" or "voltages".
    rtol : float or mapping of str to float, optional
        Tolerance relative to the largest entry of a group, for all or by group. By default one is
        derived from rounding and from the condition of each case, see docs/certify.md.
    precision : {"float64", "float32"}, optional
        Format in which the back end computes; by default its attribute ``precision``, or float64.
    scheme : GridScheme, optional
        Rules of a time grid that the back end follows. It is then judged to rounding, at each of
        ``steps``, by our engine with the same rules, and not by whether its errors vanish.
    latency : float, optional
        Steps by which arrivals act later than their times say, of a back end with ``steps`` that is
        made so; by default its attribute ``latency``, or 0. A constant lateness beyond it fails.
    on_case : callable, optional
        Called with the CaseVerdict of each case when it is done.

    Returns
    -------
    Certificate
        Verdicts by case and by group of parameters, with the first spike that differs and a
        probable cause.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is wrong, or a case file cannot be read. Never for what the back end does.
    CertificationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` is the Certificate of the cases done.
    """
    request = request_of(backend, steps, groups, rtol, precision, scheme, latency)
    given = loaded(cases)
    certificate = Certificate(
        backend=name_of(backend) if name is None else str(name),
        versions=versions_of(backend),
        machine=f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cases=(),
        required=request.required,
    )
    try:
        for case in given:
            verdict = certified_case(request, case)
            cases_done = (*certificate.cases, verdict)
            late = _of_all(request, cases_done)
            certificate = replace(certificate, cases=cases_done, lateness=late)
            if on_case is not None:
                on_case(verdict)
    except KeyboardInterrupt:
        done = f"interrupted: {len(certificate.cases)} of {len(given)} cases were judged"
        raise CertificationInterrupted(done, certificate) from None
    return certificate


def _of_all(request: Request, cases: Sequence[CaseVerdict]) -> tuple[Lateness, ...]:
    """Return the lateness that all cases together show, of an exact back end the best measured."""
    if request.evidence:
        found = lateness_of(sum(request.evidence, Evidence.none()), request.latency)
        if not is_given("spike_times", request.rtol):
            return found
        return tuple(row._replace(verdict="pass", least=np.inf) for row in found)
    measured = [row for case in cases if _spikes_pass(case) for row in case.lateness]
    return tuple(sorted(measured, key=lambda row: row.least)[:1])


def _spikes_pass(case: CaseVerdict) -> bool:
    return any(row.group == "spike_times" and row.verdict == "pass" for row in case.groups)


def certified_case(request: Request, case: Case) -> CaseVerdict:
    """Judge one case."""
    try:
        with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
            reference = evaluate(case)
            _ = reference.gradient
    except RefsimError as error:
        return _without_reference(case, f"{NO_REFERENCE}: {error}")
    if request.scheme is None:
        return certified_evaluation(request, reference)
    return _certified_by_scheme(request, reference, request.scheme)


def _certified_by_scheme(
    request: Request, reference: Evaluation, scheme: GridScheme
) -> CaseVerdict:
    """Judge the answers at each step by our engine with the same rules; return the worst."""
    verdicts = []
    for dt in request.steps:
        backend = partial(request.backend, dt=dt)
        try:
            on_grid = grid_evaluation(reference, dt, scheme)
            _ = on_grid.gradient
        except RefsimError as error:
            return _without_reference(reference.case, f"{NO_REFERENCE}: {error}")
        verdicts.append(certified_evaluation(replace(request, backend=backend, steps=()), on_grid))
    order = {"fail": 0, "skip": 1, "pass": 2}
    return min(verdicts, key=lambda verdict: order[verdict.verdict])


def certified_evaluation(request: Request, reference: Evaluation) -> CaseVerdict:
    """Judge the answers of a back end by our evaluation of a case."""
    # Before anybody is asked: a back end may write into the case by ways that no lock closes.
    measure = None if request.steps else _quiet_yardstick(request, reference)
    started = time.perf_counter()
    cotangents = _cotangents(reference)
    answers: list[tuple[float, CheckedAnswer]] = []
    try:
        for dt in request.steps or (0.0,):
            answers.append((dt, _asked(request, reference.case, cotangents, dt)))
    except NotExpressibleError as error:
        return _unanswered(reference, "skip", _noted(error), started)
    except AnswerError as error:
        return _unanswered(reference, "fail", _noted(error), started)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what ends a program, or a test of pytest
        note = f"{type(error).__name__}: {_noted(error)}{_place(error)}"
        return _unanswered(reference, "fail", note, started)
    seconds = time.perf_counter() - started
    # What a back end has answered may be huge.
    with (
        warnings.catch_warnings(action="ignore", category=IllConditionedWarning),
        np.errstate(all="ignore"),
    ):
        return replace(_judged_answers(request, reference, measure, answers), seconds=seconds)


def _cotangents(reference: Evaluation) -> LossCotangents:
    """Return what the back end is asked, in arrays that it cannot spoil."""
    cotangents = LossCotangents.of(reference.case, reference.simulation.spikes.neuron)
    time, voltage = cotangents.time.copy(), cotangents.voltage.copy()
    for array in (time, voltage, cotangents.nth):
        array.setflags(write=False)
    return replace(cotangents, time=time, voltage=voltage)


def _asked(request: Request, case: Case, cotangents: LossCotangents, dt: float) -> CheckedAnswer:
    keywords = {"dt": dt} if dt else {}
    given = request.backend(case.network, case.inputs, case.duration, cotangents, **keywords)
    return checked_answer(given, case)


def _quiet_yardstick(request: Request, reference: Evaluation) -> Yardstick:
    with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
        return yardstick(reference, request.precision, request.rtol)


def _judged_answers(
    request: Request,
    reference: Evaluation,
    measure: Yardstick | None,
    answers: list[tuple[float, CheckedAnswer]],
) -> CaseVerdict:
    """Judge the answers to a case, that of the shortest step above all."""
    last = answers[-1][1]
    late: tuple[Lateness, ...] = ()
    if measure is None:
        found = converged(reference, answers, request.precision, request.rtol, request.required)
        groups, measure, steps, order = found
        late = _measured_lateness(request, reference, answers)
        groups = tuple(_not_late(row, request, late) for row in groups)
    else:
        groups = judged(reference, last, measure, request.required)
        groups, steps, order = (
            tuple(row if is_given(row.group, request.rtol) else decided(row) for row in groups),
            (),
            {},
        )
    groups = (*groups, *_malformed(last))
    verdict = _overall(groups)
    cause, trouble = None, ""
    if verdict == "fail":

        def ask(cotangents: LossCotangents) -> CheckedAnswer:
            return _asked(request, reference.case, cotangents, answers[-1][0])

        on_grid = bool(request.steps)
        suspect = Suspect(reference, tuple(answers), groups, measure, ask, on_grid, late)
        cause, trouble = _cause(suspect)
    wanted = np.nan
    if verdict == "skip" and request.steps:
        wanted = _wanted_step(request, reference, groups)
        known = np.isfinite(wanted)
        trouble = f"; {WOULD_DECIDE.format(wanted)}" if known else "; no usual step would decide"
    tolerance = measure.moved * scales(reference)["spike_times"]
    if not request.steps:
        exact = of_exact(reference, last, tolerance)
        late = () if exact is None else (exact,)
    return CaseVerdict(
        **_of_reference(reference),
        verdict=verdict,
        note=_note(groups) + trouble,
        answer_time=last.time,
        answer_neuron=last.neuron,
        groups=groups,
        first_difference=first_difference(reference, last, tolerance),
        steps=steps,
        order=order,
        cause=cause,
        lateness=late,
        deciding_step=wanted,
    )


def _measured_lateness(
    request: Request, reference: Evaluation, answers: list[tuple[float, CheckedAnswer]]
) -> tuple[Lateness, ...]:
    """Measure lateness in steps, and keep what is known of it for that of all cases."""
    try:
        evidence = evidence_of(reference, answers)
        late = lateness_of(evidence, request.latency)
    except np.linalg.LinAlgError:  # an answer like no simulator's
        return ()
    request.evidence.append(evidence)
    return late


def _not_late(row: GroupVerdict, request: Request, late: tuple[Lateness, ...]) -> GroupVerdict:
    """Let spike times fail that are late, or early, by more than rounding to a grid explains.

    They do converge, as would those of any scheme.
    """
    note = failing(late, request.latency)
    if row.group != "spike_times" or row.verdict == "fail" or not note:
        return row
    return row if is_given(row.group, request.rtol) else row._replace(verdict="fail", note=note)


def _wanted_step(request: Request, reference: Evaluation, groups: Sequence[GroupVerdict]) -> float:
    """Return which step would decide a case that is left open."""
    still_open = [row.group for row in groups if row.verdict == "skip" and not np.isnan(row.error)]
    return deciding_step(reference, request.steps[-1], request.precision, still_open)


def _cause(suspect: Suspect) -> tuple[Cause | None, str]:
    """Return a probable cause, or what kept the search for one from ending.

    The search computes with whatever was answered: if it stumbles, the verdict stands.
    """
    try:
        return diagnose(suspect), ""
    except Exception as error:
        return None, f"; no cause was found: {type(error).__name__}: {_noted(error)}"


def _malformed(answer: CheckedAnswer) -> tuple[GroupVerdict, ...]:
    """Return a row for what is wrong with a gradient as a whole."""
    if "gradient" not in answer.problems:
        return ()
    empty = np.zeros(0)
    note = answer.problems["gradient"]
    return (GroupVerdict("gradient", "fail", np.nan, np.nan, -1, empty, empty, note),)


def _overall(groups: Sequence[GroupVerdict]) -> str:
    """Return "fail" if a group fails, "skip" if one lies too near to a change, else "pass"."""
    verdicts = {row.verdict for row in groups}
    undecided = any(row.verdict == "skip" and not np.isnan(row.error) for row in groups)
    return "fail" if "fail" in verdicts else "skip" if undecided else "pass"


def _note(groups: Sequence[GroupVerdict]) -> str:
    """Return a sentence on what has failed, why nothing can be said, or what was not judged."""
    failed = [row for row in groups if row.verdict == "fail"]
    if failed:
        shown_rows = [f"{row.group}: {row.note or f'off by {row.error:.1e}'}" for row in failed[:4]]
        more = f"; {len(failed) - 4} more" if len(failed) > 4 else ""
        return "; ".join(shown_rows) + more
    undecided = [row for row in groups if row.verdict == "skip" and not np.isnan(row.error)]
    if undecided:
        return f"{undecided[0].group}: {undecided[0].note}"
    absent = [row.group for row in groups if row.note == NOT_OFFERED]
    return f"not offered: {', '.join(absent)}" if absent else ""


def _of_reference(reference: Evaluation) -> dict[str, Any]:
    spikes = reference.simulation.spikes
    return {
        "case": reference.case,
        "conditioning": conditioning_of(reference),
        "reference_time": spikes.time,
        "reference_neuron": spikes.neuron,
    }


def _unanswered(reference: Evaluation, verdict: str, note: str, started: float) -> CaseVerdict:
    return CaseVerdict(
        **_of_reference(reference),
        verdict=verdict,
        note=note,
        answer_time=np.zeros(0),
        answer_neuron=np.zeros(0, dtype=np.int64),
        seconds=time.perf_counter() - started,
    )


def _without_reference(case: Case, note: str) -> CaseVerdict:
    nothing, nobody = np.zeros(0), np.zeros(0, dtype=np.int64)
    unknown = Conditioning(np.nan, -1, np.nan, np.nan, np.nan)
    return CaseVerdict(case, "skip", note, unknown, nothing, nobody, nothing, nobody)


def _place(error: BaseException) -> str:
    """Return where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _noted(error: BaseException) -> str:
    """Return what an error says, on one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= MOST_OF_A_NOTE else text[: MOST_OF_A_NOTE - 3] + "..."
