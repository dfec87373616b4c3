"""The conformance kit: it accepts a plain queue that is right and rejects every planted bug."""

import heapq
import math
import random
import re
import subprocess
import sys
import unittest
from functools import cache, partial

import pytest
from hypothesis import Phase, given, settings, strategies as st

import queues.testing
from queues import Entry
from queues.testing import (
    SEMANTICS,
    BitArrayModel,
    BoundedFifoModel,
    BoundedSortedArrayModel,
    Clear,
    ConformanceError,
    ExactModel,
    FifoModel,
    LossyModel,
    LossyRingModel,
    NullModel,
    Peek,
    Pop,
    PopDue,
    Push,
    QueueMachine,
    SingleSpikeModel,
    assert_conforms,
    machine,
    run_script,
    scripts,
    stepped_scripts,
    times,
)


class HeapqQueue:
    """A right queue of exact semantics."""

    def __init__(self):
        self.rows = []  # (time, order, payload, tangent)
        self.pushes = 0

    def push(self, time, payload=0, tangent=0.0):
        if not math.isfinite(time):
            raise ValueError(time)
        heapq.heappush(self.rows, (time, self.pushes, payload, tangent))
        self.pushes += 1
        return self.pushes - 1

    def _entry(self, row):
        time, order, payload, tangent = row
        return Entry(time, payload, order, tangent)

    def peek(self):
        return self._entry(self.rows[0])

    def pop(self):
        return self._entry(heapq.heappop(self.rows))

    def clear(self):
        self.rows.clear()

    def __len__(self):
        return len(self.rows)


class UnstableAtTies(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload, tangent)
        self.rows = [(t, -abs(k), p, d) for t, k, p, d in self.rows]
        heapq.heapify(self.rows)
        return order

    def _entry(self, row):
        time, order, payload, tangent = row
        return Entry(time, payload, -order, tangent)


class Lifo(HeapqQueue):
    def peek(self):
        if not self.rows:
            raise IndexError
        return self._entry(max(self.rows, key=lambda row: row[1]))

    def pop(self):
        entry = self.peek()
        self.rows = [row for row in self.rows if row[1] != entry.order]
        return entry


class LosesAnEntryOnGrowth(HeapqQueue):
    capacity = 8

    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload, tangent)
        if len(self.rows) > self.capacity:
            self.capacity *= 2
            self.rows.pop()
        return order


class LosesAnEntryOnLateGrowth(LosesAnEntryOnGrowth):
    capacity = 1024


class SwapsTangents(HeapqQueue):
    """Tangents stay at their indices while the rows move."""

    def __init__(self):
        super().__init__()
        self.tangents = []

    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload)
        self.tangents.append(tangent)
        return order

    def peek(self):
        return super().peek()._replace(tangent=self.tangents[0])

    def pop(self):
        return super().pop()._replace(tangent=self.tangents.pop(0))

    def clear(self):
        super().clear()
        self.tangents.clear()


class LosesPayload(HeapqQueue):
    def pop(self):
        return super().pop()._replace(payload=0)


class RoundsPayload(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        return super().push(time, int(float(payload)), tangent)


class WrongLengthAfterClear(HeapqQueue):
    size = 0

    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload, tangent)
        self.size += 1
        return order

    def pop(self):
        entry = super().pop()
        self.size -= 1
        return entry

    def __len__(self):
        return self.size


class OrdersBeginAnewAfterClear(HeapqQueue):
    def clear(self):
        super().clear()
        self.pushes = 0


