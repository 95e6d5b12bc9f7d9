"""``hpcpinn locations``: where the field of a cell is to be computed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hpcpinn.errors import OutputError
from hpcpinn.systems.named_job import JOB_HELP, MorphologyOption, chosen_job
from hpcpinn.wording import counted

MORE = (
    "With SimNIBS: get_fields_at_coordinates -s coords.csv -m simulation.msh writes coords_E.csv; then, in the job, "
    "field.file = 'coords_E.csv' and field.locations = 'coords.csv'."
)


def locations(
    job: Annotated[Path | None, typer.Argument(help=f"{JOB_HELP}, with [placement].")] = None,
    out: Annotated[Path, typer.Option(help="The file to write.", metavar="CSV")] = Path("coords.csv"),
    morphology: MorphologyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only: the map, too.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one key, such as placement.azimuth=30.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Writes the coordinates at which a run needs the field.

    x,y,z in mm in the head, without a header, as SimNIBS wants them. The rows are the ends and centres of the
    compartments of the voltage: they change with [morphology], [cable] and [placement].
    """
    from hpcpinn.io.places import check_usable
    from hpcpinn.parallel.device import prepare
    from hpcpinn.systems.cell.config.reading import load_with_origin

    taken = chosen_job(job, morphology=morphology)
    overrides = [*taken.overrides, *(settings or [])]
    if morphology is not None:
        overrides.append(f"morphology.file={json.dumps(morphology, ensure_ascii=False)}")
    config, origin = load_with_origin(taken.file, overrides)
    from hpcpinn.config.inputs import files_read

    check_usable(out, files_read(config, taken.file), "name another file with --out")
    prepare()
    from hpcpinn.systems.cell.build.locations import locations_of

    with origin.naming_places():
        placement, places = locations_of(config)
    rows = (",".join(map(repr, row)) for row in places.tolist())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join([*rows, ""]))
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror})") from None
    if as_json:
        map_ = {name: getattr(placement, name).tolist() for name in ("origin", "position", "rotation")}
        print(json.dumps({"file": str(out), "count": len(places), "unit": "mm", "map": map_}))
        return
    print(f"{out}: {counted(len(places), 'place')}, x,y,z in mm, in the head")
    print(f"next: get_fields_at_coordinates -s {out} -m YOUR_SIMULATION.msh")
    print(f'then: [field] file = "{out.with_name(f"{out.stem}_E.csv")}", locations = "{out}"')
