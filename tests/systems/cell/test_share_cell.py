"""Sharing whole cells among ranks."""

import networkx as nx
import numpy as np
import pytest

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.build.geometry import cut_cell
from hpcpinn.systems.cell.config.schema import MorphologyConfig, PiecesConfig
from hpcpinn.systems.cell.partition import share_pieces

CELLS = {
    "rat_l5_pyramidal_with_axon": "auto",
    "rat_ca1_pyramidal_c91662": "auto",
    "mouse_purkinje_p43_6": "auto",
    "fly_t4_flywire_nanometres": "nm",
}


def assert_sound(cell, n):
    """Balanced, everyone at work, every subdomain connected, nothing lost."""
    shares, cable = cell.partition, cell.cable
    assert shares.imbalance <= 1.10
    assert sorted(set(shares.owner.tolist())) == list(range(n))
    for number in range(shares.n_subdomains):
        graph = nx.Graph()
        for piece in np.flatnonzero(shares.subdomain == number):
            graph.add_edges_from((("piece", int(piece)), int(node)) for node in cable.node[piece])
        assert nx.is_connected(graph)
    figures = cell.figures()
    assert sum(figures["pieces_per_rank"]) == cable.n_frusta
    assert sum(figures["length_um_per_rank"]) == pytest.approx(cable.length.sum())


@pytest.mark.parametrize("name", CELLS)
def test_shared_cells_balance_on_any_number_of_ranks(name, shared):
    morphology = MorphologyConfig(file=str(shared / "morphologies" / f"{name}.swc"), units=CELLS[name])
    pieces, _ = cut_cell(morphology, PiecesConfig())
    for n in (2, 4, 8, 16, 64):
        cell = share_pieces(pieces, n)
        assert_sound(cell, n)
        assert cell.partition.n_subdomains <= n + max(2, n // 4)
        assert cell.partition.cuts <= cell.partition.n_subdomains - 1


@pytest.mark.parametrize("name", ["ball_and_stick", "y_branch", "pyramidal"])
@pytest.mark.parametrize("n", [1, 3, 64])
def test_bundled_cells_balance_with_more_ranks_than_sections(name, n):
    pieces, _ = cut_cell(MorphologyConfig(file=f"builtin:{name}"), PiecesConfig())
    assert_sound(share_pieces(pieces, n), n)


def test_pieces_are_cut_finer_only_where_balance_asks():
    coarse = PiecesConfig(max_length=50.0, source_length=50.0)
    stick, _ = cut_cell(MorphologyConfig(file="builtin:ball_and_stick"), coarse)
    alone, crowd = share_pieces(stick, 1), share_pieces(stick, 40)
    assert alone.cable.n_frusta == alone.n_pieces_of_run == crowd.n_pieces_of_run
    assert crowd.cable.n_frusta > crowd.n_pieces_of_run
    np.testing.assert_allclose(alone.cable.volume.sum(), crowd.cable.volume.sum(), rtol=1e-12)


def test_suspicious_units_are_told(shared):
    fly = shared / "morphologies" / "fly_t4_flywire_nanometres.swc"
    coarse = PiecesConfig(max_length=1e4, source_length=1e4)
    assert "--units nm" in cut_cell(MorphologyConfig(file=str(fly)), coarse)[1][0]


@pytest.mark.parametrize("n", [0, -1])
def test_number_of_ranks_must_be_positive(n):
    with pytest.raises(InputError, match=f"-n {n}"):
        share_pieces(cut_cell(MorphologyConfig(), PiecesConfig())[0], n)
