"""The message about a failing disk: what happened, where, and whether there is a checkpoint to resume from."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from favit.disk.run_folder import RunFolder
from favit.train.life import checkpoints

FULL = (errno.ENOSPC, errno.EDQUOT)
# Read-only, handles of a file server that has forgotten them, devices and servers that are gone or do not answer
_FAILS = (
    *FULL, errno.EROFS, errno.ESTALE, errno.EIO, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.ENOTCONN,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, getattr(errno, "EREMOTEIO", errno.EIO), errno.EFBIG, errno.ENOLCK,
    errno.EMFILE, errno.ENFILE,
)  # fmt: skip


def failed(error: OSError, out: Path) -> bool:
    """Whether an error is the disk's, or of any kind in the run's own folder, such as rights that were taken away."""
    return error.errno in _FAILS or _is_below(error.filename, out)


def words(error: OSError, out: Path) -> str:
    """The error in one line."""
    where = out if error.filename is None or _is_below(error.filename, out) else error.filename
    return f"{error.strerror}: {where}; {_checkpoint(out)}"


def _checkpoint(out: Path) -> str:
    try:
        found = checkpoints.intact(RunFolder(out))
    except OSError as error:
        return f"cannot tell whether there is a checkpoint to resume from ({error.strerror})"
    return "the last checkpoint is intact" if found else "there is no checkpoint to resume from yet"


def _is_below(name: object, out: Path) -> bool:
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    return Path(os.fsdecode(name)).absolute().is_relative_to(out.absolute())
