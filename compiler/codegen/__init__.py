"""From an integer graph to source code."""
