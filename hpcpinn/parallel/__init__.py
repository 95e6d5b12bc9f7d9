"""Ranks and devices: who computes where, how they talk, how they end.

`launch` reads what the launcher left in the environment, `device` gives a rank its accelerator,
`exchange` plans who sends which rows to whom, `communicator` is what the solver talks through,
and `abort` ends a job on all ranks together. Nothing here is imported on behalf of the caller:
`device.prepare` has to run before JAX starts a backend.
"""
