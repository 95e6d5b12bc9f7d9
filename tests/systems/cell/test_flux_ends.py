"""Which end of the cell a given flux goes through."""

import pytest

from hpcpinn.errors import InputError
from hpcpinn.morphology.sites import parse_site, place
from hpcpinn.systems.cell.build.coupled import describe_cell
from hpcpinn.systems.cell.build.geometry import free_end
from hpcpinn.systems.cell.build.morphology import load_cable
from hpcpinn.systems.cell.config.reading import load_config

Y = load_config(None, ["morphology.file=builtin:y_branch"])


@pytest.fixture(scope="module")
def cable():
    return load_cable(Y.morphology)


def tip_of(section, cable):
    """Where a section ends."""
    return place(parse_site(f"{section}(1)", cable), cable)


@pytest.mark.parametrize("name", ["dend[1]", "dend[1](1)", "dend[1](0.9999)"])
def test_a_section_and_its_end_mean_its_free_end(cable, name):
    section, along, _ = place(free_end(parse_site(name, cable), cable), cable)
    assert (section, along) == tip_of("dend[1]", cable)[:2]


def test_the_coordinates_and_the_point_of_a_tip_mean_the_tip(cable):
    section, along, (x, y, z) = tip_of("dend[2]", cable)
    point = int(cable.swc_id[parse_site("dend[2](1)", cable).frustum])
    for name in (f"xyz:{x:.3f},{y:.3f},{z:.3f}", f"point:{point}"):
        assert place(free_end(parse_site(name, cable), cable), cable)[:2] == (section, along)


@pytest.mark.parametrize("name", ["dend[1](0.5)", "dend[1](0)", "dend[1](0.99)"])
def test_another_position_is_no_end(cable, name):
    with pytest.raises(InputError) as caught:
        free_end(parse_site(name, cable), cable)
    line = str(caught.value)
    assert f"site '{name}': no free end" in line
    assert "write dend[1] without a position, or tip:TYPE" in line


def test_a_run_names_the_flux():
    config = load_config(None, ["morphology.file=builtin:y_branch", "flux=[{site='dend[1](0.5)', value=1.0}]"])
    with pytest.raises(InputError, match=r"\[\[flux\]\] number 1, site: site 'dend\[1\]\(0.5\)': no free end"):
        describe_cell(config)
