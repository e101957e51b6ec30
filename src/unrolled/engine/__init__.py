"""Running a cell over time. ``eager`` is the contract, in plain torch; a faster path has to match it."""
