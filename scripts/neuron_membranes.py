"""NEURON's side of the check of membranes: a patch of every region of a membrane file. Runs in NEURON's own Python.

    PYTHON scripts/neuron_membranes.py REQUEST.json ANSWER.json

The formulas of the file are translated to NMODL, one mechanism for every region, and built with nrnivmodl. The request
holds the file, and for every patch its region, conductances (mS/cm²), capacitance, temperature, first voltage and a
current; the answer the voltage of every patch at the times that are asked for, by CVODE.
"""

import ast
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HELPERS = """
FUNCTION linoid(x) {
    if (fabs(x) < 1e-5) { linoid = 1 + x / 2 + x * x / 12 } else { linoid = x / (1 - exp(-x)) }
}
FUNCTION boltzmann(x) { boltzmann = 1 / (1 + exp(-x)) }
FUNCTION smaller(x, y) { if (x < y) { smaller = x } else { smaller = y } }
FUNCTION larger(x, y) { if (x > y) { larger = x } else { larger = y } }
"""
SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^"}
COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
CALLED = {"min": "smaller", "max": "larger", "abs": "fabs", "sigmoid": "boltzmann"}


def expression(node: ast.expr, names: dict[str, str]) -> str:
    """An expression in NMODL's spelling."""
    match node:
        case ast.Constant(value=value):
            return repr(float(value))
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"(0 - {expression(operand, names)})"
        case ast.BinOp(left=left, op=op, right=right):
            return f"({expression(left, names)} {SIGNS[type(op)]} {expression(right, names)})"
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return f"{CALLED.get(name, name)}({', '.join(expression(one, names) for one in arguments)})"
    raise ValueError(ast.dump(node))


def assigned(target: str, text: str, names: dict[str, str]) -> str:
    """A statement that assigns a formula, also a conditional one."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.IfExp):
        test = node.test
        left, right = expression(test.left, names), expression(test.comparators[0], names)
        condition = f"{left} {COMPARED[type(test.ops[0])]} {right}"
        one, other = (f"{target} = {expression(part, names)}" for part in (node.body, node.orelse))
        return f"if ({condition}) {{ {one} }} else {{ {other} }}"
    return f"{target} = {expression(node, names)}"


def mechanism(suffix: str, table: dict, currents: list[str]) -> str:
    """The mechanism of a region: its currents with the gates that they have."""
    of = {name: table["currents"][name].get("gates", {}) for name in currents}
    gates = [gate for gate in table.get("gates", {}) if any(gate in powers for powers in of.values())]
    names = {key: repr(float(value)) for key, value in table.get("constants", {}).items()}
    names |= {"V": "v", "alpha": "aa", "beta": "bb"}
    rates = [line for gate in gates for line in rates_of(gate, table, names)]
    flows = []
    for name in currents:
        powers = "".join(f" * {gate}^{power}" for gate, power in of[name].items())
        flows.append(f"g_{name}{powers} * (v - ({table['currents'][name]['reversal']!r}))")
    lines = [
        f"NEURON {{ SUFFIX {suffix} NONSPECIFIC_CURRENT i RANGE {', '.join(f'g_{name}' for name in currents)} }}",
        "PARAMETER { celsius", *(f"g_{name} = 0" for name in currents), "}",
        "ASSIGNED { v i", *(f"{gate}_inf {gate}_tau" for gate in gates), "}",
        "BREAKPOINT {", "SOLVE states METHOD cnexp" if gates else "", f"i = {' + '.join(flows)}", "}",
    ]  # fmt: skip
    if gates:
        lines += [
            f"STATE {{ {' '.join(gates)} }}",
            "INITIAL { rates()", *(f"{gate} = {gate}_inf" for gate in gates), "}",
            "DERIVATIVE states { rates()", *(f"{gate}' = ({gate}_inf - {gate}) / {gate}_tau" for gate in gates), "}",
            "PROCEDURE rates() { LOCAL aa, bb", *rates, "}",
        ]  # fmt: skip
    return "UNITSOFF\n" + "\n".join(lines) + HELPERS


def rates_of(gate: str, table: dict, names: dict[str, str]) -> list[str]:
    """Statements that assign steady value and time constant of a gate."""
    given = table["gates"][gate]
    q10 = given.get("q10", table.get("q10", 1.0))
    measured = given.get("measured_at", table.get("measured_at", 20.0))
    rates = [assigned(name, given[key], names) for name, key in (("aa", "alpha"), ("bb", "beta")) if key in given]
    rates.append(assigned(f"{gate}_inf", given.get("inf", "alpha / (alpha + beta)"), names))
    rates.append(assigned(f"{gate}_tau", given.get("tau", "1 / (alpha + beta)"), names))
    rates.append(f"{gate}_tau = {gate}_tau / ({q10!r} ^ ((celsius - ({measured!r})) / 10))")
    if "tau_min" in given:
        rates.append(f"if ({gate}_tau < {given['tau_min']!r}) {{ {gate}_tau = {given['tau_min']!r} }}")
    return rates


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    table = tomllib.loads(Path(request["file"]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        for number, patch in enumerate(request["patches"]):
            text = mechanism(f"patch{number}", table, list(patch["conductances"]))
            (Path(folder) / f"patch{number}.mod").write_text(text)
        program = Path(sys.executable).parent / "nrnivmodl"
        built = subprocess.run([str(program)], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if built.returncode:
            sys.exit(built.stdout[-3000:] + built.stderr[-3000:])
        os.chdir(folder)
        from neuron import h

        h.load_file("stdrun.hoc")
        answer = [patched(h, number, patch, request["times"]) for number, patch in enumerate(request["patches"])]
    Path(sys.argv[2]).write_text(json.dumps(answer))


def patched(h, number: int, patch: dict, times: list[float]) -> list[float]:
    """The voltage of a patch at the times, mV."""
    section = h.Section(name=f"patch{number}")
    section.L = section.diam = 20.0
    section.cm, section.nseg = patch["C_m"], 1
    section.insert(f"patch{number}")
    for name, value in patch["conductances"].items():
        setattr(section(0.5), f"g_{name}_patch{number}", 1e-3 * value)
    clamp = h.IClamp(section(0.5))
    clamp.delay, clamp.dur, clamp.amp = patch["delay"], patch["duration"], patch["current"]
    h.celsius = patch["celsius"]
    cvode = h.CVode()
    cvode.active(1)
    cvode.atol(1e-9)
    cvode.rtol(1e-9)
    wanted = h.Vector(times)
    voltage = h.Vector().record(section(0.5)._ref_v, wanted)
    h.finitialize(patch["V"])
    h.continuerun(times[-1] + 1.0)
    found = list(voltage)
    del clamp
    h.delete_section(sec=section)
    return found


if __name__ == "__main__":
    main()
