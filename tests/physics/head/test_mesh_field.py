"""A field per tetrahedron: read whole, recovered exactly where it is linear, refused with a line where it is none."""

import meshio
import numpy as np
import pytest

from hpcpinn.errors import InputError, InputWarning
from hpcpinn.physics.stimulation.field import quasipotential, uniform_field
from hpcpinn.physics.stimulation.head.mesh_file import read_mesh_field
from hpcpinn.physics.stimulation.head.placed import PlacedField
from hpcpinn.physics.stimulation.head.placement import HeadPlacement, turn
from tests.physics.head.heads import cell, cube, head_with, write_head

PLACED = HeadPlacement(np.array([1.0, 2.0, 3.0]), np.array([-40.0, 15.0, 60.0]), turn((0, 1, 0), (1, -2, 0.5), 33.0))
KINDS = [("simnibs", True), ("gmsh22", True), ("gmsh22", False), ("gmsh", True), ("gmsh", False)]


def linear(places):
    form = np.array([[30.0, -12.0, 4.0], [7.0, 25.0, -9.0], [2.0, 15.0, -41.0]])  # V/m per mm
    return (places - PLACED.position) @ form + [80.0, -150.0, 40.0]


def at_nodes(cable):
    places = np.empty((cable.n_nodes, 3))
    places[cable.node[0, 0]] = cable.xyz[0, 0]
    places[cable.node[:, 1]] = cable.xyz[:, 1]
    return places


def seen(path, cable=None, **more):
    return PlacedField(read_mesh_field(path, **more), PLACED)


@pytest.fixture(scope="module")
def cable():
    return cell("pyramidal")


@pytest.fixture(scope="module")
def around(cable):
    return PLACED.to_head(cable.xyz.reshape(-1, 3))


@pytest.mark.parametrize(
    ("kind", "binary"), KINDS, ids=["SimNIBS", "2.2 binary", "2.2 ASCII", "4.1 binary", "4.1 ASCII"]
)
def test_a_uniform_field_has_its_quasipotential_in_closed_form(kind, binary, cable, around, tmp_path):
    vector = np.array([60.0, -110.0, 35.0])
    path = head_with(tmp_path / "h.msh", lambda p: np.tile(vector, (len(p), 1)), around, kind=kind, binary=binary)
    psi = quasipotential(cable, seen(path))
    places = PLACED.to_head(at_nodes(cable))
    np.testing.assert_allclose(psi, -(places - places[0]) @ vector, rtol=0.0, atol=1e-11)  # V/m over mm are mV
    in_cell = PLACED.turned_into_cell(vector[None])[0]
    plain = quasipotential(cable, uniform_field(float(np.linalg.norm(in_cell)), in_cell.tolist()))
    np.testing.assert_allclose(psi, plain, rtol=0.0, atol=1e-11)


def test_a_linear_field_comes_out_exactly_inside_one_tissue(cable, around, tmp_path):
    """Also beside the surface of the tissue: the mesh has four cells across, and the cell fills it."""
    field = seen(head_with(tmp_path / "h.msh", linear, around))
    wanted = PLACED.turned_into_cell(linear(around))
    np.testing.assert_allclose(field(cable.xyz.reshape(-1, 3)), wanted, rtol=0.0, atol=1e-9)

    def exactly(xyz):
        return PLACED.turned_into_cell(linear(PLACED.to_head(xyz)))

    exact = quasipotential(cable, exactly)
    assert np.abs(quasipotential(cable, field) - exact).max() < 1e-9 * np.abs(exact).max()  # the bar is 1e-6


def observed_orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_a_curved_field_converges_with_the_mesh(cable, around, tmp_path):
    """Vectors at the centres of tetrahedra: a linear recovery of them is of second order inside."""

    def curved(places):
        x, y, z = (places - PLACED.position).T
        return 100.0 * np.stack([np.sin(2.0 * y), np.cos(1.5 * x) * z, np.exp(0.5 * x - y)], axis=1)

    wanted = PLACED.turned_into_cell(curved(around))
    errors = []
    for cells in (4, 8, 16):
        field = seen(head_with(tmp_path / "h.msh", curved, around, cells=cells))
        errors.append(np.sqrt(np.mean((field(cable.xyz.reshape(-1, 3)) - wanted) ** 2)))
    assert np.all(observed_orders(errors) > 1.6), errors
    assert errors[-1] < 0.01 * np.abs(wanted).max()


