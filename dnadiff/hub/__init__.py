"""Models from elsewhere and for elsewhere: published folders and checkpoints, and the Hugging Face hub."""
