"""Who may ask: keys and their signatures, tokens, agencies, and the calls that hand them out.

Written from the documentation alone.  It shares no code with the worker's own signer and
credential chain, so that a misreading of one is not hidden by the same misreading here.
"""
