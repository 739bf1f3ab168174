"""The pages of a project: label, review, dashboard, guidelines, people."""
