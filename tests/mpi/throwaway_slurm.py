"""A SLURM of its own on this machine: make-believe nodes and GPUs, gone after the test."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo")

SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"


def why_not() -> str:
    """Why no SLURM can be started here; empty if one can."""
    lacking = [program for program in PROGRAMS if shutil.which(program, path=SEARCH) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed (Debian: slurm-wlm munge)"
    if os.geteuid() != 0:
        return "only root can start a slurmd that runs jobs"
    return ""


def configuration(folder: Path, nodes: int, processors: int, gpus: int) -> str:
    """Text of slurm.conf: everything on the loopback, nothing outside the folder."""
    host = socket.gethostname().split(".")[0]
    ports = free_ports(nodes + 1)
    settings = {
        "ClusterName": "throwaway",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": ports[0],
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/munge.sock",
        "CryptoType": "crypto/munge",
        "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": f"{folder}/spool.%n",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": f"{folder}/slurmd.%n.pid",
        "SlurmctldLogFile": folder / "slurmctld.log",
        "SlurmdLogFile": f"{folder}/slurmd.%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "GresTypes": "gpu",
        "SwitchType": "switch/none",
        "MpiDefault": "pmix",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "ReturnToService": 2,
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,bf_interval=1",
        "SlurmdParameters": "config_overrides",
        "TmpFS": f"{folder}/tmp.%n",
        "InactiveLimit": 0,
        "KillWait": 3,
        "MinJobAge": 300,
    }
    machines = [
        f"NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[number]} "
        f"CPUs={processors} Sockets=1 CoresPerSocket={processors} ThreadsPerCore=1 RealMemory=4000 "
        f"Gres=gpu:{gpus} State=UNKNOWN"
        for number in range(1, nodes + 1)
    ]
    partition = f"PartitionName=all Nodes=node[1-{nodes}] Default=YES MaxTime=INFINITE State=UP"
    return "\n".join([*(f"{name}={value}" for name, value in settings.items()), *machines, partition, ""])


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def running(folder: Path, nodes: int = 2, processors: int = 4, gpus: int = 2) -> Iterator[dict[str, str]]:
    """Start the daemons, and stop them at the end.

    Args:
        folder: Where all their files go.
        nodes: Make-believe nodes.
        processors: Processors that each claims to have.
        gpus: GPUs that each claims to have (any device file will do).

    Yields:
        Environment in which sbatch and its kin talk to this SLURM.
    """
    (folder / "state").mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(configuration(folder, nodes, processors, gpus))
    gres = [f"NodeName=node{n} Name=gpu File=/dev/tty[0-{gpus - 1}]\n" for n in range(1, nodes + 1)]
    (folder / "gres.conf").write_text("".join(gres))
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{os.environ['PATH']}:{SEARCH}",
    }
    munge = ["munged", "--force", "--foreground", f"--key-file={key}", f"--socket={folder}/munge.sock"]
    munge += [f"--{part}-file={folder}/munged.{part}" for part in ("pid", "log", "seed")]
    daemons = [_start(munge, folder, environment)]
    try:
        _wait_for(lambda: (folder / "munge.sock").exists(), 10, "munged", folder)
        daemons.append(_start(["slurmctld", "-D"], folder, environment))
        for number in range(1, nodes + 1):
            (folder / f"spool.node{number}").mkdir()
            (folder / f"tmp.node{number}").mkdir()
            daemons.append(_start(["slurmd", "-D", "-N", f"node{number}"], folder, environment))
        _wait_for(lambda: idle_nodes(environment) == nodes, 30, "slurmd", folder)
        yield environment
    finally:
        with suppress(subprocess.SubprocessError, OSError):
            subprocess.run(["scancel", "--user=root"], env=environment, timeout=10, check=False)
        time.sleep(0.5)
        for daemon in reversed(daemons):
            _stop(daemon)


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.out").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def idle_nodes(environment: dict[str, str]) -> int:
    """How many nodes have nothing to do."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--states=idle", "--format=%D"],
        env=environment,
        capture_output=True,
        text=True,
    )
    return int(answer.stdout.strip() or 0) if answer.returncode == 0 else 0


def _wait_for(condition, seconds: float, what: str, folder: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in sorted(folder.glob("*.log")))
            raise TimeoutError(f"{what} did not come up\n{logs}")
        time.sleep(0.1)
