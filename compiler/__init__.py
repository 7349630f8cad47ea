"""From a trained network to a bitstream, a flash image and C."""
