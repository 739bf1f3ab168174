"""Everyone who gives labels: language models, stand-ins for them, and people."""
