"""What runs inside an allocation: standard library only, so that it starts in milliseconds.

SLURM starts `python -I -S allocation/ BATCH OFFSET`; nothing here may import the rest of the plugin.
"""
