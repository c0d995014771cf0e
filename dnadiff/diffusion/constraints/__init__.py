"""Hard constraints on what a sampler writes: rules become automata, automata one lattice per row, and letters are drawn
jointly from the model's posterior given that the lattice accepts them.
"""
