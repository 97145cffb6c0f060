"""Trains a run that the workflow has prepared; snapshots of code start here."""

from favit.train.life.process import leave, main

if __name__ == "__main__":
    leave(main())
