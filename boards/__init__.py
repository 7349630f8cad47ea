"""Boards: facts about pins, chips and clocks. Imports nothing else of ours."""
