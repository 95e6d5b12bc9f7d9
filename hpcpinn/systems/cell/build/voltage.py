"""From a run description to the membrane voltage: of a file, constant, or solved on the cable."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from scipy import sparse

from hpcpinn.errors import InputError
from hpcpinn.morphology import Cable, parse_site
from hpcpinn.morphology.compartments import Compartments
from hpcpinn.morphology.interpolation import tree_weights
from hpcpinn.physics import voltage
from hpcpinn.systems.cell.build.constants import time_unit_of
from hpcpinn.systems.cell.build.field import unit_quasipotential
from hpcpinn.systems.cell.build.membrane import driven_cable, impossible_voltage, membrane_of
from hpcpinn.systems.cell.build.morphology import cable_of
from hpcpinn.systems.cell.build.stimulus import warn_of_pulses_after_the_end
from hpcpinn.systems.cell.config.learnable import drives_voltage
from hpcpinn.systems.cell.config.schema import RunConfig
from hpcpinn.systems.cell.constants import coordinates_of
from hpcpinn.systems.cell.voltage import VoltageOf
from hpcpinn.timestepping.given_voltage import GivenVoltage
from hpcpinn.timestepping.pulse_steps import steps_between
from hpcpinn.timestepping.voltage_limits import beyond_all_membranes
from hpcpinn.wording import biology

_MOST_BYTES = 2**30
"""A voltage larger than this is refused: it has to fit beside everything else on every rank."""

_STEPS_AT_ONCE = 20_000


def voltage_of_file(config: RunConfig) -> voltage.VoltageSource:
    """The table of a run description; it covers the run, or its period.

    Raises:
        InputError: The file cannot be used, or is too short.
    """
    unit = time_unit_of(config)
    source = voltage.read_voltage(Path(config.voltage.file or ""), time_unit=unit)
    if config.voltage.period is None:
        voltage.check_covers(source, config.run.duration * unit)
    else:
        voltage.check_period(source, config.voltage.period * unit)
    return source


def given_voltage(config: RunConfig, cells: Compartments) -> tuple[voltage.VoltageSource | None, GivenVoltage]:
    """The voltage of a file, or the constant one, on the compartments.

    Raises:
        InputError: A voltage file that cannot be used.
    """
    if config.voltage.file is None:
        everywhere = sparse.csr_matrix(np.ones((cells.count, 1)))
        return None, GivenVoltage(np.zeros(1), np.array([[config.voltage.constant]]), everywhere)
    source = voltage_of_file(config)
    sites = voltage.resolve_sites(source, lambda text: parse_site(text, cells.cable))
    middles = np.array([site.frustum for site in cells.sites]), np.ones(cells.count)
    weights = tree_weights(cells.cable, sites, middles)
    given = GivenVoltage(
        times=np.asarray(source.times) / source.time_unit,
        values=np.asarray(source.values),
        weights=sparse.csr_matrix(weights),
        period=config.voltage.period,
    )
    return source, given


def source_of(
    config: RunConfig, cable: Cable, values: Mapping[str, float] | None = None
) -> voltage.VoltageSource | None:
    """The voltage over a coupled run: of a file, or solved on the cable; None where it is constant.

    Args:
        config: The run description.
        cable: The whole cell.
        values: Values of constants by name, as in `solve_voltage`.

    Raises:
        InputError: As `voltage_of_file` and `solve_voltage`.
        SolveError: The cell has no rest.
    """
    unit, period = time_unit_of(config), config.voltage.period
    if config.voltage.file is not None:
        source = voltage_of_file(config)
        return source if period is None else voltage.repeated(source, period * unit, config.run.duration * unit)
    return solve_voltage(config, cable, values) if config.solves_voltage else None


def solve_voltage(config: RunConfig, cable: Cable, values: Mapping[str, float] | None = None) -> voltage.VoltageSource:
    """The voltage of all compartments over the run, every `cable.sample`, from rest.

    Args:
        config: Run description with a field or clamps.
        cable: The whole cell.
        values: Values of constants by name; those of the voltage take the place of the description's.

    Raises:
        InputError: Anything the user gave that cannot be used, a voltage that does not fit, or one that no
            membrane survives.
        SolveError: The cell has no rest.
    """
    driven, time_unit = driven_cable(config, cable, values), time_unit_of(config)
    warn_of_pulses_after_the_end(config, config.run.duration)
    cells, duration = driven.compartments, config.run.duration
    count = max(1, round(duration / config.cable.sample))
    _check_fit(config, (count + 1) * cells.count * 8)
    times = np.linspace(0.0, duration, count + 1)
    state = driven.equation.resting_state()
    kept = [driven.equation.voltage(state)[None]]
    stretch = max(1, int(_STEPS_AT_ONCE * config.cable.step / config.cable.sample))
    names = [site.name for site in cells.sites]
    for first in range(0, count, stretch):
        wanted = times[first + 1 : first + 1 + stretch]
        state, ends, V = driven.march(state, float(times[first]), float(wanted[-1]), wanted)
        if where := beyond_all_membranes(ends, V, names.__getitem__):
            raise impossible_voltage(config, where)
        kept.append(V[np.searchsorted(ends, wanted - 1e-7)])
    return voltage.VoltageSource(
        times=jax.device_put(times * time_unit),
        values=jax.device_put(np.concatenate(kept)),
        sites=tuple(names),
        path="",
        time_unit=time_unit,
    )


def _check_fit(config: RunConfig, size: int) -> None:
    if size > _MOST_BYTES:
        raise InputError(
            f"run.duration = {biology(config.run.duration, 6)}: the voltage every cable.sample = "
            f"{biology(config.cable.sample, 6)} takes {size / 2**30:.1f} GiB, {_MOST_BYTES / 2**30:.0f} at most; "
            "shorten the run or raise cable.sample"
        )


_SAME = 1e-7
"""ms: times closer than this are one."""


def voltage_of(
    config: RunConfig,
    source: voltage.VoltageSource,
    names: tuple[str, ...],
    values: Mapping[str, float] | None = None,
) -> VoltageOf | None:
    """The voltage of a run as a function of constants; None where none of these is of the voltage.

    Args:
        config: The run description.
        source: The voltage of the run, solved.
        names: What is learned, of the voltage and besides.
        values: Values of constants with which it was solved, as in `solve_voltage`.
    """
    if not any(drives_voltage(name) for name in names):
        return None
    driven, field = driven_cable(config, cable_of(config), values), membrane_of(config, values).field
    times = np.asarray(source.times) / source.time_unit
    steps = steps_between(0.0, float(times[-1]), driven.rule, driven.stimulus, driven.onset, driven.clamps, times[1:])
    has_field = field.magnitude is not None
    return VoltageOf(
        equation=driven.equation,
        rest=driven.equation.resting_state(),
        steps=steps,
        last=np.searchsorted(steps.ends, times[1:] - _SAME),
        psi=unit_quasipotential(config, driven.compartments) if has_field else None,
        field=field,
        clamps=driven.sources[int(has_field) :],
        names=names,
        coordinates=coordinates_of(names),
    )
