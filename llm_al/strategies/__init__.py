"""Which rows to ask for next: scorers, selectors and what joins them."""
