"""DeepXDE's side of a comparison: dopamine on its square, once. Runs in DeepXDE's own Python, imports nothing of ours.

    DDE_BACKEND=pytorch python - JOB.json RESULT.npz < deepxde_program.py

JOB holds what `hpcpinn.reference.deepxde_peer.Training` and its problem hold: constants (µm, ms, µM), half the
square's side, the duration, points inside, at the start and on the edges, width and depth of the network, steps of
Adam and of L-BFGS, whether coordinates are brought to [−1, 1], the seed, a limit in seconds, and where and when to
report. RESULT: values at x, y and t, seconds, steps, the sum of losses, and the device.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import deepxde as dde
import numpy as np
import torch

LEARNING_RATE = 1e-3
HALVED_EVERY = 2000
"""Steps of Adam after which the learning rate has halved, where coordinates are scaled."""
ROUND = 100
"""Steps of L-BFGS between two looks at the clock."""


def problem(job: dict[str, Any]) -> Any:
    """The equation, zero flux and the initial cloud."""
    side, D, k = job["half_width"], job["D"], job["k"]

    def equation(x: Any, C: Any) -> Any:
        return (
            dde.grad.jacobian(C, x, i=0, j=2)
            - D * (dde.grad.hessian(C, x, i=0, j=0) + dde.grad.hessian(C, x, i=1, j=1))
            + k * C
        )

    square = dde.geometry.Rectangle([-side, -side], [side, side])
    domain = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0.0, job["duration"]))

    def cloud(x: np.ndarray) -> np.ndarray:
        start: np.ndarray = job["C0"] * np.exp(-0.5 * (x[:, :1] ** 2 + x[:, 1:2] ** 2) / job["sigma"] ** 2)
        return start

    edges = dde.icbc.NeumannBC(domain, lambda x: 0.0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(domain, cloud, lambda _, on_initial: on_initial)
    return dde.data.TimePDE(
        domain, equation, [edges, start],
        num_domain=job["inside"], num_boundary=job["edges"], num_initial=job["start"],
    )  # fmt: skip


def network(job: dict[str, Any]) -> Any:
    """The dense network, its coordinates as they are or brought to [−1, 1]."""
    net = dde.nn.FNN([3] + [job["width"]] * job["depth"] + [1], "tanh", "Glorot normal")
    if job["scaled"]:
        side, middle = job["half_width"], 0.5 * job["duration"]

        def scaled(x: Any) -> Any:
            return torch.cat([x[:, :2] / side, x[:, 2:] / middle - 1.0], dim=1)

        net.apply_feature_transform(scaled)
    return net


def trained(job: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Adam, then L-BFGS while time lasts; the model and what it took."""
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(job["seed"])
    model = dde.Model(problem(job), network(job))
    timer = dde.callbacks.Timer(job["limit"] / 60.0)
    began = time.perf_counter()
    # The published setting has no decay.
    decay = ("step", HALVED_EVERY, 0.5) if job["scaled"] else None
    model.compile("adam", lr=LEARNING_RATE, decay=decay)
    model.train(iterations=job["adam"], display_every=1000, callbacks=[timer], verbose=0)
    steps = {"adam": int(model.train_state.step), "lbfgs": 0}
    if job["lbfgs"] and time.perf_counter() - began < job["limit"]:
        dde.optimizers.config.set_LBFGS_options(maxiter=job["lbfgs"])
        options = dde.optimizers.config.LBFGS_options
        options["iter_per_step"], options["fun_per_step"] = ROUND, 2 * ROUND
        model.compile("L-BFGS")
        model.train(callbacks=[timer], verbose=0)
        steps["lbfgs"] = int(model.train_state.step) - steps["adam"]
    loss = float(np.sum(model.train_state.loss_train))
    return model, steps | {"seconds": time.perf_counter() - began, "loss": loss}


def end_with(parent: int) -> None:
    """Ends the process when the one that has started it is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main() -> None:
    """Reads the job, trains, writes the result."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    given, wanted = sys.argv[1:]
    job = json.loads(Path(given).read_text())
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    model, told = trained(job)
    places = np.stack(np.meshgrid(job["t"], job["y"], job["x"], indexing="ij")[::-1], axis=-1).reshape(-1, 3)
    parts = np.array_split(places, 1 + len(places) // 100_000)
    values = np.concatenate([model.predict(part) for part in parts])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    shape = (len(job["t"]), len(job["y"]), len(job["x"]))
    np.savez(wanted, values=values.reshape(shape), told=json.dumps(told | {"device": device}))


if __name__ == "__main__":
    main()
