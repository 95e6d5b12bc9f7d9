"""Which part of a cell has which membrane: types, sections, sites, distances, other sets, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.morphology.compartments import d_lambda_counts
from hpcpinn.systems.cell.build.membrane import driven_cable, membrane_of
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.build.regions import coat, places_of_compartments, places_of_frusta
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.jobs import load_order

SWC = """1 1 0 0 0 6 -1
2 3 0 -6 0 1 1
3 3 0 -106 0 1 2
4 4 0 6 0 1.5 1
5 4 0 206 0 1.5 4
6 2 6 0 0 0.5 1
7 2 46 0 0 0.5 6
8 5 47 0 0 0.7 7
9 5 97 0 0 0.7 8
10 7 97.1 0 0 0.5 9
11 7 98 0 0 0.5 10
12 6 98.1 0 0 0.5 11
13 6 150 0 0 0.5 12
"""
TYPES = 'channels.types={ 5 = "myelin", 7 = "node", 6 = "unmyelinated" }'


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    file = tmp_path / "cell.swc"
    file.write_text(SWC)
    return file


def described(cell: Path, *settings: str) -> RunConfig:
    given = [f'morphology.file="{cell}"', "morphology.merge_below=0", "field.magnitude=1", *settings]
    return load_order(None, given).described


def by_kind(config: RunConfig) -> dict[int, set[str]]:
    cable = load_cable(config.morphology)
    places = places_of_frusta(cable)
    names = np.array(coat(membrane_of(config).library, cable, places).names)
    return {int(kind): set(names[places.kind == kind]) for kind in np.unique(places.kind)}


def test_every_type_has_its_region(cell):
    found = by_kind(described(cell, "channels.set=aberra-l23", TYPES))
    regions = {1: "soma", 2: "axon", 3: "basal", 4: "apical", 5: "myelin", 6: "unmyelinated", 7: "node"}
    assert found == {kind: {f"aberra-l23:{region}"} for kind, region in regions.items()}


def test_a_membrane_that_is_alike_everywhere_leaves_types_of_their_own_passive(cell):
    found = by_kind(described(cell))
    assert found == {kind: {"squid" if kind < 5 else "passive"} for kind in range(1, 8)}


def test_parts_have_other_sets_and_regions_of_other_sets(cell):
    settings = ["channels.set=aberra-l23", TYPES, "channels.basal=passive", "channels.apical=aberra-l5"]
    found = by_kind(described(cell, *settings, "channels.soma=axon"))
    assert found[3] == {"passive"} and found[4] == {"aberra-l5:apical"} and found[1] == {"aberra-l23:axon"}


REGIONS = {
    "types=[4]": lambda p: p.kind == 4,
    "distance=[0.0, 50.0]": lambda p: p.distance <= 50.0,
    "types=[4], distance=[50.0, 1000.0]": lambda p: (p.kind == 4) & (p.distance >= 50.0),
    'sections=["apic[0]", "dend[0]"]': lambda p: np.isin(p.kind, (3, 4)),
    'beyond="type5[0](0)"': lambda p: np.isin(p.kind, (5, 6, 7)),
    'beyond="apic[0](0.5)"': lambda p: (p.kind == 4) & (p.distance >= p.distance[p.kind == 4].mean()),
}


@pytest.mark.parametrize("rule", REGIONS)
def test_parts_are_chosen_by_type_section_site_and_distance(cell, rule):
    config = described(cell, "cable.longest=10", f'channels.region=[{{region="code", {rule}}}]')
    driven = driven_cable(config, load_cable(config.morphology))
    places = places_of_compartments(driven.compartments)
    names = np.array(coat(membrane_of(config).library, load_cable(config.morphology), places).names)
    np.testing.assert_array_equal(names == "code", REGIONS[rule](places))


def test_a_later_rule_goes_before_an_earlier_one(cell):
    rules = '[{region="code", types=[3, 4]}, {region="passive", types=[4]}]'
    found = by_kind(described(cell, f"channels.region={rules}"))
    assert found[3] == {"code"} and found[4] == {"passive"}


def test_capacitance_and_resistivity_are_those_of_regions_where_nobody_gives_them(cell):
    config = described(cell, "channels.set=jarsky-ca1", TYPES)
    driven = driven_cable(config, load_cable(config.morphology))
    kind = driven.compartments.kind
    np.testing.assert_array_equal(driven.equation.constants.C_m, np.where(kind == 5, 0.01, 0.75))
    np.testing.assert_array_equal(driven.equation.constants.R_i, np.where(kind == 5, 150.0, 200.0))
    given = described(cell, "channels.set=jarsky-ca1", TYPES, "cable.C_m=1.1")
    own = driven_cable(given, load_cable(given.morphology)).equation.constants
    assert own.C_m == 1.1 and np.ndim(own.R_i) == 1
    assert driven_cable(described(cell), load_cable(config.morphology)).equation.constants.C_m == 1.0


def test_compartments_follow_the_capacitance_of_their_regions(cell):
    """λ at 100 Hz goes with 1/√C_m: myelin takes fewer compartments."""
    config = described(cell, "channels.set=aberra-l23", TYPES, "cable.d_lambda=0.02")
    cable = load_cable(config.morphology)
    count = np.bincount(driven_cable(config, cable).compartments.section)
    thick = d_lambda_counts(cable, 100.0, 1.0, fraction=0.02)
    thin = d_lambda_counts(cable, 100.0, 0.02, fraction=0.02)
    kinds = [section.kind for section in cable.sections]
    for section, kind in enumerate(kinds):
        wanted = {5: thin, 3: d_lambda_counts(cable, 100.0, 2.0, fraction=0.02), 2: thick}
        if kind in wanted:
            assert count[section] == wanted[kind][section], kind
    limited = driven_cable(described(cell, "cable.longest=10"), cable).compartments
    lengths = np.bincount(limited.section, limited.length)
    assert np.all(np.bincount(limited.section) >= 1 + 2 * (lengths / 10.0).astype(int))


def test_a_conductance_that_grows_along_the_cell_does_so_in_the_equation(cell):
    """Apical Ih of the layer 2/3 cell against the published formula, compartment by compartment."""
    config = described(cell, "channels.set=aberra-l23", TYPES, "cable.longest=10")
    equation = driven_cable(config, load_cable(config.morphology)).equation
    (apical,) = [group for group in equation.groups if group.channels.name == "aberra-l23:apical"]
    names = [current.name for current in apical.channels.currents]
    distance = places_of_compartments(equation.compartments).distance[apical.compartments]
    factor = apical.factors[names.index("Ih")]
    np.testing.assert_allclose(factor, 0.08 * (2.087 * np.exp(0.0031 * distance) - 0.8696), rtol=1e-13)
    assert len(np.unique(factor)) > 5 and apical.factors[names.index("Im")] is None


@pytest.mark.filterwarnings("ignore::hpcpinn.errors.InputWarning")
def test_constants_of_one_region_differ(cell):
    changed = 'channels.constants={"aberra-l23:node"={NaTa_t={conductance=7000.0}}}'
    config = described(cell, "channels.set=aberra-l23", TYPES, changed)
    membrane = membrane_of(config)
    assert membrane.value("channels.aberra-l23:node.NaTa_t.conductance") == 7000.0
    assert membrane.value("channels.aberra-l23:axon.NaTa_t.conductance") == 3429.725
    groups = driven_cable(config, load_cable(config.morphology)).equation.groups
    found = {group.channels.name: group.channels.currents[0].conductance for group in groups}
    assert found["aberra-l23:node"] == 7000.0 and found["aberra-l23:axon"] == 3429.725
    with pytest.raises(InputError, match="'cable.C_m' differs by region in this run; give parameter.start"):
        membrane.value("cable.C_m")


def test_a_membrane_of_ones_own_is_a_file_or_a_table(cell, tmp_path):
    text = "conductances = { k = 1.0 }\n[currents.k]\nreversal = -71.5\n"
    (tmp_path / "mine.toml").write_text(text)
    declared = "channels.declared={ own = { conductances = { k = 1.0 }, currents = { k = { reversal = -71.5 } } } }"
    for settings in ([f'channels.set="{tmp_path / "mine.toml"}"'], ["channels.set=own", declared]):
        config = described(cell, *settings, "channels.other=mine" if len(settings) == 1 else "channels.other=own")
        driven = driven_cable(config, load_cable(config.morphology))
        V = driven.equation.voltage(driven.equation.resting_state())
        np.testing.assert_allclose(V, -71.5, atol=1e-8)


REFUSED = {
    "channels.set=aberra": r"channels\.set: channels 'aberra': no such channel set; did you mean 'aberra-l5'|-l23'",
    "channels.set='none.toml'": r"channels\.set: none\.toml: cannot be read",
    "channels.soma='aberra-l23:nodes'": r"channels\.soma: channels 'aberra-l23': no region 'nodes'; did you",
    "channels.other='aberra-l23'": r"channels\.other: channels 'aberra-l23' has regions; .*such as aberra-l23:soma",
    'channels.types={5="mielin"}': r"channels\.types\.5: channels 'mielin': no such channel set",
    'channels.types={x="myelin"}': r"channels\.types\.x",
    "channels.other=nobody": r"channels\.other: channels 'nobody': no such channel set",
    'channels.region=[{region="code", types=[9]}]': r"channels\.region\.0: no part of the cell is chosen",
    'channels.region=[{region="code", sections=["dend[7]"]}]': r"channels\.region\.0: no section 'dend\[7\]'",
    'channels.region=[{region="coode"}]': r"channels\.region\.0: channels 'coode': no such channel set; did you",
    'channels.region=[{region="code", beyond="dend[7](0.5)"}]': r"channels\.region\.0: site 'dend\[7\]",
    'channels.constants={"aberra-l23:node"={Ca={conductance=1.0}}}': r"channels\.constants: .*no current 'Ca'",
    "channels.declared={ own = { rest = -70.0 } }": r"channels\.declared\.own: give conductances where",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_cannot_be_is_one_line(cell, setting):
    def driven() -> None:
        config = described(cell, setting)
        driven_cable(config, load_cable(config.morphology))

    with pytest.raises(InputError, match=REFUSED[setting]) as caught:
        driven()
    assert "\n" not in str(caught.value)


def test_types_that_look_like_myelin_and_are_nothing_are_warned_of(cell):
    config = described(cell, "channels.set=aberra-l23")
    said = r"types of its own \(type 5: 1 section of 5\d.* um, type 6.*type 7.*\), which have the membrane 'passive'"
    with pytest.warns(InputWarning, match=said):
        driven_cable(config, load_cable(config.morphology))
    config = described(
        cell, "channels.set=aberra-l23", 'channels.types={5="myelin", 6="unmyelinated", 7="node", 8="node"}'
    )
    with pytest.warns(InputWarning, match=r"channels\.types\.8: type 8 is nowhere in the cell"):
        driven_cable(config, load_cable(config.morphology))