class AcceptsNan(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        return super().push(0.0 if math.isnan(time) else time, payload, tangent)


class CountsARefusedPush(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        if not math.isfinite(time):
            self.pushes += 1
        return super().push(time, payload, tangent)


class PeekRemoves(HeapqQueue):
    def peek(self):
        return self.pop()


class PeekForgetsTangent(HeapqQueue):
    def peek(self):
        return super().peek()._replace(tangent=0.0)


class DropsWhenFull(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload, tangent)
        del self.rows[12:]
        return order


class SwapDoesNothing(HeapqQueue):
    """A heap that never sifts: pop takes index 0 and moves the last row there."""

    def push(self, time, payload=0, tangent=0.0):
        if not math.isfinite(time):
            raise ValueError(time)
        self.rows.append((time, self.pushes, payload, tangent))
        self.pushes += 1
        return self.pushes - 1

    def pop(self):
        first, last = self.rows[0], self.rows.pop()
        if self.rows:
            self.rows[0] = last
        return self._entry(first)


class NegativeZeroFirst(HeapqQueue):
    """Sorts by the bits of the time, in which -0.0 is before 0.0."""

    def push(self, time, payload=0, tangent=0.0):
        order = super().push(time, payload, tangent)
        self.rows.sort(key=lambda row: (row[0], math.copysign(1.0, row[0]), row[1]))
        return order

    def peek(self):
        return self._entry(self.rows[0])

    def pop(self):
        return self._entry(self.rows.pop(0))


class FlushesDenormals(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        return super().push(0.0 if abs(time) < 2.0**-1022 else time, payload, tangent)


class OverflowsBetweenTimes(HeapqQueue):
    """Compares the distance to the first time, which overflows for the largest ones."""

    def push(self, time, payload=0, tangent=0.0):
        if self.rows and math.isinf(time - self.rows[0][0]):
            time = self.rows[0][0]
        return super().push(time, payload, tangent)


class PopOfNothingIsNone(HeapqQueue):
    def pop(self):
        return super().pop() if self.rows else None


class PopOfNothingIsAKeyError(HeapqQueue):
    def pop(self):
        if not self.rows:
            raise KeyError
        return super().pop()


class PopOfNothingSpoilsTheLength(HeapqQueue):
    spoilt = 0

    def pop(self):
        self.spoilt -= not self.rows
        return super().pop()

    def __len__(self):
        return abs(len(self.rows) + self.spoilt)


class ReturnsTuples(HeapqQueue):
    def _entry(self, row):
        return tuple(row)


class IsNotEmptyAtFirst(HeapqQueue):
    def __init__(self):
        super().__init__()
        self.push(1.0)


WRONG = [
    UnstableAtTies,
    Lifo,
    LosesAnEntryOnGrowth,
    LosesAnEntryOnLateGrowth,
    SwapsTangents,
    LosesPayload,
    RoundsPayload,
    WrongLengthAfterClear,
    OrdersBeginAnewAfterClear,
    AcceptsNan,
    CountsARefusedPush,
    PeekRemoves,
    PeekForgetsTangent,
    DropsWhenFull,
    SwapDoesNothing,
    NegativeZeroFirst,
    FlushesDenormals,
    OverflowsBetweenTimes,
    PopOfNothingIsNone,
    PopOfNothingIsAKeyError,
    PopOfNothingSpoilsTheLength,
    ReturnsTuples,
    IsNotEmptyAtFirst,
]


@cache
def rejected(factory, semantics="exact", **options):
    with pytest.raises(ConformanceError) as caught:
        assert_conforms(factory, semantics, seed=0, **options)
    return caught.value


class HeapqFifo(HeapqQueue):
    """A right queue of FIFO semantics."""

    last = -math.inf

    def push(self, time, payload=0, tangent=0.0):
        if time < self.last:
            raise ValueError(time)
        order = super().push(time, payload, tangent)
        self.last = time
        return order

    def clear(self):
        super().clear()
        self.last = -math.inf


class RemembersTheTimeAfterClear(HeapqFifo):
    def clear(self):
        self.rows.clear()


class ForgetsTheTimeWhenEmpty(HeapqFifo):
    def pop(self):
        entry = super().pop()
        self.last = self.last if self.rows else -math.inf
        return entry


def test_a_right_queue_passes():
    assert_conforms(HeapqQueue, examples=100, seed=0)


def test_a_right_fifo_passes():
    assert_conforms(HeapqFifo, "fifo", examples=100, seed=0)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_queue_is_rejected(wrong):
    error = rejected(wrong)
    with pytest.raises(ConformanceError, match=r"\A" + re.escape(error.reason)):
        run_script(wrong(), ExactModel(), error.script)


@pytest.mark.parametrize(
    "wrong", [HeapqQueue, Lifo, RemembersTheTimeAfterClear, ForgetsTheTimeWhenEmpty]
)
def test_a_wrong_fifo_is_rejected(wrong):
    rejected(wrong, "fifo")


@pytest.mark.parametrize(
    ("wrong", "length"),
    [(Lifo, 2), (AcceptsNan, 1), (UnstableAtTies, 2), (LosesAnEntryOnGrowth, 9), (PeekRemoves, 2)],
)
def test_the_script_is_the_shortest(wrong, length):
    assert len(rejected(wrong).script) <= length


def test_the_failure_is_a_test_to_paste():
    error = rejected(SwapDoesNothing)
    reason, source = str(error).split("\n\n", 1)
    assert reason == error.reason
    namespace = {"SwapDoesNothing": SwapDoesNothing}
    exec(source, namespace)
    with pytest.raises(ConformanceError, match="expected"):
        namespace["test_a_script_that_failed"]()
    namespace["SwapDoesNothing"] = HeapqQueue
    namespace["test_a_script_that_failed"]()


def test_times_that_are_no_times_can_be_pasted():
    operations = [Push(math.nan), Push(-math.inf), Push(1.0, 2, 0.5), Pop(), Peek(), Clear()]
    text = ", ".join(map(repr, operations))
    assert text == (
        'Push(float("nan")), Push(float("-inf")), Push(1.0, payload=2, tangent=0.5), '
        "Pop(), Peek(), Clear()"
    )
    assert repr(eval(f"[{text}]")) == f"[{text}]"


def test_a_factory_without_a_name_is_called_factory():
    assert "run_script(factory(), ExactModel(), script)" in str(rejected(lambda: Lifo()))


def test_the_same_seed_finds_the_same():
    assert str(rejected(DropsWhenFull)) == str(rejected.__wrapped__(DropsWhenFull))


def test_without_tangents_none_are_pushed():
    class WithoutTangents(HeapqQueue):
        def push(self, time, payload=0, tangent=0.0):
            assert tangent == 0.0
            return super().push(time, payload)

    assert_conforms(WithoutTangents, tangents=False, examples=50, seed=0)
    rejected(WithoutTangents)


def test_a_factory_must_make_new_queues():
    queue = HeapqQueue()
    with pytest.raises(AssertionError, match="returned one queue twice"):
        assert_conforms(lambda: queue)


def test_a_queue_of_moods_is_rejected():
    moods = random.Random(0)

    class Moody(HeapqQueue):
        def pop(self):
            moody = self.rows and moods.random() < 0.05
            return super().pop()._replace(payload=-1) if moody else super().pop()

    with pytest.raises(AssertionError, match=r"operations alone|expected"):
        assert_conforms(Moody, seed=0)


def test_unknown_semantics_are_named():
    with pytest.raises(ValueError, match=r"semantics = 'lossy'; expected a model or one of"):
        assert_conforms(HeapqQueue, "lossy")


# --- lossy semantics --------------------------------------------------------------------------


class Bounded:
    """A right queue that refuses what has no room; it has no other methods than these."""

    def __init__(self, capacity=2):
        self.capacity = capacity
        self.rows = []  # the one that leaves next first
        self.pushes = 0
        self.dropped = 0

    def push(self, time, payload=0, tangent=0.0):
        self.admit(Entry(time, payload, self.pushes, tangent))
        self.pushes += 1
        return self.pushes - 1

    def admit(self, entry):
        if len(self.rows) == self.capacity:
            self.dropped += 1
        else:
            self.rows = sorted([*self.rows, entry], key=lambda row: (row.time, row.order))

    def pop_due(self, now):
        return self.rows.pop(0) if self.rows and self.rows[0].time <= now else None


class BoundedBy(Bounded):
    """Another capacity than it says."""

    def __init__(self, capacity):
        super().__init__(capacity + self.extra)


class HasRoomForOneMore(BoundedBy):
    extra = 1


class HasRoomForOneLess(BoundedBy):
    extra = -1


class EvictsTheLatest(Bounded):
    def admit(self, entry):
        self.rows = sorted([*self.rows, entry], key=lambda row: (row.time, row.order))
        if len(self.rows) > self.capacity:
            self.rows.pop()
            self.dropped += 1


class EvictsTheLatestAlsoAtTies(Bounded):
    def admit(self, entry):
        self.rows = sorted([*self.rows, entry], key=lambda row: (row.time, -row.order))
        if len(self.rows) > self.capacity:
            self.rows.pop()
            self.dropped += 1
        self.rows.sort(key=lambda row: (row.time, row.order))


class EvictsTheFirst(Bounded):
    def admit(self, entry):
        if len(self.rows) == self.capacity:
            self.rows.pop(0)
            self.dropped += 1
        super().admit(entry)


class LosesTheTangentWhenFull(Bounded):
    def admit(self, entry):
        super().admit(entry)
        if len(self.rows) == self.capacity:
            self.rows[-1] = self.rows[-1]._replace(tangent=0.0)


class DoesNotCountWhatItLoses(Bounded):
    def admit(self, entry):
        super().admit(entry)
        self.dropped = 0


class ComesLate(Bounded):
    def pop_due(self, now):
        return super().pop_due(now - 1.0)


class ForgetsWhatIsLate(Bounded):
    def pop_due(self, now):
        self.rows = [row for row in self.rows if row.time >= now]
        return super().pop_due(now)


class PollsTwice(Bounded):
    def pop_due(self, now):
        found = super().pop_due(now)
        super().pop_due(now)
        return found


class IsEmptiedByAnEarlyPoll(Bounded):
    def pop_due(self, now):
        found = super().pop_due(now)
        if found is None:
            self.rows.clear()
        return found


class Slots(Bounded):
    """A right lossy ring."""

    def slot(self, step):
        return [row for row in self.rows if (row.time - step) % self.capacity == 0]

    def admit(self, entry):
        for row in self.slot(entry.time):
            self.rows.remove(row)
            self.dropped += 1
        self.rows.append(entry)

    def pop_due(self, now):
        for row in self.slot(now):
            if row.time <= now:
                self.rows.remove(row)
                return row
        return None


class SlotsPopEarly(Slots):
    def pop_due(self, now):
        for row in self.slot(now):
            self.rows.remove(row)
            return row
        return None


WRONG_BOUNDED = [
    HasRoomForOneMore,
    HasRoomForOneLess,
    EvictsTheLatest,
    EvictsTheFirst,
    LosesTheTangentWhenFull,
    DoesNotCountWhatItLoses,
    ComesLate,
    ForgetsWhatIsLate,
    PollsTwice,
    IsEmptiedByAnEarlyPoll,
]


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_right_bounded_queues_pass(capacity):
    for make, semantics in (
        (Bounded, "bounded_heap"),
        (EvictsTheLatest, "bounded_sorted_array"),
        (Slots, "lossy_ring"),
    ):
        new = partial(make, capacity)
        assert_conforms(new, semantics, seed=0, examples=100, capacity=capacity, stepped=True)


@pytest.mark.parametrize("capacity", [2, 4])
@pytest.mark.parametrize("wrong", WRONG_BOUNDED)
def test_a_wrong_bounded_queue_is_rejected(wrong, capacity):
    make = partial(wrong, capacity)
    error = rejected(make, "bounded_heap", capacity=capacity, stepped=True)
    assert len(error.script) <= 3 * capacity + 3
    assert f"run_script(factory(), BoundedHeapModel(capacity={capacity}), script, stepped" in str(
        error
    )


def test_other_bounded_queues_are_rejected():
    for wrong, semantics in (
        (Bounded, "bounded_sorted_array"),
        (EvictsTheLatestAlsoAtTies, "bounded_sorted_array"),
        (SlotsPopEarly, "lossy_ring"),
        (Bounded, "lossy_ring"),
        (partial(Bounded, 1), "single_spike"),
        (partial(EvictsTheFirst, 1), "single_spike_keep"),
        (Bounded, "null"),
    ):
        capacity = None if "single" in semantics or semantics == "null" else 2
        rejected(wrong, semantics, capacity=capacity, stepped=True)


def test_a_right_queue_of_one_spike_passes():
    for make, semantics in ((EvictsTheFirst, "single_spike"), (Bounded, "single_spike_keep")):
        assert_conforms(partial(make, 1), semantics, seed=0, examples=100, stepped=True)
    assert_conforms(partial(Bounded, 0), "null", seed=0, examples=50, stepped=True)


class OfTwo(EvictsTheFirst):
    """Has a name that the printed test can call."""


@pytest.mark.parametrize(
    "semantics",
    [partial(BoundedFifoModel, 2, check_order=False), partial(BoundedSortedArrayModel, capacity=2)],
)
def test_the_failure_of_a_bounded_queue_is_a_test_to_paste(semantics):
    error = rejected(OfTwo, semantics, stepped=True)
    source = str(error).split("\n\n", 1)[1]
    assert repr(semantics()) in source
    namespace = {"OfTwo": OfTwo}
    exec(source, namespace)
    with pytest.raises(ConformanceError, match="expected"):
        namespace["test_a_script_that_failed"]()


def test_a_model_is_made_by_its_repr():
    models = [
        BoundedFifoModel(3),
        BoundedFifoModel(3, False),
        BitArrayModel(64, 5),
        BitArrayModel(),
    ]
    models += [LossyRingModel(4), NullModel(), SingleSpikeModel(1), ExactModel()]
    for model in models:
        again = eval(repr(model))
        assert type(again) is type(model)
        assert vars(again) == vars(model)


def test_a_capacity_is_asked_for_where_there_is_one():
    with pytest.raises(ValueError, match=r"capacity = None of a LossyRingModel; expected a number"):
        assert_conforms(Slots, "lossy_ring")
    with pytest.raises(ValueError, match=r"capacity = 2 of a SingleSpikeModel; expected 1"):
        assert_conforms(Slots, "single_spike", capacity=2)
    with pytest.raises(ValueError, match=r"capacity = 2; expected None for 'fifo' semantics"):
        machine(HeapqFifo, "fifo", capacity=2)
    with pytest.raises(ValueError, match=r"capacity = 2; expected None, since the model is given"):
        assert_conforms(HeapqQueue, ExactModel, capacity=2)


@settings(max_examples=100)
@given(
    st.sampled_from(
        [name for name in SEMANTICS if issubclass(SEMANTICS[name], LossyModel)]
    ).flatmap(
        lambda name: (
            stepped_scripts(name, capacity=SEMANTICS[name].only_capacity or 32)
            if name != "null"
            else stepped_scripts(name)
        )
    )
)
def test_polls_of_stepped_scripts_never_go_back(script):
    polls = [op.now for op in script if isinstance(op, PopDue)]
    assert polls == sorted(polls)
    assert all(op.time.is_integer() for op in script if isinstance(op, Push))


class GridModel(ExactModel):
    """A model of one's own: times are rounded to whole ms."""

    def refuses(self, time):
        return super().refuses(time) or abs(time) > 1e6

    def allowed(self, time):
        return max(-1e6, min(1e6, time))

    def push(self, time, payload, tangent):
        return super().push(float(round(time)), payload, tangent)


class Grid(HeapqQueue):
    def push(self, time, payload=0, tangent=0.0):
        if not abs(time) <= 1e6:
            raise ValueError(time)
        return super().push(float(round(time)), payload, tangent)


def test_a_model_of_ones_own():
    assert_conforms(Grid, GridModel, examples=50, seed=0)
    error = rejected(HeapqQueue, GridModel)
    assert "run_script(HeapqQueue(), GridModel(), script)" in str(error)
    assert "GridModel" not in str(error).split("def ")[0].split("import")[1]


def run_case(case):
    case.settings = settings(
        max_examples=20, deadline=None, database=None, phases=[Phase.generate], derandomize=True
    )
    return unittest.TestLoader().loadTestsFromTestCase(case).run(unittest.TestResult())


def test_a_machine_is_a_test_case():
    assert run_case(machine(HeapqQueue).TestCase).wasSuccessful()
    assert not run_case(machine(Lifo).TestCase).wasSuccessful()


def test_a_machine_alone_rejects_what_scripts_reject():
    for wrong in (UnstableAtTies, PeekRemoves, WrongLengthAfterClear, AcceptsNan):
        result = run_case(machine(wrong).TestCase)
        ((_, trace),) = result.failures
        assert "def test_a_script_that_failed" in trace


def test_a_machine_may_choose_its_queue():
    class Chosen(QueueMachine):
        model_class = FifoModel
        factory = HeapqFifo

    assert run_case(Chosen.TestCase).wasSuccessful()


@given(times())
def test_times_are_finite(time):
    assert math.isfinite(time)


@settings(max_examples=50)
@given(scripts("fifo"), scripts(FifoModel, tangents=False))
def test_scripts_can_be_played(script, plain):
    run_script(HeapqFifo(), FifoModel(), script)
    assert all(op.tangent == 0.0 for op in plain if isinstance(op, Push))


@settings(max_examples=50)
@given(st.lists(times()))
def test_a_fifo_model_of_sorted_times_is_an_exact_model(drawn):
    both = ExactModel(), FifoModel()
    for time in sorted(drawn):
        assert both[0].push(time, 0, 0.0) == both[1].push(time, 0, 0.0)
    assert both[0].entries == both[1].entries


def test_a_missing_hypothesis_is_named():
    code = "import sys; sys.modules['hypothesis'] = None\nimport queues.testing"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'queues.testing needs hypothesis: pip install "refsim[test]"' in result.stderr


def test_public_names_are_there():
    assert all(hasattr(queues.testing, name) for name in queues.testing.__all__)


class Bare:
    """A queue of somebody who has not written all methods yet."""

    pop = 3  # no method

    def push(self, time, payload=0, tangent=0.0):
        return 0

    def __len__(self):
        return 0


WANTED = "expected a queue with the methods push, peek, pop, clear and __len__"


@pytest.mark.parametrize(
    "use",
    [
        lambda: queues.testing.assert_conforms(Bare),
        lambda: queues.testing.run_script(Bare(), queues.testing.ExactModel(), []),
        lambda: queues.testing.machine(Bare)(),
    ],
    ids=["assert_conforms", "run_script", "machine"],
)
def test_methods_that_are_missing_are_named_all_at_once(use):
    with pytest.raises(queues.QueueTypeError) as caught:
        use()
    assert str(caught.value) == f"queue is a Bare, which has no peek, pop and clear; {WANTED}"


def test_polls_that_are_missing_are_named():
    expected = "queue is a Bare, which has no pop_due; expected a queue with the methods "
    with pytest.raises(queues.QueueTypeError, match=f"{expected}push and pop_due"):
        queues.testing.assert_conforms(Bare, stepped=True)
    model, script = queues.testing.ExactModel(), [queues.testing.PopDue(1.0)]
    kind = type("Plain", (Bare,), {name: lambda self: None for name in ("peek", "pop", "clear")})
    with pytest.raises(queues.QueueTypeError, match="queue is a Plain, which has no pop_due"):
        queues.testing.run_script(kind(), model, script)


def test_a_recorder_needs_a_queue():
    with pytest.raises(queues.QueueTypeError, match="queue is a list, which has no push; expected"):
        queues.Recorder([])
    with pytest.raises(queues.QueueTypeError, match=r"which has no pop; expected .* push and pop"):
        queues.Recorder(type("Pushed", (), {"push": lambda self, time: 0})())
