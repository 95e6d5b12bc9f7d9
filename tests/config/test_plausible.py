"""Numbers in a neighbouring unit: refused or warned of, at input, whichever way the slip goes."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

import pytest

from hpcpinn.config.declared import declared_in, quantities_in
from hpcpinn.config.plausible import WITHOUT, findings
from hpcpinn.config.values import Table
from hpcpinn.core.parameters import quantities
from hpcpinn.core.plausibility import QUANTITIES, finding
from hpcpinn.errors import InputError, InputWarning
from hpcpinn.physics.constants import CalciumConstants
from hpcpinn.physics.dopamine_constants import DopamineConstants
from hpcpinn.physics.membrane_constants import CONDUCTANCE_OF, CableConstants, Current, FieldConstants
from hpcpinn.systems.cell.config.quantities import quantity_of
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.jobs import load_order
from hpcpinn.systems.square import config_checks as square_checks
from hpcpinn.systems.square.config import SquareConfig

DECLARATIONS = (CalciumConstants, DopamineConstants, CableConstants, FieldConstants, Current)
ALL = sorted(
    {*QUANTITIES.values(), *CONDUCTANCE_OF.values()}
    | {quantity for declaration in DECLARATIONS for quantity in quantities(declaration).values()},
    key=lambda quantity: quantity.name,
)
JOBS = sorted((Path(__file__).resolve().parents[2] / "jobs").glob("*.toml"))
CLAMP = "clamp=[{{site='soma', start=0, duration={}, current={}}}]"
SYNAPSE = "synapse=[{{site='soma', start=0, {}}}]"
GATE = "physics.constants.gates=[{{power=1, z=2, half={}, tau={}}}]"
SLIPS = [  # what is set, and what is advised
    (CLAMP.format(1, 300), "pA: write 0.3"), (CLAMP.format(1, 3e-4), "µA: write 0.3"),
    (CLAMP.format(1, 3e-10), "A: write 0.3"), (CLAMP.format(0.005, 1), "s: write 5"),
    (CLAMP.format(20000, 1), "µs: write 20"),
    ("cable.C_m=0.01", "F/m² or pF/µm²: write 1"), ("cable.C_m=1000", "nF/cm²: write 1"),
    ("cable.R_i=1.5", "Ω·m or MΩ·µm: write 150"), ("cable.R_i=1500", "Ω·mm: write 150"),
    ("field.magnitude=0.2", "kV/m or V/mm: write 200"), ("field.magnitude=200000", "mV/m: write 200"),
    ("population.magnitudes=[0.2, 100]", "kV/m or V/mm: write 200"),
    ("channels.constants.squid.sodium.conductance=0.12", "S/cm²: write 120"),
    ("channels.constants.squid.leak.conductance=0.0003", "S/cm²: write 0.3"),
    ("channels.constants.squid.potassium.conductance=36000", "pS/µm² or S/m²: write 3600"),
    ("channels.constants.squid.sodium.reversal=0.05", "V: write 50"),
    ("physics.constants.c_rest=50", "nM: write 0.05"), ("physics.constants.c_rest=5e-5", "mM: write 0.05"),
    ("physics.constants.c_o=2", "mM: write 2000"), ("physics.constants.b_tot=160000", "nM: write 160"),
    ("physics.constants.b_tot=0.16", "mM: write 160"), ("physics.constants.pmca_K=60", "nM: write 0.06"),
    ("physics.constants.ncx_K=0.0018", "mM: write 1.8"), ("physics.constants.ncx_max=0.0375", "µM·µm/ms: write 37.5"),
    ("physics.constants.D_c=0.22", "µm²/ms: write 220"), ("physics.constants.D_c=2.2e-10", "m²/s: write 220"),
    ("physics.constants.D_b=2e-7", "cm²/s: write 20"), ("physics.constants.k_plus=0.027", "1/(µM ms): write 27"),
    ("physics.constants.k_plus=27000", "1/(mM s): write 27"), ("physics.constants.k_minus=0.019", "1/ms: write 19"),
    ("physics.constants.vdcc_permeability=3.8e-13", "cm³/s: write 0.38"),
    ("physics.constants.leak=2e-9", "m/s: write 0.002"),
    ("physics.constants.j_release=2.5", "µM·µm/ms: write 2500"),
    ("physics.constants.release_duration=1", "ms: write 0.001"),
    ("physics.constants.release_patch=1000", "nm: write 1"),
    (GATE.format(-0.021, 1e-3), "V: write -21"), (GATE.format(-21, 1.5), "ms: write 0.0015"),
    (SYNAPSE.format("flux=2.5"), "µM·µm/ms: write 2500"), (SYNAPSE.format("duration=0.001"), "s: write 1"),
    (SYNAPSE.format("duration=1000"), "µs: write 1"), (SYNAPSE.format("patch=1e-6"), "m: write 1"),
    (SYNAPSE.format("count=2, interval=0.1"), "s: write 100"),
    ("stimulation.pulse_interval=0.02", "s: write 20"), ("stimulation.burst_interval=0.2", "s: write 200"),
    ("stimulation.train_interval=10", "s: write 10000"), ("run.duration=0.05", "s: write 50"),
    ("run.probe_interval=0.0001", "s: write 0.1"), ("run.output_interval=0.001", "s: write 1"),
    ("cable.step=12.5", "µs: write 0.0125"), ("cable.pulse_step=5", "µs: write 0.005"),
    ("cable.sample=25", "µs: write 0.025"), ("morphology.merge_below=1000", "nm: write 1"),
    ("data.indicator=250", "nM: write 0.25"), ("parameter=[{name='pmca_K', start=60}]", "nM: write 0.06"),
    ("window.tolerance=0.5", "%: write 0.005"), ("schwarz.jump_tolerance=1", "%: write 0.01"),
    ("population.parameters=[{set={'cable.C_m'=0.01}}]", "F/m² or pF/µm²: write 1"),
]  # fmt: skip
IMPOSSIBLE = [
    ("cable.temperature=310", "310 °C is above 60 °C, which cannot be; it looks like K: write 36.85"),
    ("cable.temperature=98.6", "it looks like °F: write 37"),
    ("physics.constants.temperature=37", "37 K is below 250 K, which cannot be; it looks like °C: write 310.15"),
    ("physics.constants.temperature=340", "340 K is above 333.15 K"),
    ("data.truth.cable.temperature=310", "it looks like K: write 36.85"),
    ("parameter=[{name='cable.temperature', start=310}]", "it looks like K: write 36.85"),
    ("physics.constants.D_c=2.2e11", "2.2e+11 µm²/s is above 100000 µm²/s, which cannot be"),
    ("physics.constants.c_o=2e6", "2e+06 µM is above 1e+06 µM, which cannot be; it looks like nM: write 2000"),
    ("physics.constants.vdcc_density=1e8", "it looks like 1/cm²: write 1"),
    ("parameter=[{name='vdcc_density.apic', start=2e8}]", "it looks like 1/cm²: write 2"),
    ("physics.constants.rest_voltage=-0.07", "this looks like V; write -70"),
    ("physics.constants.z_ca=1e308", "1e+308 is above 10, which cannot be"),
    ("physics.constants.k_minus=1e308", "1e+308 1/s is above 1e+12 1/s, which cannot be"),
    ("physics.constants.j_release=-2500", "would take calcium out, and a release brings it in: write 2500"),
    (SYNAPSE.format("flux=-2500"), "-2500 µM·µm/s would take calcium out, and a release brings it in: write 2500"),
    ("field.magnitude=1e8", "1e+08 V/m is above 3e+06 V/m"),
]


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
@pytest.mark.parametrize(("setting", "advice"), SLIPS, ids=[setting for setting, _ in SLIPS])
def test_a_neighbouring_unit_is_named_with_the_number_that_would_be_right(setting, advice):
    needed = {
        "population": ["window.kind=split", "field.magnitude=100"], "stimulation": ["field.magnitude=100"],
        "parameter": ["data.sites=['soma']"],
    }  # fmt: skip
    order = load_order(None, [setting, *needed.get(setting.partition(".")[0].partition("=")[0], [])])
    config, origin = order.described, order.origin
    said = [line for line in origin.warnings(config) if "looks like" in line]
    assert len(said) == 1
    assert said[0].startswith(f"--set {setting}: ")
    assert f"it looks like {advice} (" in said[0]


@pytest.mark.parametrize(("setting", "text"), IMPOSSIBLE, ids=[setting for setting, _ in IMPOSSIBLE])
def test_what_has_no_physical_meaning_is_refused(setting, text):
    with pytest.raises(InputError) as caught:
        load_order(None, [setting])
    assert str(caught.value).startswith(f"--set {setting}: ") and text in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("job", JOBS, ids=[job.stem for job in JOBS])
def test_bundled_jobs_and_defaults_are_plausible(job):
    order = load_order(job)
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("voltage.constant=65", "65 mV is above 0 mV, where no membrane rests; is a minus missing? Then write -65"),
        ("physics.constants.rest_voltage=70", "70 mV is above 0 mV, where no membrane rests; is a minus missing?"),
        ("window.tolerance=100", "100 is outside the usual 1e-15 to 0.1; check it"),
    ],
)
def test_a_forgotten_minus_and_a_tolerance_of_everything_are_said(setting, text):
    key = setting.partition("=")[0]
    order = load_order(None, [setting])
    config, origin = order.described, order.origin
    (said,) = origin.warnings(config)
    assert said.startswith(f"--set {setting}: {key}: {text}")
    order = load_order(None, [setting, "physics.preset=seed"])
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []
    good = setting.replace("=", "=1e-5 " if key.startswith("window") else "=-").split()[0]
    order = load_order(None, [good])
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []


def test_the_dimensionless_preset_and_numbers_with_their_unit_are_not_asked_about():
    order = load_order(None, ["physics.preset=seed", "physics.constants.temperature=37", "run.duration=0.001"])
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []
    order = load_order(None, ["run.duration=50 us", "run.probe_interval=0.1 us"])
    config, origin = order.described, order.origin
    assert origin.warnings(config) == []
    order = load_order(None, ["domain.kind=square", "physics.constants.D=320"])
    config, origin = order.described, order.origin
    assert "µm²/s: write 0.32" in origin.warnings(config)[0]


def test_defaults_that_nobody_gave_are_not_asked_about():
    config = RunConfig()
    assert list(findings(config, quantity_of)) == []
    assert list(findings(SquareConfig(), square_checks.quantity_of)) == []


def test_one_that_warns_says_so_to_python_too():
    with pytest.warns(InputWarning, match=r"clamp.*300 nA.*pA: write 0\.3"):
        load_order(None, [CLAMP.format(1, 300)])


def _number_keys(model: type[Table], path: tuple[str, ...] = ()):
    """Dotted keys of all floating numbers below a table, and whether something is known of them."""

    def below(annotation: Any, path: tuple[str, ...]):
        if isinstance(annotation, type) and issubclass(annotation, Table):
            yield from _number_keys(annotation, path)
        elif annotation is float:
            yield ".".join(path), False
        else:
            in_list = getattr(annotation, "__origin__", None) in (tuple, dict)
            for inner in {str(a): a for a in get_args(annotation)}.values():
                yield from below(inner, (*path, "*") if in_list else path)

    for name, info in model.model_fields.items():
        known = name in declared_in(model) or name in quantities_in(model)
        yield from ((key, known or inner) for key, inner in below(info.annotation, (*path, name)))


@pytest.mark.parametrize("model", [RunConfig, SquareConfig])
def test_every_number_of_a_description_has_a_quantity_or_a_reason_for_none(model):
    keys = dict(_number_keys(model))
    assert len(keys) > 20 and sum(keys.values()) > 10
    undecided = [key for key, known in keys.items() if not known and not any(fnmatch(key, x) for x in WITHOUT)]
    assert undecided == []
    assert set(QUANTITIES) <= {quantity.name for quantity in ALL}


@pytest.mark.parametrize("quantity", ALL, ids=[quantity.name for quantity in ALL])
def test_usual_values_are_possible_and_slips_are_told_apart(quantity):
    low, high = quantity.usual
    assert 0.0 < low < high and quantity.possible[0] < high <= quantity.possible[1]
    middle = (low * high) ** 0.5 if quantity.unit not in ("K", "°C") else 0.5 * (low + high)
    middle = -middle if quantity.is_negative else middle
    assert finding(quantity, middle) is None and finding(quantity, 0.0) is None
    for unit in quantity.others:
        written = (middle - unit.offset) / unit.factor
        odd = finding(quantity, written)
        if odd is not None:  # a range of many decades may hold it
            assert "it looks like" in odd.text
