"""Labels that the student gives itself, and the guard that decides what it learns from."""
