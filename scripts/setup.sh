#!/usr/bin/env bash
# Set hpcpinn up: MPI, mpi4py, mpi4jax, JAX and an h5py built against MPI, in .venv beside this folder.
#
#   bash scripts/setup.sh
#
# May be run again at any time; it ends at once when nothing has changed. What is missing on the system is
# installed with apt where that is possible, and named, with the way to get it, where it is not.
#
#   PYTHON=...       Python to use (3.11 or newer)
#   HDF5_DIR=...     an HDF5 built with MPI (default: Debian's, or the one that h5pcc belongs to)
#   CUDA_ROOT=...    CUDA toolkit for mpi4jax on GPUs (default: none; mpi4py carries the data then)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/hpcpinn-setup.sha256
packages=(build-essential pkg-config python3-dev python3-venv openmpi-bin libopenmpi-dev libhdf5-openmpi-dev)
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { echo "setup: $*"; }
fail() { echo "setup: $1" >&2; shift; if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then command -v "$candidate"; return; fi
    done
    return 1
}

find_parallel_hdf5() {
    local debian
    debian=/usr/lib/$(uname -m)-linux-gnu/hdf5/openmpi
    if [ -n "${HDF5_DIR:-}" ]; then echo "$HDF5_DIR"
    elif command -v h5pcc >/dev/null && ! [ -e "$debian/lib/libhdf5.so" ]; then dirname "$(dirname "$(command -v h5pcc)")"
    elif [ -e "$debian/lib/libhdf5.so" ] || [ -e "$debian/libhdf5.so" ]; then echo "$debian"
    else return 1; fi
}

has_venv_module() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

