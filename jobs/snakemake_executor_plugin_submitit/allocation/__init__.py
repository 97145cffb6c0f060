"""The program that runs inside an allocation. It uses the standard library only, and so starts in milliseconds.

SLURM starts `python -I -S allocation/__main__.py BATCH INDEX`; nothing here may import the rest of the plugin.
"""
