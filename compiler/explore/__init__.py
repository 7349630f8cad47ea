"""Which accelerators a board could have for a network: what each takes, and how fast it is."""
