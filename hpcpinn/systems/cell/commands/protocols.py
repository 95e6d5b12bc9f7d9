"""``hpcpinn protocols``: the rTMS protocols that are known by name."""

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcpinn.errors import InputError

if TYPE_CHECKING:
    from hpcpinn.physics.stimulation.protocols import PulseProtocol
    from hpcpinn.physics.stimulation.stimulus import Stimulus

_BURSTS_SHOWN = 10
"""Bursts that stand for a train in the picture where the protocol has only one train."""

_PULSES_SHOWN = 3
"""Pulses that stand for a burst in the picture where there is one pulse per burst."""


def protocols(
    name: Annotated[str | None, typer.Argument(help="A protocol; all of them if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    waveform: Annotated[
        str | None,
        typer.Option(
            help="monophasic, biphasic, rectangular, or a CSV file time_ms,value; the protocol's own if left out."
        ),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Where to draw the protocol.", metavar="PNG")] = None,
) -> None:
    """Lists the rTMS protocols.

    Pulses, durations, structure; with a name, all about one, and a picture of its pulses.
    """
    from hpcpinn.physics.stimulation.protocols import PROTOCOLS, protocol_named

    if name is None:
        for option, value in (("--picture", picture), ("--waveform", waveform)):
            if value is not None:
                raise InputError(
                    f"{option} {value}: needs the name of a protocol: hpcpinn protocols iTBS600 {option} {value}"
                )
        if as_json:
            print(json.dumps({"protocols": [_figures(protocol) for protocol in PROTOCOLS.values()]}))
        else:
            _print_table(list(PROTOCOLS.values()))
        return
    from hpcpinn.physics.stimulation.stimulus import Stimulus
    from hpcpinn.physics.stimulation.waveforms import waveform_named

    if picture is not None:
        from hpcpinn.report.places import check_picture

        check_picture(picture, {} if waveform is None else {"the waveform": Path(waveform)})
    protocol = protocol_named(name)
    stimulus = Stimulus(protocol, waveform_named(waveform or protocol.waveform))
    if as_json:
        print(json.dumps(_all_figures(stimulus)))
    else:
        _print_table([protocol])
        _print_details(stimulus)
    if picture is not None:
        _draw(stimulus, picture)
        if not as_json:
            print(f"picture: {picture}")


def _figures(protocol: "PulseProtocol") -> dict[str, Any]:
    several = protocol.pulses > 1 and protocol.pulse_interval is not None
    return {
        "name": protocol.name,
        "pulses": protocol.count,
        "duration_ms": protocol.duration,
        "trains": protocol.trains,
        "bursts_per_train": protocol.bursts,
        "pulses_per_burst": protocol.pulses,
        "train_on_ms": protocol.on_time,
        "train_off_ms": protocol.off_time,
        "burst_interval_ms": float(protocol.burst_interval),
        "pulse_interval_ms": float(protocol.pulse_interval or 0) if several else None,
        "waveform": protocol.waveform,
        "gaps": [{"after": g.after, "length_ms": g.length, "count": g.count} for g in protocol.gaps],
    }


def _all_figures(stimulus: "Stimulus") -> dict[str, Any]:
    waveform = stimulus.waveform
    return _figures(stimulus.protocol) | {
        "waveform": waveform.name,
        "waveform_duration_ms": waveform.duration,
        "waveform_breakpoints_ms": list(waveform.breakpoints),
        "pulse_times_ms": stimulus.pulse_times.tolist(),
    }


def _print_table(rows: "list[PulseProtocol]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("protocol", "pulses", "duration", "trains", "bursts each", "pulses each"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in _NUMBERS else "left")
    for protocol in rows:
        bursts = f"{protocol.bursts} at {_per_second(protocol.burst_interval)}"
        duration = _time(protocol.duration)
        table.add_row(protocol.name, str(protocol.count), duration, _trains(protocol), bursts, _pulses(protocol))
    Console(highlight=False, markup=False).print(table)


_NUMBERS = ("pulses", "duration")


def _trains(protocol: "PulseProtocol") -> str:
    if protocol.trains == 1:
        return "continuous"
    return f"{protocol.trains} of {_time(protocol.on_time)}, {_time(protocol.off_time)} off"


def _pulses(protocol: "PulseProtocol") -> str:
    if protocol.pulses == 1 or protocol.pulse_interval is None:
        return "1"
    return f"{protocol.pulses} at {_per_second(protocol.pulse_interval)}"


def _print_details(stimulus: "Stimulus") -> None:
    waveform, protocol = stimulus.waveform, stimulus.protocol
    print(f"waveform: {waveform.name}, {_time(waveform.duration)} long")
    print(f"last pulse at {_time(float(stimulus.pulse_times[-1]))}; from pulse to pulse:")
    for gap in protocol.gaps:
        ends = "pulse" if gap.after == "burst" and protocol.pulses == 1 else gap.after
        print(f"  {_time(gap.length)} to the next {ends}, {gap.count} times")


def _draw(stimulus: "Stimulus", picture: Path) -> None:
    from hpcpinn.parallel.device import prepare
    from hpcpinn.systems.cell.pictures.pulse_train import draw_pulse_train

    prepare()
    protocol, waveform = stimulus.protocol, stimulus.waveform
    interval = float(protocol.burst_interval)
    if protocol.trains > 1:
        train, train_title = protocol.on_time, "first train"
    else:
        train = min(protocol.bursts, _BURSTS_SHOWN) * interval
        train_title = f"first {_time(train)}"
    if protocol.pulses > 1 and protocol.pulse_interval is not None:
        burst = min(interval, protocol.pulses * float(protocol.pulse_interval))
        titles = (
            f"bursts, one every {_time(interval)}",
            f"first burst: {_pulses(protocol).replace(' at', ' pulses at')}",
        )
    else:
        burst = min(train, _PULSES_SHOWN * interval)
        titles = f"pulses, one every {_time(interval)}", "first pulses, the field to scale"
    draw_pulse_train(
        picture,
        pulse_times=stimulus.pulse_times,
        spans=(protocol.duration, train, burst),
        waveform=waveform.curve(),
        titles=(
            f"protocol: {protocol.count} pulses in {_time(protocol.duration)}, "
            + _trains(protocol).replace(" of ", " trains of "),
            f"{train_title}: {titles[0]}",
            titles[1],
            f"one pulse: {waveform.name}, {_time(waveform.duration)}",
        ),
        name=protocol.name,
    )


def _per_second(interval: float | Fraction) -> str:
    """The frequency of an interval in ms: ``50 Hz``."""
    return f"{float(1000 / interval):.4g} Hz"


def _time(milliseconds: float) -> str:
    """``192 s``, ``37.5 min``, ``33.33 ms``: the unit in which people say it."""
    for unit, worth, least in (("min", 6e4, 3e5), ("s", 1e3, 1e3), ("ms", 1.0, 0.0)):
        if milliseconds >= least:
            return f"{milliseconds / worth:.4g} {unit}"
    return f"{milliseconds:g} ms"
