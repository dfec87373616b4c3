"""A program that is certified: reads a case file, writes an answer, and misbehaves on demand."""

import json
import sys
import time
from pathlib import Path

from certify_tools import ours

from refsim.cases import digits, load
from validation.comparison.backend import LossCotangents


def answered(case):
    import refsim

    run = refsim.simulate(case.network, case.inputs, case.duration)
    asked = LossCotangents.of(case, run.spikes.neuron)
    return ours(case.network, case.inputs, case.duration, asked)


def main(path, out, how, *rest):
    if how == "sleep":
        time.sleep(60)
    if how == "fail":
        sys.exit("the array is too short")
    if how == "skip":
        print("no ports of this kind", file=sys.stderr)
        sys.exit(77)
    if how == "silent":
        return
    case = load(path)
    assert case.time_bar is not None, "the loss is there"
    assert case.expected.spike_times is None, "the answer is not"
    answer = answered(case)
    told = json.loads(Path(path).read_text(encoding="utf-8"))["cotangent_neurons"]
    assert told == answer.neuron.tolist()
    expected = {
        "spike_times": digits(answer.time),
        "spike_neurons": answer.neuron.tolist(),
        "gradient": {name: digits(values) for name, values in answer.gradient.items()},
    }
    if how == "partial":
        expected["gradient"] = {"weight": expected["gradient"]["weight"]}
    if how == "short":
        expected["gradient"]["weight"].pop()
    if how == "dropped":
        expected["spike_times"].pop()
        expected["spike_neurons"].pop()
    text = json.dumps({"expected": expected, "arguments": rest})
    if how == "nan":
        text = text.replace(expected["spike_times"][0], "NaN").replace('"NaN"', "NaN")
    if how == "garbage":
        text = "no JSON"
    if out == "-":
        print(text)
    else:
        with open(out, "w", encoding="utf-8") as stream:
            stream.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
