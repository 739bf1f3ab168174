"""How good the student is, and when to stop."""
