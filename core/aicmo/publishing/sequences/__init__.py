"""Messages that follow one another.

``verbs`` are what a person does with them, ``advancing`` is how people go through them, ``editing`` what a change means
for the people inside.
"""
