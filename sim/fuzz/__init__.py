"""Random networks, on which the golden model, the generated C and the gateware must agree.

`python -m sim.fuzz` runs as many as one likes. Hypothesis draws them, and reduces those on which
something differs (``pip install xnorloom[test]``).
"""
