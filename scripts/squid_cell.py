"""The bundled 10 Hz job as benchmarks of speed have measured it from the first: squid channels, bare axon, 2000 V/m.

What they measure does not depend on the field; figures of different dates shall be those of the same work.
"""

SQUID_CELL = (
    "axon={}", "channels={}", "field={magnitude=2000.0, direction=[0, 1, 0]}", 'stimulation.waveform="rectangular"',
)  # fmt: skip
"""Settings over ``rtms_10hz``; the waveform goes before that of a protocol."""
