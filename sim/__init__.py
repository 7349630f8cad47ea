"""Simulation: models of the outside world, benches and compiled runs."""
