"""The side of a project where people work: accounts, questions, answers, review, and how far things are."""
