"""Gateware: the accelerator in Amaranth. Imports nothing else of ours."""
