"""What a run on a cell records: its fields, and what it notes of every window."""

from hpcpinn.errors import InputError
from hpcpinn.io.schema import SECONDS, Variable, column
from hpcpinn.io.schema import WINDOWS as COMMON
from hpcpinn.physics.constants import CALBINDIN, CALCIUM, BufferConstants, CalciumConstants, Organelle

CALCIUM_FIELD = Variable(CALCIUM, "uM", "calcium, average over the cell", least=0.0, rest_share=1e-2)
_VOLTAGE = Variable("voltage", "mV", "membrane voltage in the middle of the cell", rest_share=0.0, rest_floor=0.1)


def fields_of(constants: CalciumConstants) -> tuple[Variable, ...]:
    """Fields of a run in the order in which they are written: its species, and the voltage.

    Raises:
        InputError: A buffer has the name of something else in a file.
    """
    of_buffers = {buffer.name: _free(constants, buffer) for buffer in constants.all_buffers}
    of_calcium = {CALCIUM: CALCIUM_FIELD} | {organelle.calcium: _held(organelle) for organelle in constants.organelles}
    return (*((of_calcium | of_buffers)[name] for name in constants.species), _VOLTAGE)


def _held(organelle: Organelle) -> Variable:
    return Variable(
        organelle.calcium, "uM", f"calcium in the {organelle.name}, average over the cell", least=0.0, rest_share=1e-4
    )


def _free(constants: CalciumConstants, buffer: BufferConstants) -> Variable:
    what = "free buffer" if buffer.name == CALBINDIN else f"free {buffer.name}"
    try:
        return Variable(buffer.name, "uM", f"{what}, average over the cell", least=0.0, rest_share=1e-4)
    except ValueError as error:
        number = constants.buffers.index(buffer)
        raise InputError(str(error), ("buffer", number, "name")) from None


COLUMNS = (
    column("newton_steps", "Newton steps", kind=int),
    column("sweeps", "Schwarz sweeps", kind=int),
    column("jump", "largest relative disagreement at interfaces"),
    column("balance", "calcium that is not accounted for, so far, relative"),
    column("seconds_train", "wall time of the solver", SECONDS),
    column("seconds_exchange", "wall time of the exchange between ranks", SECONDS),
    column("seconds_io", "wall time of output", SECONDS),
)
"""Columns of windows, besides those of every system."""

WINDOWS = (*COMMON, *COLUMNS)
"""All columns of windows."""
