"""Grows the project's own cells into meshes/; the same files every time."""

from pathlib import Path

import synthetic

MESHES = Path(__file__).resolve().parents[1] / "meshes"
CELLS = {
    "ball_and_stick": synthetic.ball_and_stick,
    "seed_cable": synthetic.straight_cable,
    "y_branch": synthetic.y_branch,
    "pyramidal": synthetic.pyramidal_cell,
}


def main() -> None:
    MESHES.mkdir(exist_ok=True)
    for name, grow in CELLS.items():
        (MESHES / f"{name}.swc").write_text(grow(), encoding="utf-8")
        print(MESHES / f"{name}.swc")


if __name__ == "__main__":
    main()
