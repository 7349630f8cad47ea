"""What an accelerator takes of a chip, and how fast it is, before it is built."""
