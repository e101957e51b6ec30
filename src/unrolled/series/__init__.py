"""Numbers over time: clocks, scalings, seasons, baselines, and the scores of forecasts. numpy alone, no model."""
