"""From an integer graph to descriptors and a flash image."""
