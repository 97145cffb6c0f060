# Unknown targets fail in one line with the closest valid one. Snakemake knows the targets only after it has read the
# rules: so a rule matches unknown ones and fails.

import difflib


def answered(wildcards):
    every = [rule.name for rule in workflow.rules if rule.name != "no_such_target"]
    sweeps = [name for name in (*SETUP.sweeps, *SETUP.groups) if name in every]
    asked, valid = wildcards.target, [*sweeps, *(name for name in every if name not in sweeps)]
    near = difflib.get_close_matches(asked, valid, n=1, cutoff=0.5)
    some = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(valid[:3])}, ...;"
    sys.exit(f"no target '{asked}'; {some} snakemake --list shows all {len(valid)}")


rule no_such_target:
    output:
        "{target}",
    input:
        answered,
    wildcard_constraints:
        target="[A-Za-z0-9_-]+",
