"""Tasks: each reads its files, names its model and loss, scores beside baselines, and shows."""
