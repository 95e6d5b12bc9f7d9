"""What a long run refuses: one line that names the value, the place and the fix, before anything is computed."""

from pathlib import Path

import pytest

from hpcpinn.errors import InputError
from hpcpinn.systems.cell.build.long import slot_setup
from hpcpinn.systems.cell.config.reading import load_config

FIELD = ["field.magnitude=100.0"]

FILES = {
    "far.csv": "x,y,z,Ex,Ey,Ez\n" + "".join(f"{x},{y},{z},1,0,0\n" for x in (900, 950) for y in (0, 9) for z in (0, 9)),
    "nan.csv": "x,y,z,Ex,Ey,Ez\n0,0,0,1,0,0\n50,0,0,nan,0,0\n",
    "short.csv": "time_ms,root,tip\n0,-70,-70\n10,-60,-70\n20,-69.5,-70\n",
    "broken.csv": "time_ms,root\n0,-70\n10,nan\n90,-70\n",
    "lost.csv": "time_ms,root,dend[99]\n0,-70,-70\n90,-70,-70\n",
}


@pytest.mark.parametrize(
    "settings, words",
    [
        (["field.file=far.csv"], ["field.file: ", "far.csv: does not cover the cell", "µm from the nearest sample"]),
        (["field.file=nan.csv"], ["field.file: ", "nan.csv:3: ", "nan", "finite"]),
        (
            [*FIELD, "stimulation.pulses=2", "stimulation.pulse_interval=0.2", "stimulation.waveform=biphasic"],
            ["pulses 0.2 ms apart are closer than the biphasic waveform is long", "space them by"],
        ),
        (["voltage.file=short.csv"], ["short.csv: covers times 0 to 20, the run needs 0 to 50", "run.duration"]),
        (["voltage.file=broken.csv"], ["broken.csv:3: column 'root' is nan", "finite"]),
        (["voltage.file=lost.csv", "run.duration=20.0"], ["lost.csv: site 2 of the table: site 'dend[99]'"]),
        (
            ["voltage.file=short.csv", "voltage.period=30.0"],
            ["short.csv: covers times 0 to 20, a period of 30 needs 0 to 30", "shorten voltage.period"],
        ),
        (
            ["voltage.file=short.csv", "voltage.period=10.0"],
            ["short.csv: root is -70 mV at time 0 and -60 mV at 10", "1 mV is the most"],
        ),
        (["voltage.period=10.0"], ["voltage.period: 10 ms, but there is no table", "give voltage.file"]),
        (['synapse=[{site="tip", start=1.0, count=3}]'], ["[[synapse]] number 1, interval: missing; 3 releases"]),
        (['synapse=[{site="tip", start=1.0, interval=3.0}]'], ["interval: 3 ms between releases, but there is one"]),
        ([*FIELD, "channels.axon=squit"], ["channels.axon: ", "'squit': no such channel set", "squid"]),
        (
            [*FIELD, "channels.dendrite=squid"],
            ["channels.dendrite: unknown key", "soma, axon, basal, apical"],
        ),
        (
            ["physics.constants.k_plus=30.0", "physics.constants.pmca_K=0.07"],
            ["k_plus (27 in the map, 30 in the run)", "pmca_K (0.06 in the map, 0.07 in the run)", "train one"],
        ),
        (
            ["window.kind=mixed", "split.diffusion=exact"],
            ["split.diffusion: 'exact' is on cells", "coupled windows hand over at the nodes", "leave it out"],
        ),
        (["window.kind=mixed", "split.windows=adaptive"], ["split.windows: 'adaptive'", "use 'fixed'"]),
        (["window.kind=mixed", "training.trainer=adam"], ["training.trainer: 'adam'", "take 'least-squares'"]),
        (
            [*FIELD, "window.kind=mixed", "population.magnitudes=[1.0, 2.0]"],
            ["population: members run together in split windows alone", "set window.kind = 'split'"],
        ),
        (["window.kind=mixed", "split.coupled_for=0"], ["split.coupled_for: ", "greater than 0"]),
        (
            ["split.diffusion=networks", 'flux=[{site="root", value=5.0}]'],
            ["flux: networks take no fluxes through free ends", "split.diffusion = 'exact'"],
        ),
        (["physics.preset=seed"], ["physics.preset: 'seed' is dimensionless; split windows need a physical preset"]),
    ],
)
def test_what_cannot_be_used_is_one_line(
    settings: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        slot_setup(load_config(None, ["morphology.file=builtin:y_branch", 'window.kind="split"', *settings]))
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.exit_code == 2
    assert [word for word in words if word not in line] == [], line


def test_a_voltage_that_joins_within_a_millivolt_repeats(tmp_path: Path) -> None:
    """0.5 mV where one period ends and the next begins: no jump of the cell's."""
    (tmp_path / "short.csv").write_text(FILES["short.csv"])
    config = load_config(None, [
        "morphology.file=builtin:y_branch", 'window.kind="split"', f"voltage.file={tmp_path}/short.csv",
        "voltage.period=20.0",
    ])  # fmt: skip
    given = slot_setup(config).solver.given
    assert given is not None
    root = given.at([0.0, 10.0, 20.0, 25.0, 1_000_010.0]).max(axis=1)
    assert root == pytest.approx([-70.0, -60.0, -70.0, -65.0, -60.0], abs=0.7)
