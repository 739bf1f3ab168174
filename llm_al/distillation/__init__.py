"""After the last round: an ensemble teaches a small student on the whole pool, which is then made smaller still."""
