"""How to ask a person: which labels first, and in which form."""
