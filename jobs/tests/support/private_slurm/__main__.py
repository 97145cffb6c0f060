"""`python -m private_slurm VERB DIR`, with this package's parent folder on PYTHONPATH.

python -m private_slurm up DIR [--install]     start it, with accounting, fake GPUs, three partitions
eval "$(python -m private_slurm env DIR)"      point this shell's sbatch, squeue ... at it
python -m private_slurm stop|start DIR DAEMON  take one daemon away, or bring it back
python -m private_slurm down DIR               end every process of it and delete DIR
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .cluster import DAEMONS, Cluster, ClusterError
from .machine import PACKAGES, another_answers, install, missing_programs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m private_slurm", description="A private SLURM for tests.")
    parser.add_argument("verb", choices=["up", "down", "env", "start", "stop", "ping"])
    parser.add_argument("dir", type=Path)
    parser.add_argument("daemon", nargs="?", choices=DAEMONS)
    parser.add_argument("--install", action="store_true", help="fetch missing Debian packages first")
    options = parser.parse_args()
    cluster = Cluster(options.dir)
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        if options.verb == "up":
            if another_answers():
                raise ClusterError("a SLURM already answers here; this one is only for machines without")
            if missing_programs() and options.install:
                install()
            if missing := missing_programs():
                raise ClusterError(f"not found: {', '.join(missing)} (apt-get install {' '.join(PACKAGES)})")
            cluster.up()
        elif options.verb == "down":
            cluster.down()
        elif options.verb == "env":
            for name, value in cluster.env.items():
                print(f"export {name}={value}")
        elif options.verb == "ping":
            print(cluster.run("scontrol", "ping"), end="")
        elif options.daemon is None:
            parser.error(f"{options.verb} needs a daemon: {', '.join(DAEMONS)}")
        else:
            getattr(cluster, options.verb)(options.daemon)
    except ClusterError as error:
        print(f"private_slurm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
