"""Using a trained model: evaluation, sampling, the notebook interface. Loads no trainer."""
