"""`aura`, with places at which it can be made to crash, or with a protection switched off: nothing that AURA offers itself.

python -m chaos.launch FOLDER PROTECTIONS ARGUMENT..., with tests/ in PYTHONPATH

FOLDER is where `chaos.crashes` looks; PROTECTIONS are names of `chaos.protections`, with commas between them, or `-`.
CHAOS_ACCOUNT is the folder of a pod's service account, in place of the one that each pod has.
CHAOS_PORT lets the hosts of `aura worker` be this one: number k at the port k after it.
SIGUSR1 has a process write into its log where it is.
"""

import faulthandler
import os
import signal
import sys
from functools import partial
from pathlib import Path

from chaos.crashes import arm
from chaos.protections import switch_off

from service.cli import main as aura
from service.cluster import hosts, replicas


def main() -> None:
    """Replace what is to be replaced, and run the command line."""
    faulthandler.register(signal.SIGUSR1)
    folder, off = sys.argv[1:3]
    arm(Path(folder))
    for name in off.split(",") if off != "-" else ():
        switch_off(name)
    if port := os.environ.get("CHAOS_PORT"):
        hosts.peers = lambda name, number, size, *_: [f"127.0.0.1:{int(port) + k}" for k in range(size)]
    if account := os.environ.get("CHAOS_ACCOUNT"):
        replicas.Replicas = partial(replicas.Replicas, account=Path(account), every_s=0.2)
    sys.argv = ["aura", *sys.argv[3:]]
    aura()


if __name__ == "__main__":
    main()