def test_the_potential_of_finite_elements_is_found_again(cable, around, tmp_path):
    """As SimNIBS's E comes about: the gradient of a potential that is linear in tetrahedra, V/m of mV over mm."""

    def potential(places):
        x, y, z = (places - PLACED.position).T
        return 50.0 * np.exp(0.8 * x) * np.sin(0.8 * y) + 120.0 * z  # harmonic

    errors = []
    for cells in (4, 8, 16):
        points, tets = cube(around.min(axis=0) - 0.2, around.max(axis=0) + 0.2, cells, jiggle=0.15)
        corner, value = points[tets], potential(points)[tets]
        vectors = -np.linalg.solve(corner[:, 1:] - corner[:, :1], (value[:, 1:] - value[:, :1])[..., None])[..., 0]
        path = write_head(tmp_path / "h.msh", points, tets, np.full(len(tets), 2), {"E": vectors}, kind="simnibs")
        psi, places = quasipotential(cable, seen(path)), PLACED.to_head(at_nodes(cable))
        exact = potential(places) - potential(places[:1])
        errors.append(np.abs(psi - exact).max() / np.abs(exact).max())
    assert np.all(observed_orders(errors) > 1.0), errors
    assert errors[-1] < 1e-3


def test_vectors_that_are_only_of_first_order_stay_so(cable, around, tmp_path):
    """As those of linear finite elements are: off by a share of the size of their tetrahedra, whichever way."""
    signs = np.random.default_rng(5)
    errors = []
    for cells in (4, 8, 16):
        off = 1.0 / cells

        def rough(places, off=off):
            return linear(places) + 100.0 * off * signs.uniform(-1.0, 1.0, (len(places), 3))

        field = seen(head_with(tmp_path / "h.msh", rough, around, cells=cells))
        wanted = PLACED.turned_into_cell(linear(around))
        errors.append(np.sqrt(np.mean((field(cable.xyz.reshape(-1, 3)) - wanted) ** 2)))
    assert np.mean(observed_orders(errors)) > 0.8, errors


def test_nothing_is_averaged_across_tissues(tmp_path):
    """The field jumps at x = 0: on either side it is that side's, up to the face."""
    points, tets = cube((-1, -1, -1), (1, 1, 1), 4)
    is_grey = points[tets].mean(axis=1)[:, 0] < 0.0
    vectors = np.where(is_grey[:, None], [100.0, 0.0, 0.0], [-30.0, 50.0, 0.0])
    path = write_head(tmp_path / "h.msh", points, tets, np.where(is_grey, 2, 1), {"E": vectors})
    places = np.array([[-0.7, 0.1, 0.2], [-1e-6, 0.1, 0.2], [1e-6, 0.1, 0.2], [0.9, 0.0, 0.0]])
    both = read_mesh_field(path, tissues=(2, 1))
    np.testing.assert_allclose(both.at(places), [[100, 0, 0], [100, 0, 0], [-30, 50, 0], [-30, 50, 0]], atol=1e-9)
    grey = read_mesh_field(path).at(places)
    np.testing.assert_allclose(grey[:2], [[100, 0, 0]] * 2, atol=1e-9)
    assert np.isnan(grey[2:]).all()
    on_the_face = np.array([[0.0, 0.1, 0.2]])
    for tissues, first in (((2, 1), [100.0, 0.0, 0.0]), ((1, 2), [-30.0, 50.0, 0.0])):
        np.testing.assert_allclose(read_mesh_field(path, tissues=tissues).at(on_the_face), [first], atol=1e-9)
    np.testing.assert_allclose(read_mesh_field(path).nearest(places[2:])[1], [1e-6, 0.9], rtol=0.2)


