"""Music: piano rolls, events with timing and velocity, and ABC tunes."""
