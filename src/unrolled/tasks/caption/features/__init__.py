"""Features of pictures: grids of vectors that a network computed which was trained on other data."""
