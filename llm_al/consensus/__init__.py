"""From the annotations of one example to a posterior over labels."""
