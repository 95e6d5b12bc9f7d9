"""DeepXDE's side of bench_dopamine_peer.py: dopamine on its square, once. Runs in DeepXDE's own Python.

    DDE_BACKEND=tensorflow.compat.v1 python peer_deepxde.py JOB.json RESULT.npz

JOB holds constants (µm, ms, µM), half the square's side, the duration, points inside, at the start and on the edges,
width and depth of the network, Adam's steps, whether it is float64, a limit in seconds, and where and when to
report. The network is the published one unless JOB says otherwise: tanh, Glorot, Adam and then L-BFGS, coordinates
as they are. RESULT: values at x, y and t, and the course: seconds, step, loss.
"""

import json
import sys
import time
from pathlib import Path

import deepxde as dde
import numpy as np
from deepxde.backend import tf

LEARNING_RATE = 1e-3
ROUND = 500
"""Steps between two looks at the clock."""


def problem(job: dict) -> dde.data.TimePDE:
    """The equation, zero flux and the initial cloud."""
    side, D, k = job["half"], job["D"], job["k"]

    def equation(x, C):
        return (
            dde.grad.jacobian(C, x, i=0, j=2)
            - D * (dde.grad.hessian(C, x, i=0, j=0) + dde.grad.hessian(C, x, i=1, j=1))
            + k * C
        )

    square = dde.geometry.Rectangle([-side, -side], [side, side])
    domain = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0.0, job["duration"]))

    def cloud(x: np.ndarray) -> np.ndarray:
        return job["C0"] * np.exp(-0.5 * (x[:, :1] ** 2 + x[:, 1:2] ** 2) / job["sigma"] ** 2)

    edges = dde.icbc.NeumannBC(domain, lambda x: 0.0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(domain, cloud, lambda _, on_initial: on_initial)
    return dde.data.TimePDE(
        domain, equation, [edges, start],
        num_domain=job["inside"], num_boundary=job["edges"], num_initial=job["start"],
    )  # fmt: skip


def solved(job: dict) -> tuple[np.ndarray, list[tuple[float, int, float]]]:
    """Values where JOB wants them, and the course of the training."""
    if job["float64"]:
        dde.config.set_default_float("float64")
    dde.config.set_random_seed(job["seed"])
    network = dde.nn.FNN([3] + [job["width"]] * job["depth"] + [1], "tanh", "Glorot normal")
    model = dde.Model(problem(job), network)
    began, course = time.perf_counter(), []

    def note() -> None:
        loss = float(np.sum(model.train_state.loss_train))
        course.append((time.perf_counter() - began, int(model.train_state.step), loss))

    model.compile("adam", lr=LEARNING_RATE)
    for _ in range(0, job["adam"], ROUND):
        model.train(iterations=ROUND, display_every=ROUND)
        note()
        if course[-1][0] > job["limit"]:
            break
    if course[-1][0] < job["limit"] and job["lbfgs"]:
        dde.optimizers.config.set_LBFGS_options(maxiter=job["lbfgs"])
        model.compile("L-BFGS")
        model.train(display_every=ROUND)
        note()
    places = np.stack(np.meshgrid(job["x"], job["y"], job["t"], indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.concatenate([model.predict(part) for part in np.array_split(places, 1 + len(places) // 100_000)])
    return values.reshape(len(job["x"]), len(job["y"]), len(job["t"])), course


def main() -> None:
    given, wanted = sys.argv[1:]
    job = json.loads(Path(given).read_text())
    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    values, course = solved(job)
    np.savez(wanted, values=values, course=np.array(course))


if __name__ == "__main__":
    main()