def test_who_is_outside_of_a_tissue_is_told_which_others_there_are(tmp_path):
    points, tets = cube((-1, -1, -1), (1, 1, 1), 2)
    tags = np.where(points[tets].mean(axis=1)[:, 0] < 0.0, 2, 1)
    path = write_head(tmp_path / "h.msh", points, tets, tags, {"E": np.ones((len(tets), 3))})
    placed = HeadPlacement(np.zeros(3), np.zeros(3), turn((0, 1, 0), (0, 1, 0), 0))
    with pytest.raises(InputError, match=r"1 of 2 places lie outside tissue 2 \(field.tissue; there are also 1\), "):
        PlacedField(read_mesh_field(path), placed)(np.array([[-500.0, 0.0, 0.0], [500.0, 0.0, 0.0]]))


def gmsh2(path, nodes, elements, data, order=""):
    """A file of format 2 in ASCII, or in binary of some order of bytes; numbers of nodes and elements as given."""
    text = f"$MeshFormat\n2.2 {int(bool(order))} 8\n".encode()
    text += (np.array([1], f"{order}i4").tobytes() + b"\n") if order else b""
    text += b"$EndMeshFormat\n$Comments\nof no use\n$EndComments\n$Nodes\n%d\n" % len(nodes)
    rows = {
        "$EndNodes\n$Elements\n": [((number,), place) for number, place in nodes],
        '$EndElements\n$ElementData\n1\n"E"\n1\n0.0\n3\n0\n3\n': [
            ((number, 4, 2, tag, tag, *corners), ()) for number, tag, corners in elements
        ],
        "$EndElementData\n": [((number,), vector) for number, vector in data],
    }
    for (end, lines), following in zip(rows.items(), (len(elements), len(data), None), strict=True):
        for whole, real in lines:
            if not order:
                text += " ".join([*map(str, whole), *map(repr, map(float, real))]).encode() + b"\n"
                continue
            whole = (4, 1, 2, whole[0], *whole[3:]) if len(whole) > 1 else whole  # a block of one element
            text += np.array(whole, f"{order}i4").tobytes() + np.array(real, f"{order}f8").tobytes()
        text += end.encode() + (b"%d\n" % following if following is not None else b"")
    path.write_bytes(text)
    return path


@pytest.mark.parametrize("order", ["", "<", ">"], ids=["text", "little-endian", "big-endian"])
def test_numbers_of_nodes_and_elements_may_be_any_and_in_any_order(order, tmp_path):
    """Data belong to the element of their number; here there are none for surfaces, and elements come shuffled."""
    chance = np.random.default_rng(3)
    points, tets = cube((0, 0, 0), (1, 1, 1), 3, jiggle=0.2)
    vectors = (points[tets].mean(axis=1) - 0.5) @ np.diag([1.0, 2.0, 3.0])
    node = chance.permutation(len(points)) * 3 + 7
    element = chance.permutation(len(tets)) * 2 + 11
    shuffled, of_data = chance.permutation(len(tets)), chance.permutation(len(tets))
    path = gmsh2(
        tmp_path / "h.msh",
        [(int(node[k]), points[k]) for k in chance.permutation(len(points))],
        [(int(element[k]), 2, node[tets[k]].tolist()) for k in shuffled],
        [(int(element[k]), vectors[k]) for k in of_data],
        order,
    )
    places = chance.uniform(0.01, 0.99, (100, 3))
    np.testing.assert_allclose(read_mesh_field(path).at(places), (places - 0.5) @ np.diag([1.0, 2.0, 3.0]), atol=1e-12)


def test_a_field_that_is_given_for_some_elements_only_is_refused(tmp_path):
    points, tets = cube((0, 0, 0), (1, 1, 1), 2)
    elements = [(k + 1, 2, (tets[k] + 1).tolist()) for k in range(len(tets))]
    path = gmsh2(tmp_path / "h.msh", list(enumerate(points, 1)), elements, [(k + 1, (1, 2, 3)) for k in range(40)])
    with pytest.raises(InputError, match="not finite in 8 of 48 tetrahedra of tissue 2, first in tetrahedron 41; "):
        read_mesh_field(path)


