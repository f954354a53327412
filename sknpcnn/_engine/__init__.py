"""How layers run: in chunks, on threads, in memory that is used again, from tapes."""
