"""The schema of case files and the tables of pages, as far as the table of parameters says them.

Run as a program, after a change of `refsim/network/parameters.py`, it writes them anew:
``python tests/tools/tables.py``.
"""

import json
import re
from pathlib import Path

from refsim.network.parameters import NAMES, OF_NEURONS, OF_SYNAPSES, PARAMETERS

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "refsim" / "case.schema.json"
FORMAT, GUIDE, CERTIFY = (
    ROOT / "docs" / f"{page}.md" for page in ("case-format", "guide", "certify")
)
_DEFINITION = {"weight": "voltage", "delay": "time", "tau": "time_constant"}  # one of each domain
_MEMBER = {"synapse": "`synapses.{}` | S numbers", "neuron": "`neurons.{}` | n numbers"}
_MEMBER |= {"input spike": "`inputs.times` | I numbers, in any order"}
_GROUPS = {
    "synapse": "S | each synapse",
    "neuron": "n | each neuron",
    "filter": "one or two for each port | "
    "time constants in the order of the ports, rise before decay",
    "input spike": "I | each input spike, in the order of the file",
}


def schema_of(stored):
    """Return a schema with domains, members and groups from the table, and the rest as it is."""
    schema = json.loads(json.dumps(stored))
    found, domains = schema["$defs"], {}
    for name, definition in _DEFINITION.items():
        low, high = domain = PARAMETERS[name].domain
        domains[domain] = definition
        found[definition] = {
            "type": "number",
            "minimum": int(low) if low == 0.0 else low,
            "maximum": high,
        }

    def column(name):
        definition = domains[PARAMETERS[name].domain]
        if f"{definition}s" in found:
            return {"$ref": f"#/$defs/{definition}s"}
        return {"type": "array", "items": {"$ref": f"#/$defs/{definition}"}}

    neurons, synapses = found["neurons"], found["synapses"]
    neurons["required"] = ["n", *OF_NEURONS, "ports"]
    ports = neurons["properties"].pop("ports")
    neurons["properties"] = {
        **{name: neurons["properties"][name] for name in ("n", "model")},
        **{name: column(name) for name in OF_NEURONS},
        "ports": ports,
    }
    synapses["required"] = ["pre", "post", *OF_SYNAPSES]
    indices = {name: synapses["properties"][name] for name in ("pre", "post", "port")}
    synapses["properties"] = indices | {name: column(name) for name in OF_SYNAPSES}
    found["inputs"]["properties"]["times"] = column("input_times")
    found["gradient"]["properties"] = {name: {"$ref": "#/$defs/numbers"} for name in NAMES}
    return schema


def text_of(schema):
    """Return a schema as it is stored."""
    return json.dumps(schema, indent=1) + "\n"


def number(value):
    return f"{value:g}".replace("e+", "e").replace("e-0", "e-")


def domain_of(row):
    """Return where the numbers of a parameter have to lie."""
    low, high = row.domain
    domain = f"within {number(high)}" if low == -high else f"{number(low)} to {number(high)}"
    return domain + (f", < `{row.below}`" if row.below else "")


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def members():
    """Return the rows of the format that say where a file has which parameter."""
    return [
        f"| {_MEMBER[row.per].format(row.name)} | {domain_of(row)} | {row.meaning} |"
        for row in PARAMETERS.values()
        if row.per in _MEMBER
    ]


def groups():
    """Return the rows of the format that say what a gradient has."""
    names = {per: [row.name for row in PARAMETERS.values() if row.per == per] for per in _GROUPS}
    return [f"| {listed(names[per])} | {text} |" for per, text in _GROUPS.items()]


def parameters():
    """Return the table of the guide."""
    lines = ["| parameter | what it is | one for each | unit | domain | default |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in PARAMETERS.values():
        per = "time constant of a port" if row.per == "filter" else row.per
        default = f"`{row.default}`" if isinstance(row.default, str) else row.default
        lines.append(
            f"| `{row.name}` | {row.meaning} | {per} | "
            f"{'ms' if row.unit == 'ms' else 'of voltages'} | {domain_of(row)} | "
            f"{'' if default is None else default} |"
        )
    return lines


def rows_of(page):
    """Return the lines of a page that come from the table."""
    return [*members(), *groups()] if page == FORMAT else parameters()


def current(page):
    """Return the text of a page with the lines that come from the table as they should be."""
    text = page.read_text(encoding="utf-8")
    for line in rows_of(page):
        first = re.escape(line.split(" | ")[0])
        text = re.sub(rf"^{first} \|.*$", lambda _, line=line: line, text, flags=re.M)
    return text


def main():
    stored = json.loads(SCHEMA.read_text(encoding="utf-8"))
    SCHEMA.write_text(text_of(schema_of(stored)), encoding="utf-8")
    for page in (FORMAT, GUIDE):
        page.write_text(current(page), encoding="utf-8")


if __name__ == "__main__":
    main()
