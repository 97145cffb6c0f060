"""Trains a run that the workflow has prepared; snapshots of code start here."""

import sys

from favit.train.life import launch

if __name__ == "__main__":
    arguments = launch.launch(sys.argv[1:])  # before torch is imported, and only one that trains comes back
    from favit.train.life.process import leave, main

    leave(main(arguments))
