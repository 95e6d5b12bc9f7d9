"""``hpcpinn threshold``: the weakest field that makes a cell fire."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcpinn.parallel import stopping
from hpcpinn.systems.cell.config.reading import gives, load_with_origin
from hpcpinn.systems.named_job import JOB_HELP, MorphologyOption, chosen_job
from hpcpinn.terminal.progress import make_progress
from hpcpinn.wording import counted

if TYPE_CHECKING:
    from hpcpinn.systems.cell.build.threshold_maps import Wanted
    from hpcpinn.systems.cell.config.schema import RunConfig
    from hpcpinn.systems.cell.threshold import Search
    from hpcpinn.systems.cell.threshold_map import Row


def threshold(
    job: Annotated[
        Path | None, typer.Argument(help=f"{JOB_HELP}, with a field; or an SWC file: defaults on it.")
    ] = None,
    morphology: MorphologyOption = None,
    site: Annotated[
        str, typer.Option(help="Where a spike is looked for; any: three compartments, wherever they are.")
    ] = "soma",
    up_to: Annotated[
        float | None,
        typer.Option(
            help="Strongest field that is tried, V/m; if left out, 1000 or twice the job's field.magnitude, whichever "
            "is larger.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Width of the last bracket over the threshold; 0.01, of maps 0.005.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option(help="How long a spike may take, ms; 20, or 3 where it may start anywhere.")
    ] = None,
    directions: Annotated[
        str | None,
        typer.Option(
            help="A map: so many directions, evenly spread, or a CSV file of them (Ex, Ey, Ez).", metavar="N|CSV"
        ),
    ] = None,
    cell: Annotated[list[str] | None, typer.Option(help="A cell of the map; may be repeated.", metavar="SWC")] = None,
    waveform: Annotated[
        list[str] | None, typer.Option(help="A waveform of the map; may be repeated.", metavar="NAME|CSV")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Table of a map, and beside it its picture; one that was begun is gone on with.")
    ] = Path("results/thresholds.csv"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as field.direction=[0,0,1].", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Searches the threshold of a cell in a field by bisection.

    Direction (or file), pulses, channels, cable and clamps are the job's (--set 'clamp=[]' leaves the clamps
    out); its field's magnitude says no more than where the search ends. With field.file, strengths are
    factors of the sampled field. With --directions, --cell or --waveform a map is made, on all ranks of
    mpirun: a line for every threshold, where and when its spike starts, and how fast it runs along the axon.
    """
    taken = chosen_job(job, morphology=morphology)
    overrides = [*taken.overrides, *(settings or [])]
    if morphology is not None:
        overrides.append(f"morphology.file={json.dumps(morphology, ensure_ascii=False)}")
    # The search needs no magnitude; the run description does, to know that there is a field.
    own = gives(taken.file, overrides, ("field", "magnitude"))
    config, origin = load_with_origin(taken.file, overrides if own else ["field.magnitude=1.0", *overrides])

    from hpcpinn.parallel.device import prepare  # float64 must be on before JAX is loaded

    prepare()
    from hpcpinn.systems.cell.build.morphology import cable_of
    from hpcpinn.systems.cell.build.threshold import highest_for, trial_of
    from hpcpinn.systems.cell.threshold import Search, find_threshold

    is_map = bool(directions or cell or waveform)
    tolerance = (0.005 if is_map else 0.01) if tolerance is None else tolerance
    search = Search(site, highest_for(config) if up_to is None else up_to, tolerance, wait, is_typed=True)
    if is_map:
        from hpcpinn.systems.cell.build.threshold_maps import Wanted

        along = int(directions) if directions is not None and directions.isdecimal() else directions
        with origin.naming_places():
            _make_map(config, search, Wanted(along, tuple(cell or ()), tuple(waveform or ()), output), as_json)
        return
    stopping.keeping("what was tried stands above; a search writes no file")

    with origin.naming_places(), make_progress(plain_output=as_json) as progress:
        progress.doing("setting up")
        trial = trial_of(config, cable_of(config), search)
        unit = trial.unit

        def say(strength: float, fired: bool) -> None:
            print(f"hpcpinn: {strength:.6g} {unit}: {'a spike' if fired else 'no spike'}", file=sys.stderr)

        found = find_threshold(trial, search, say, progress)
    if as_json:
        print(
            json.dumps(
                {
                    "threshold": found.value,
                    "silent": found.silent,
                    "firing": found.firing,
                    "unit": unit,
                    "site": site,
                    "spike_time_ms": found.spike_time,
                    "tried": [{"strength": strength, "spike": fired} for strength, fired in found.tried],
                }
            )
        )
    else:
        print(f"threshold at {site}: {found.value:.4g} {unit} (between {found.silent:.6g} and {found.firing:.6g})")
        print(f"spike {found.spike_time:.2f} ms after the onset of the first pulse")


def _make_map(config: "RunConfig", search: "Search", wanted: "Wanted", as_json: bool) -> None:
    """Makes a map, writes it and says what came out. Collective over all ranks.

    Raises:
        InputError: Something that was given cannot be used.
        OutputError: The table or its picture cannot be written.
        SolveError: A cell has no rest.
    """
    from hpcpinn.parallel.transports import make_communicator
    from hpcpinn.systems.cell.build.threshold_maps import draw, thresholds_of

    communicator = make_communicator()
    stopping.keeping(f"what was found stands in {wanted.output}; the same command goes on with it")
    with make_progress(plain_output=as_json or communicator.rank > 0) as progress:
        rows = thresholds_of(config, search, wanted, communicator, progress)
    if communicator.rank == 0:
        assert wanted.output is not None
        picture = wanted.output.with_suffix(".png")
        draw(config, wanted, rows, picture)
        _tell(rows, wanted.output, picture, as_json)
    communicator.barrier()


def _tell(rows: "Sequence[Row]", output: Path, picture: Path, as_json: bool) -> None:
    import numpy as np

    from hpcpinn.systems.cell.build.threshold_maps import grouped

    if as_json:
        print(json.dumps({"thresholds": [asdict(row) for row in rows]}))
        return
    for (cell, waveform), own in grouped(rows).items():
        found = np.array([row.threshold_V_per_m for row in own])
        there = found[np.isfinite(found)]
        if not len(there):
            print(f"{cell}, {waveform}: no threshold in {counted(len(own), 'direction')} up to the strongest field")
            continue
        easiest = own[int(np.nanargmin(found))]
        print(
            f"{cell}, {waveform}: {there.min():.4g} to {there.max():.4g} V/m, median {np.median(there):.4g} "
            f"({counted(len(own), 'direction')}); easiest along ({easiest.Ex:.3f}, {easiest.Ey:.3f}, {easiest.Ez:.3f})"
            + (f", where the spike starts at {easiest.start}" if easiest.start else "")
        )
    print(f"table: {output}\npicture: {picture}")
