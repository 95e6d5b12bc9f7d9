"""What `hpcpinn plot` says of the pictures that it drew."""

from hpcpinn.core.order import Drawn


def say_drawn(drawn: Drawn) -> None:
    """Prints which pictures were drawn, why others were not, and what else could be."""
    for picture in drawn.pictures:
        print(f"picture: {picture}")
    for line in (*drawn.left_out, *drawn.advice):
        print(line)