def test_a_field_at_the_nodes_is_linear_between_them(around, tmp_path):
    points, tets = cube(around.min(axis=0) - 0.2, around.max(axis=0) + 0.2, 3, jiggle=0.2)
    tags = [np.full(len(tets), 2)]
    mesh = meshio.Mesh(
        points, [("tetra", tets)], {"E": linear(points)}, {"gmsh:physical": tags, "gmsh:geometrical": tags}
    )
    meshio.write(str(tmp_path / "h.msh"), mesh, file_format="gmsh22")
    np.testing.assert_allclose(read_mesh_field(tmp_path / "h.msh").at(around), linear(around), atol=1e-9)


def test_turning_cell_and_head_together_changes_nothing(cable, around, tmp_path):
    """The same head and placement, turned about any axis: the same quasipotential."""
    other = turn((0, 1, 0), (0.3, -0.2, 0.9), 71.0)
    turned = HeadPlacement(PLACED.origin, other @ PLACED.position, other @ PLACED.rotation)
    points, tets = cube(around.min(axis=0) - 0.2, around.max(axis=0) + 0.2, 4, jiggle=0.15)
    vectors, tags = linear(points[tets].mean(axis=1)) ** 2 / 300.0, np.full(len(tets), 2)
    first = write_head(tmp_path / "a.msh", points, tets, tags, {"E": vectors})
    second = write_head(tmp_path / "b.msh", points @ other.T, tets, tags, {"E": vectors @ other.T})
    one = quasipotential(cable, PlacedField(read_mesh_field(first), PLACED))
    two = quasipotential(cable, PlacedField(read_mesh_field(second), turned))
    np.testing.assert_allclose(two, one, rtol=0.0, atol=1e-9 * np.abs(one).max())


@pytest.fixture(scope="module")
def good(tmp_path_factory, around):
    return head_with(tmp_path_factory.mktemp("good") / "head.msh", linear, around, cells=2)


def written(tmp_path, good, change):
    path = tmp_path / "bad.msh"
    path.write_bytes(change(good.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "is no gmsh file: it does not begin with $MeshFormat"),
        (lambda data: b"x,y,z\n1,2,3\n", "is no gmsh file: it does not begin with $MeshFormat"),
        (lambda data: data[: len(data) // 2], "is cut short: its last line ends no section"),
        (lambda data: data.replace(b"2.2 1 8", b"9.9 1 8", 1), "cannot be read as a gmsh file (Need mesh format in"),
        (lambda data: data[:300] + data[700:], "cannot be read as a gmsh file ("),
        (lambda data: data.partition(b"$ElementData")[0], "no field 'E' (field.name); it holds no field at all"),
    ],
    ids=["empty", "table", "half", "version", "hole", "no fields"],
)
def test_damaged_meshes_are_one_line(change, message, good, tmp_path):
    path = written(tmp_path, good, change)
    with pytest.raises(InputError) as no:
        read_mesh_field(path)
    assert str(no.value).startswith(f"{path}: ") and message in str(no.value) and "\n" not in str(no.value)


def bad(tmp_path, fields, tags=2, tets=None):
    points, inside = cube((0, 0, 0), (1, 1, 1), 2)
    inside = inside if tets is None else tets
    return write_head(tmp_path / "h.msh", points, inside, np.full(len(inside), tags), fields(len(inside)))


@pytest.mark.parametrize(
    ("fields", "more", "message"),
    [
        (lambda n: {"magnE": np.ones(n)}, {}, "no field 'E', only its magnitude ('magnE'), and a direction is needed"),
        (lambda n: {"normE": np.ones(n)}, {}, "only its magnitude ('normE')"),
        (lambda n: {"magnE": np.ones(n), "E": np.ones((n, 3))}, {"name": "magnE"},
         "field 'magnE' is a magnitude (1 number each), and a direction is needed; the vectors are in 'E'"),
        (lambda n: {"J": np.ones((n, 3)), "v": np.ones(n)}, {},
         "no field 'E' (field.name); it holds 'J', 'v'; the vectors are in 'J': set field.name"),
        (lambda n: {"E": np.full((n, 3), np.nan)}, {},
         "field 'E' is not finite in 48 of 48 tetrahedra of tissue 2, first in tetrahedron 1; solve"),
        (lambda n: {"E": np.ones((n, 3))}, {"tissues": (1,)}, "no tetrahedron of tissue 1; there are 2 (field.tissue)"),
    ],
    ids=["magnE", "normE", "name", "other", "nan", "tissue"],
)  # fmt: skip
def test_what_holds_no_vectors_is_one_line(fields, more, message, tmp_path):
    path = bad(tmp_path, fields)
    with pytest.raises(InputError) as no:
        read_mesh_field(path, **more)
    assert str(no.value).startswith(f"{path}: ") and message in str(no.value) and "\n" not in str(no.value)


def test_meshes_without_tetrahedra_or_labels_are_refused(tmp_path):
    points, tets = cube((0, 0, 0), (1, 1, 1), 1)
    tags = [np.ones(len(tets), int)]
    flat = meshio.Mesh(points, [("triangle", tets[:, :3])], cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags})
    meshio.write(str(tmp_path / "flat.msh"), flat, file_format="gmsh22")
    with pytest.raises(InputError, match=r"flat\.msh: no tetrahedra \(4 nodes each\) in it, but triangle; give"):
        read_mesh_field(tmp_path / "flat.msh")
    path = bad(tmp_path, lambda n: {"E": np.ones((n, 3))}, tags=0)
    with pytest.raises(InputError, match="its tetrahedra have no labels of tissues"):
        read_mesh_field(path)
    with pytest.raises(InputError, match=r"gone\.msh: no such field file; give a gmsh file"):
        read_mesh_field(tmp_path / "gone.msh")


