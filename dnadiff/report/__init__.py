"""What is said about a run: measures, pictures."""
