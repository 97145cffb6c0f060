"""Read from sbatch's messages whether trying again can help, and with how many.

A request that can never pass (a QOS with DenyOnLimit) and a full queue give the same last line, "Job
violates accounting/QOS policy". Only the line before it differs: it names the limit.
"""

from __future__ import annotations

import re

from .base import Refused

# What sbatch says when the request itself is wrong, so that trying again is no use.
WRONG_REQUEST = (
    "invalid partition", "invalid account", "invalid qos", "invalid generic resource", "invalid feature",
    "invalid constraint", "invalid node name", "requested node configuration is not available",
    "more processors requested than permitted", "memory specification can not be satisfied",
    "requested time limit is invalid", "time limit specification required", "unrecognized option",
    "invalid option", "invalid --", "invalid time limit", "invalid job array", "user's group not permitted",
    "requested partition configuration not available", "access/permission denied", "invalid reservation",
    "requested reservation is invalid", "invalid cluster", "unable to open file", "invalid license",
    "job cannot be submitted without", "invalid numeric value", "node count specification invalid",
    "nodes required for job are", "invalid gres", "not on path",
)  # fmt: skip
BACKSLASH = (
    "the path of this folder contains a backslash, which SLURM removes from a job's files; use another"
)
POLICY = "violates accounting/qos policy"
# AssocMaxSubmitJobLimit, AssocGrpSubmitJobsLimit, QOSMaxSubmitJobPerUserLimit, MaxSubmitJobsPerAccount ...
FULL = re.compile(r"\w*(?:max|grp)submitjob\w*", re.IGNORECASE)
LIMIT = re.compile(r"^(?:sbatch: error: )?((?:assoc|qos|max|min|grp)\w+)$", re.IGNORECASE | re.MULTILINE)
# The controller has as many jobs as it can hold (MaxJobCount); sbatch itself has waited already.
CROWDED = "temporarily unable to accept job"
TOO_LARGE = ("invalid job array", "job array index", "slurm_max_array")
# After these the submission may have gone through all the same.
LOST_ANSWERS = (
    "timed out",
    "did not answer",
    "unable to contact",
    "communication",
    "connection",
    "zero bytes",
)


def refusal(message: str, count: int) -> Refused:
    """Return what sbatch's message about a submission of `count` tasks means."""
    said = message.lower()
    certain = "job submission failed" in said and not any(words in said for words in LOST_ANSWERS)
    # A site's submission filter may say something of its own before, even about such a limit.
    lines = LIMIT.findall(message)
    named = FULL.search(lines[-1] if lines else message)
    if named:
        return Refused(message, full=True, limit=named.group(), certain=True)
    if CROWDED in said:
        return Refused(message, full=True, certain=certain)
    if POLICY in said:
        if lines:
            return Refused(message, final=True, limit=lines[-1], certain=True)
        return Refused(message, full=True, vague=True, certain=True)
    if count > 1 and any(words in said for words in TOO_LARGE):
        return Refused(message, too_many=True, certain=True)
    return Refused(message, final=any(words in said for words in WRONG_REQUEST), certain=certain)
