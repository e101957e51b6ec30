"""From an equation to a program, and from the program to what the engine runs. Each pass is a function."""
