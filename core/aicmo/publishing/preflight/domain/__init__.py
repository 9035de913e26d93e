"""The sender's domain, as the name servers know it: ``check_alignment`` asks, ``spf``, ``dkim`` and ``dmarc`` read.

Written here because nothing that exists fits: checkdmarc is synchronous, brings six more packages and never judges an
address; pyspf replaces a module's function to be given another resolver. What is needed of both is small.
"""