has_headers() { "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null; }

# Names, one a line, of what the system lacks.
missing() {
    local python
    python=$(find_python) || { echo "Python 3.11 or newer, with venv and headers (Debian: python3 python3-venv python3-dev)"; }
    if [ -n "${python:-}" ]; then
        has_venv_module "$python" || echo "the venv module of $python (Debian: python3-venv)"
        has_headers "$python" || echo "the headers of $python (Debian: python3-dev)"
    fi
    command -v cc >/dev/null && command -v c++ >/dev/null || echo "a C and a C++ compiler (Debian: build-essential)"
    command -v mpicc >/dev/null && command -v mpirun >/dev/null || echo "MPI: mpicc and mpirun (Debian: openmpi-bin libopenmpi-dev)"
    find_parallel_hdf5 >/dev/null || echo "HDF5 built with MPI (Debian: libhdf5-openmpi-dev)"
}

install_system_packages() {
    local sudo=
    command -v apt-get >/dev/null || return 0
    if [ "$(id -u)" != 0 ]; then sudo -n true 2>/dev/null || return 0; sudo="sudo -n"; fi
    say "installing ${packages[*]}"
    local options=(-qq -o DPkg::Lock::Timeout=300)
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" update || true
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends \
        "${packages[@]}" >/dev/null || true
}

check_system() {
    local lacking
    lacking=$(missing)
    [ -z "$lacking" ] && return
    install_system_packages
    lacking=$(missing)
    [ -z "$lacking" ] && return
    fail "this machine lacks:" "$(sed '2,$ s/^/  /' <<<"$lacking")" \
        "On Debian or Ubuntu, as root:  apt-get install ${packages[*]}" \
        "On a cluster:  module avail; module load python openmpi hdf5-mpi (the names differ); then, if h5pcc" \
        "is not on the PATH, export HDF5_DIR=<folder of an HDF5 built with that MPI>, and run this script again."
}

# Everything that decides what ends up in .venv.
fingerprint() {
    { cat "$root/constraints.txt" "$root/pyproject.toml" "$root/scripts/setup.sh"
      echo "$root $python $("$python" --version) $(command -v mpicc) $(mpirun --version | head -1) $hdf5 ${CUDA_ROOT:-} $accelerator"
    } | sha256sum | cut -d ' ' -f 1
}

# Which build of JAX: its extra name, empty for a machine without an NVIDIA driver.
find_accelerator() {
    local cuda
    cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: \([0-9]*\).*/\1/p' | head -1)
    if [ -z "$cuda" ]; then return; elif [ "$cuda" -ge 13 ]; then echo cuda13; else echo cuda12; fi
}

pinned() { sed -n "s/^$1==/$1==/p" "$root/constraints.txt"; }

# Build one wheel against MPI, or take it from the cache of an earlier set-up with the same compiler and MPI.
build_wheel() {
    local name=$1 log=$venv/build-$1.log; shift
    if ! ls "$wheels/$name"-*.whl >/dev/null 2>&1; then
        say "building $name against MPI"
        if ! env "$@" "$venv/bin/pip" wheel -q -c "$root/constraints.txt" --no-build-isolation --no-deps \
            --no-binary="$name" --no-cache-dir -w "$venv/wheels-$name" "$(pinned "$name")" >"$log" 2>&1; then
            tail -n 25 "$log" >&2
            fail "$name could not be built against MPI; the whole log is $log"
        fi
        mv "$venv/wheels-$name/$name"-*.whl "$wheels/"
    fi
}

install_python_packages() {
    local pip=("$venv/bin/pip" install -qq -c "$root/constraints.txt")
    say "installing Python packages into $venv"
    "${pip[@]}" "setuptools>=82.0.1" wheel "cython<3.3" pkgconfig nanobind "mpi4py"
    local jax=jax; [ -n "$accelerator" ] && jax="jax[$accelerator]"
    "${pip[@]}" "$jax" numpy
    built_against_mpi || build_against_mpi
    "${pip[@]}" --no-build-isolation -e "$root[mpi,tms,uq,xarray,test]"
}

# Whether the two packages that have to be compiled are there already: right version, this MPI.
built_against_mpi() {
    if [ -e "$venv/built-against" ] && [ "$(cat "$venv/built-against")" != "$build" ]; then return 1; fi
    "$venv/bin/python" - "$(pinned h5py)" "$(pinned mpi4jax)" <<'PYTHON' 2>/dev/null
import sys
from importlib.metadata import version
import h5py
right = all(version(pin.split("==")[0]) == pin.split("==")[1] for pin in sys.argv[1:])
sys.exit(not (right and h5py.get_config().mpi))
PYTHON
}

build_against_mpi() {
    mkdir -p "$wheels" 2>/dev/null || { wheels=$venv/wheels; mkdir -p "$wheels"; }
    local no_cuda; no_cuda=$(mktemp -d)  # an nvcc on the PATH would switch mpi4jax's CUDA part on
    # No build isolation: it would compile an old mpi4py along with h5py. -O1: a third of the time, same speed.
    build_wheel h5py HDF5_MPI=ON CC=mpicc HDF5_DIR="$hdf5" CFLAGS="-O1 -g0 -w" LDFLAGS="-Wl,--no-as-needed -Wl,-rpath,$hdf5/lib" & local first=$!
    build_wheel mpi4jax MPI4JAX_BUILD_MPICC="$(command -v mpicc)" CUDA_ROOT="${CUDA_ROOT:-$no_cuda}" & local second=$!
    wait $first && wait $second || { rmdir "$no_cuda"; exit 1; }
    rmdir "$no_cuda"
    "$venv/bin/pip" install -qq --no-deps --force-reinstall "$wheels"/h5py-*.whl "$wheels"/mpi4jax-*.whl
    echo "$build" > "$venv/built-against"
}

check_python_packages() {
    # shellcheck source=scripts/mpi_environment.sh
    . "$root/scripts/mpi_environment.sh"
    JAX_PLATFORMS=cpu timeout 120 mpirun -n 2 "$venv/bin/python" -c '
import h5py, jax, mpi4jax
from mpi4py import MPI
assert h5py.get_config().mpi, "h5py was built without MPI"
assert MPI.COMM_WORLD.size == 2, "mpirun does not belong to the MPI library that mpi4py loads"
' || fail "the packages are installed but do not work together (see above); remove .venv and run again"
}

if [ ! -s "$stamp" ] || ! command -v mpicc >/dev/null; then check_system; fi
python=$(find_python) || { check_system; python=$(find_python); }
hdf5=$(find_parallel_hdf5) || { check_system; hdf5=$(find_parallel_hdf5); }
accelerator=$(find_accelerator)
now=$(fingerprint)
if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then exit 0; fi

began=$SECONDS
rm -f "$stamp"
if ! [ -x "$venv/bin/python" ] || ! new_enough "$venv/bin/python"; then "$python" -m venv --clear "$venv"; fi
build=$({ "$python" --version; uname -m; mpicc -show; mpirun --version | head -1; readlink -f "$hdf5"
          dpkg-query -W -f '${Version}' libhdf5-openmpi-dev 2>/dev/null || true
          pinned h5py; pinned mpi4jax; pinned numpy; pinned jax; echo "${CUDA_ROOT:-}"; } | sha256sum | cut -c 1-16)
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/hpcpinn/wheels-$build
install_python_packages
check_python_packages
echo "$now" > "$stamp"
say "done in $((SECONDS - began)) s"
