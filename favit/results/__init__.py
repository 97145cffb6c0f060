"""The results on disk and their state today: reasons to train again, and the question before that."""
