"""Masked discrete diffusion: schedules, objectives, the bound, samplers. Knows neither data nor backbones."""