def test_places_outside_are_named_or_taken_from_the_nearest(cable, around, tmp_path):
    vector = np.array([60.0, -110.0, 35.0])
    inner = around[around[:, 1] < np.median(around[:, 1])]
    path = head_with(tmp_path / "h.msh", lambda p: np.tile(vector, (len(p), 1)), inner, margin=0.01)
    field = read_mesh_field(path)
    ends = cable.xyz.reshape(-1, 3)
    out = np.isnan(field.at(around)).any(axis=1)
    assert 0 < out.sum() < len(out)
    with pytest.raises(InputError, match=rf"{out.sum()} of {len(out)} places lie outside tissue 2 .*by \d.*mm, "):
        PlacedField(field, PLACED)(ends)
    nearest = PlacedField(field, PLACED, "nearest")
    np.testing.assert_allclose(PLACED.turned_into_head(nearest(ends)), np.tile(vector, (len(ends), 1)), atol=1e-9)
    with pytest.warns(InputWarning, match=rf"{out.sum()} of {len(out)} ends of the cell's parts \(.*\) lie out"):
        nearest.warn_of_guesses(cable)


@pytest.mark.parametrize(
    ("factor", "advice"),
    [
        (1e3, "placement.position looks like µm and is taken as mm: multiply it by 0.001"),
        (1e-3, "placement.position looks like m and is taken as mm: multiply it by 1000"),
    ],
)
def test_another_unit_is_named_with_its_factor(factor, advice, cable, around, tmp_path):
    field = read_mesh_field(head_with(tmp_path / "h.msh", linear, around))
    placed = HeadPlacement(PLACED.origin, PLACED.position * factor, PLACED.rotation)
    with pytest.raises(InputError) as no:
        PlacedField(field, placed)(cable.xyz.reshape(-1, 3))
    assert advice in str(no.value)


def test_a_head_in_another_unit_is_named_with_its_factor(cable, around, tmp_path):
    points, tets = cube(1e3 * around.min(axis=0), 1e3 * around.max(axis=0), 2)
    path = write_head(tmp_path / "h.msh", points, tets, np.full(len(tets), 2), {"E": np.ones((len(tets), 3))})
    with pytest.raises(InputError, match="the file's coordinates look like µm, .*: multiply them by 0.001"):
        PlacedField(read_mesh_field(path), PLACED)(cable.xyz.reshape(-1, 3))
