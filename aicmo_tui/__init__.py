"""The faces of AICMO: the Textual app, and the command line beside it (``cli``). What they do is done by ``aicmo``."""
