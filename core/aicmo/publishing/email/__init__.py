"""Build a message that says what was meant, and nothing else.

``templates`` compiles a draft and fills it, ``plaintext`` makes the text twin, ``headers`` encodes and checks header
values, ``message`` puts the bytes together.
"""
