"""A campaign against the executor: many small sweeps on the private SLURM, while things go wrong at random.

`python -m campaign --events 1000 --seed 1` (this package's parent folder on PYTHONPATH) starts a private
SLURM, runs sweeps of short jobs one after the other, and lets events happen to them: the main process, tasks,
nodes, the controller and accounting are killed; comments are rewritten; clients fail, hang or lose their
answer; jobs are preempted under REQUEUE and under CANCEL. It reports the jobs that were lost, doubled and
falsely failed. What is judged are the records that the jobs themselves wrote, not the executor's word.

workload.py   the jobs: they record each start and end, save, and go on where they were
clients.py    sbatch, squeue, sacct, scontrol and scancel that go wrong when told to
events.py     what happens to a sweep
stage.py      where it happens: cluster, folder, what is down, what the jobs have recorded
sweep_round.py  one sweep, restarted until it is through, with events
judge.py      what was lost, doubled, falsely failed
"""
