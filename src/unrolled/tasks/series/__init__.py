"""Time series: forecasts as distributions, scored beside baselines."""
