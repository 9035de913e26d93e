"""Build a message that says what was meant, and nothing else.

``templates`` compiles a draft and fills it: ``marks`` holds what is the template's own, ``links`` adds campaign
parameters, ``plaintext`` makes the text twin. ``headers`` encodes header values and checks their names, ``tokens`` says
which delivery it is, ``message`` puts the bytes together, ``dkim`` signs them, ``proof`` reads them back. ``rules`` is
what the configuration says of all that.
"""
