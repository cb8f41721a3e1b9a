"""How fast the whole path is, how near to what the machine can do, and how it compares with the obvious way."""
