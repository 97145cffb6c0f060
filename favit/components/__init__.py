"""What a run can name and what may be set: components by name, and what each declares of itself."""
